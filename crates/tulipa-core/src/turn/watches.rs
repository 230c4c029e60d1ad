//! Watches of the program's own descriptors, as the world above operates them.

use super::{Loop, Registered, Remains, Slot, Step};
use crate::driver::{Code, Driver};
use crate::host::Host;
use crate::ready::Ready;
use crate::token::Token;
use crate::watch::{Direction, Watch};

impl<D: Driver, H: Host> Loop<D, H> {
    /// Makes a slot for a descriptor of the program's own, with nothing registered yet.
    pub fn watch(&mut self, source: D::Source) -> Token {
        self.slots.insert(Slot::Watch(Watch::new(source)))
    }

    /// Ends a watch, whatever still waits for it.
    pub fn unwatch(&mut self, token: Token) -> Option<Remains<H>> {
        matches!(self.slots.get(token), Some(Slot::Watch(_))).then(|| self.release(token)).flatten()
    }

    /// Sets or clears the callback of one direction, and returns the one that was there.
    ///
    /// # Errors
    /// The driver's code; then everything is as it was before (T19), and the given callback comes back with it.
    pub fn set_callback(&mut self, token: Token, direction: Direction, callback: Option<H::Callback>) -> Registered<H> {
        let Some(Slot::Watch(watch)) = self.slots.get_mut(token) else { return Ok(None) };
        let before = std::mem::replace(&mut watch.side_mut(direction).callback, callback);
        // A callback that replaces another may do so because the descriptor was closed and its number is in use again
        // (R6). Nothing tells the two apart but the driver.
        let anew = before.is_some() && watch.side(direction).callback.is_some();
        match Self::reattach(&mut self.driver, token, watch, anew) {
            Ok(()) => Ok(before),
            Err(code) => {
                let refused = std::mem::replace(&mut watch.side_mut(direction).callback, before);
                Err((code, refused))
            }
        }
    }

    /// The callback of one direction.
    pub fn callback(&self, token: Token, direction: Direction) -> Option<&H::Callback> {
        match self.slots.get(token)? {
            Slot::Watch(watch) => watch.side(direction).callback.as_ref(),
            _ => None,
        }
    }

    /// Queues a waiter behind those of its direction. The caller has tried the operation before, unless others wait.
    ///
    /// # Errors
    /// The driver's code; then the waiter is not queued, and comes back.
    pub fn wait(&mut self, token: Token, direction: Direction, waiter: H::Waiter) -> Result<(), (Code, H::Waiter)> {
        let Some(Slot::Watch(watch)) = self.slots.get_mut(token) else { return Ok(()) };
        watch.side_mut(direction).waiters.push_back(waiter);
        match Self::reattach(&mut self.driver, token, watch, false) {
            Ok(()) => {
                self.driver.rearm(&mut watch.source, direction);
                if !std::mem::replace(&mut watch.on_rounds, true) {
                    self.rounds.join(token);
                }
                Ok(())
            }
            Err(code) => match watch.side_mut(direction).waiters.pop_back() {
                Some(waiter) => Err((code, waiter)),
                None => Ok(()),
            },
        }
    }

    /// Whether an operation must queue behind others.
    pub fn has_waiters(&self, token: Token, direction: Direction) -> bool {
        matches!(self.slots.get(token), Some(Slot::Watch(watch)) if !watch.side(direction).waiters.is_empty())
    }

    /// Takes note that the first waiter tried again in vain.
    pub fn still_waits(&mut self, token: Token, direction: Direction) {
        if let Some(Slot::Watch(watch)) = self.slots.get_mut(token) {
            self.driver.rearm(&mut watch.source, direction);
        }
    }

    /// Removes the waiter for which `is_it` holds: it is served, or was cancelled. If it was the first, the next one's
    /// turn has come, and it is scheduled to try.
    pub fn served(
        &mut self,
        token: Token,
        direction: Direction,
        is_it: impl FnMut(&H::Waiter) -> bool,
    ) -> Option<H::Waiter> {
        let Some(Slot::Watch(watch)) = self.slots.get_mut(token) else { return None };
        let waiters = &mut watch.side_mut(direction).waiters;
        let position = waiters.iter().position(is_it)?;
        let waiter = waiters.remove(position);
        if position == 0 && !waiters.is_empty() {
            self.ready.push_back(Ready::Watch(token, direction));
        }
        // Waiters beside a callback are level-triggered, and the last one's leaving must end the reports. Where the driver
        // refuses, reports that nobody wants would keep the loop from sleeping: better none, and whoever is left told.
        if let Err(code) = Self::reattach(&mut self.driver, token, watch, false) {
            self.driver.detach(&mut watch.source);
            watch.attached = None;
            self.ready.push_back(Ready::Unwatch(token, code));
        }
        waiter
    }

    /// Whether [`Loop::next_on_rounds`] has anybody to look after.
    pub const fn rounds_are_due(&self) -> bool {
        self.rounds.are_due()
    }

    /// Somebody who waits, and whose descriptor the program may have closed since; see [`rounds`](crate::rounds). To be
    /// asked before each wait until there are no more. If it was closed, call [`Loop::abandon`].
    pub fn next_on_rounds(&mut self) -> Option<(Token, H::Waiter)> {
        while let Some(token) = self.rounds.next() {
            let Some(Slot::Watch(watch)) = self.slots.get_mut(token) else { continue };
            if let Some(waiter) = watch.any_waiter().cloned() {
                self.rounds.asked(token);
                return Some((token, waiter));
            }
            watch.on_rounds = false;
        }
        None
    }

    /// Takes out all who wait for a descriptor that was closed. What is registered of callbacks stays: whoever closed the
    /// descriptor has not taken them away yet.
    pub fn abandon(&mut self, token: Token) -> Vec<H::Waiter> {
        let Some(Slot::Watch(watch)) = self.slots.get_mut(token) else { return Vec::new() };
        let mut waiters: Vec<_> = watch.side_mut(Direction::Read).waiters.drain(..).collect();
        waiters.extend(watch.side_mut(Direction::Write).waiters.drain(..));
        waiters
    }

    /// Whether a watch has neither callbacks nor waiters.
    pub fn is_idle(&self, token: Token) -> bool {
        matches!(self.slots.get(token), Some(Slot::Watch(watch)) if watch.is_idle())
    }

    /// Ends a watch that the driver has refused to go on with, unless it was registered again meanwhile.
    pub(super) fn watch_failed(&mut self, token: Token, code: Code) -> Option<Step<H>> {
        match self.slots.get(token)? {
            Slot::Watch(watch) if watch.attached.is_none() && !watch.is_idle() => {
                self.release(token).map(|remains| Step::WatchFailed(token, remains, code))
            }
            _ => None,
        }
    }

    fn reattach(driver: &mut D, token: Token, watch: &mut Watch<D, H>, anew: bool) -> Result<(), Code> {
        let wanted = watch.interest();
        if wanted == watch.attached && !anew {
            return Ok(());
        }
        match (watch.attached, wanted) {
            (_, None) => driver.detach(&mut watch.source),
            (None, Some(interest)) => driver.attach(token, &mut watch.source, interest)?,
            (Some(_), Some(interest)) => driver.change(token, &mut watch.source, interest)?,
        }
        watch.attached = wanted;
        Ok(())
    }
}
