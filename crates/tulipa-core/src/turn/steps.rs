//! From completions to entries of the ready queue, and from those to steps.

use super::{Loop, Slot, Step};
use crate::driver::{Completion, Driver};
use crate::host::Host;
use crate::ready::Ready;
use crate::stream::Effects;
use crate::token::Token;
use crate::watch::{Direction, Watch};

impl<D: Driver, H: Host> Loop<D, H> {
    pub(super) fn completed(&mut self, completion: Completion) {
        let token = completion.token;
        match self.slots.get_mut(token) {
            Some(Slot::Stream(stream)) => {
                let (effects, write) = stream.completed(completion);
                if effects.read {
                    self.ready.push_back(Ready::Read(token));
                }
                self.apply(token, Effects { read: false, ..effects });
                if write {
                    self.ready.push_back(Ready::Write(token));
                }
            }
            Some(Slot::Watch(watch)) => {
                let failed = completion.hangup;
                let (read, write) = (
                    (completion.readable || failed) && wants(watch, Direction::Read),
                    (completion.writable || failed) && wants(watch, Direction::Write),
                );
                if read {
                    self.ready.push_back(Ready::Watch(token, Direction::Read));
                }
                if write {
                    self.ready.push_back(Ready::Watch(token, Direction::Write));
                }
            }
            Some(Slot::Datagram(datagram, _)) => {
                if completion.readable || completion.hangup {
                    datagram.reported();
                    self.ready.push_back(Ready::Read(token));
                }
                if completion.writable {
                    self.ready.push_back(Ready::Write(token));
                }
            }
            Some(Slot::Listener(_)) => self.ready.push_back(Ready::Read(token)),
            None => {}
        }
    }

    pub(super) fn readable(&mut self, token: Token) -> Option<Step<H>> {
        match self.slots.get_mut(token)? {
            Slot::Stream(stream) => {
                if let Some(effects) = stream.peer_gone() {
                    self.apply(token, effects);
                    return None;
                }
                Some(Step::Readable(token, stream.owner.clone()))
            }
            Slot::Datagram(datagram, _) => datagram.is_reading().then(|| Step::Readable(token, datagram.owner.clone())),
            Slot::Listener(listener) => (!listener.paused).then(|| Step::Acceptable(token, listener.owner.clone())),
            Slot::Watch(_) => None,
        }
    }

    pub(super) fn writable(&mut self, token: Token) -> Option<Step<H>> {
        match self.slots.get_mut(token)? {
            Slot::Stream(stream) => {
                let effects = stream.write_ready(&mut self.driver);
                self.apply_now(token, effects);
                None
            }
            Slot::Datagram(datagram, _) => {
                let (result, effects) = datagram.flush(&mut self.driver);
                let owner = datagram.owner.clone();
                self.apply_now(token, effects);
                self.renew(token);
                let code = result.err()?;
                // The rest follows once the owner has heard of this one.
                self.ready.push_front(Ready::Write(token));
                self.batch += 1;
                Some(Step::SendFailed(token, owner, code))
            }
            _ => None,
        }
    }

    pub(super) fn settle(&mut self, token: Token) -> Option<Step<H>> {
        match self.slots.get_mut(token)? {
            Slot::Stream(stream) => {
                let (tell, result) = stream.settle(&mut self.driver);
                let owner = stream.owner.clone();
                let effects = match result {
                    Ok(effects) => effects,
                    Err(code) => stream.fail(Some(code)),
                };
                self.apply_now(token, effects);
                tell.then_some(Step::Drained(token, owner))
            }
            Slot::Datagram(datagram, _) => {
                let effects = datagram.settle();
                self.apply_now(token, effects);
                None
            }
            _ => None,
        }
    }

    pub(super) fn lost(&self, token: Token) -> Option<Step<H>> {
        match self.slots.get(token)? {
            Slot::Stream(stream) => Some(Step::Lost(token, stream.owner.clone(), stream.fault())),
            Slot::Datagram(datagram, _) => Some(Step::Lost(token, datagram.owner.clone(), datagram.fault())),
            _ => None,
        }
    }

    pub(super) fn watched(&mut self, token: Token, direction: Direction) -> Option<Step<H>> {
        let Slot::Watch(watch) = self.slots.get(token)? else { return None };
        let side = watch.side(direction);
        let Some(waiter) = side.waiters.front().cloned() else { return side.callback.clone().map(Step::Call) };
        if side.callback.is_some() {
            self.ready.push_front(Ready::WatchCallback(token, direction));
            self.batch += 1;
        }
        Some(Step::Retry(token, direction, waiter))
    }

    /// Schedules what a change has made due.
    #[inline]
    pub(super) fn apply(&mut self, token: Token, effects: Effects) {
        // Nearly always at most one of these, and for most calls none.
        if effects.flush {
            self.dirty.push(token);
        }
        if effects.read {
            self.again.push(token);
        }
        if (effects.resume || effects.settle || effects.lost) && self.inbox.is_pending() {
            // Calls that were made before come first.
            self.take_inbox();
        }
        if effects.resume {
            self.ready.push_back(Ready::Resume(token));
        }
        if effects.settle {
            self.ready.push_back(Ready::Settle(token));
        }
        if effects.lost {
            self.ready.push_back(Ready::Lost(token));
        }
    }

    /// The same, within the present turn: what follows from a completion belongs to it.
    pub(super) fn apply_now(&mut self, token: Token, effects: Effects) {
        let due = [
            (effects.lost, Ready::Lost(token)),
            (effects.settle, Ready::Settle(token)),
            (effects.resume, Ready::Resume(token)),
        ];
        for (due, ready) in due {
            if due {
                self.ready.push_front(ready);
                self.batch += 1;
            }
        }
    }
}

fn wants<D: Driver, H: Host>(watch: &Watch<D, H>, direction: Direction) -> bool {
    let side = watch.side(direction);
    side.callback.is_some() || !side.waiters.is_empty()
}
