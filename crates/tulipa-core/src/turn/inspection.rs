//! Looking into a loop, and ending one.

use super::{Load, Loop, Remains, Slot};
use crate::datagram::Datagram;
use crate::driver::Driver;
use crate::host::{Held, Host};
use crate::listener::Listener;
use crate::ready::Ready;
use crate::stream::Stream;
use crate::token::Token;
use crate::watch::Direction;

impl<D: Driver, H: Host> Loop<D, H> {
    /// How much there is to do.
    pub fn load(&self) -> Load {
        let idle = self.slots.iter().filter(|(_, slot)| matches!(slot, Slot::Watch(watch) if watch.is_idle())).count();
        Load {
            ready: self.ready.len() + usize::from(self.inbox.is_pending()),
            timers: self.timers.len(),
            open: self.slots.len() - idle,
        }
    }

    /// The calls in the ready queue, in order.
    pub fn ready_calls(&self) -> impl Iterator<Item = &H::Callback> {
        self.ready.iter().filter_map(|ready| match ready {
            Ready::Call(callback) => Some(callback),
            _ => None,
        })
    }

    /// The calls that wait for their deadline, in no order.
    pub fn timer_calls(&self) -> impl Iterator<Item = &H::Callback> {
        self.timers.iter()
    }

    /// The owner of a stream or datagram socket.
    pub fn transport(&self, token: Token) -> Option<&H::Owner> {
        match self.slots.get(token)? {
            Slot::Stream(stream) => Some(&stream.owner),
            Slot::Datagram(datagram, _) => Some(&datagram.owner),
            Slot::Listener(_) | Slot::Watch(_) => None,
        }
    }

    /// What the driver has of a slot.
    pub fn source(&mut self, token: Token) -> Option<&mut D::Source> {
        match self.slots.get_mut(token)? {
            Slot::Stream(stream) => Some(&mut stream.source),
            Slot::Datagram(datagram, _) => Some(&mut datagram.source),
            Slot::Listener(listener) => Some(&mut listener.source),
            Slot::Watch(watch) => Some(&mut watch.source),
        }
    }

    /// Everything of the program's that the loop holds a reference to, for a garbage collector (R9). Calls from other
    /// threads that were not yet taken in are not among them.
    pub fn held<'a>(&'a self, visit: &mut dyn FnMut(Held<'a, H>)) {
        for callback in self.ready_calls().chain(self.timer_calls()) {
            visit(Held::Callback(callback));
        }
        for (_, slot) in self.slots.iter() {
            match slot {
                Slot::Stream(stream) => visit(Held::Owner(&stream.owner)),
                Slot::Datagram(datagram, _) => visit(Held::Owner(&datagram.owner)),
                Slot::Listener(listener) => visit(Held::Owner(&listener.owner)),
                Slot::Watch(watch) => {
                    for side in [watch.side(Direction::Read), watch.side(Direction::Write)] {
                        side.callback.iter().for_each(|callback| visit(Held::Callback(callback)));
                        side.waiters.iter().for_each(|waiter| visit(Held::Waiter(waiter)));
                    }
                }
            }
        }
    }

    /// Forgets everything, closes what the driver owns, and hands the program's things back to be dropped. What was
    /// written since the last turn is offered to the world first (rule 2 of [`stream`](crate::stream)).
    pub fn clear(&mut self) -> Vec<Remains<H>> {
        self.flush();
        self.driver.last_call();
        for slot in self.slots.values_mut() {
            if let Slot::Stream(stream) = slot {
                stream.flush_finally(&mut self.driver);
            }
        }
        let mut callbacks: Vec<_> = self
            .ready
            .drain(..)
            .filter_map(|ready| match ready {
                Ready::Call(callback) => Some(callback),
                _ => None,
            })
            .collect();
        callbacks.extend(self.timers.drain());
        callbacks.extend(self.inbox.take());
        self.batch = 0;
        self.dirty.clear();
        self.again.clear();
        self.rounds.clear();
        let mut remains = vec![Remains { owner: None, callbacks, waiters: Vec::new() }];
        remains.extend(self.slots.drain().map(|slot| Self::dismantle(&mut self.driver, slot)));
        remains
    }

    pub(super) fn owner(&self, token: Token) -> Option<H::Owner> {
        match self.slots.get(token)? {
            Slot::Stream(stream) => Some(stream.owner.clone()),
            Slot::Datagram(datagram, _) => Some(datagram.owner.clone()),
            Slot::Listener(listener) => Some(listener.owner.clone()),
            Slot::Watch(_) => None,
        }
    }

    pub(super) fn dismantle(driver: &mut D, slot: Slot<D, H>) -> Remains<H> {
        let (source, remains) = match slot {
            Slot::Stream(Stream { source, owner, .. })
            | Slot::Listener(Listener { source, owner, .. })
            | Slot::Datagram(Datagram { source, owner, .. }, _) => {
                (source, Remains { owner: Some(owner), callbacks: Vec::new(), waiters: Vec::new() })
            }
            Slot::Watch(mut watch) => {
                let (mut callbacks, mut waiters) = (Vec::new(), Vec::new());
                for direction in [Direction::Read, Direction::Write] {
                    let side = watch.side_mut(direction);
                    callbacks.extend(side.callback.take());
                    waiters.extend(side.waiters.drain(..));
                }
                (watch.source, Remains { owner: None, callbacks, waiters })
            }
        };
        driver.close(source);
        remains
    }
}
