//! Scheduled calls: which must run in which turn, in which order.

use std::collections::{BTreeMap, VecDeque};

use tulipa_core::{Instant, TimerId};

use super::world::{Phase, World};
use crate::host::Call;

#[derive(Default)]
pub(crate) struct CallBook {
    /// Scheduled and not yet part of a batch, in order.
    soon: VecDeque<Call>,
    /// Pushed by "other threads" and not yet taken in. The loop takes them in at its next `call_soon`, `timeout` or
    /// `collect`, and runs them in the order of the pushes.
    inbox: VecDeque<Call>,
    timers: BTreeMap<(Instant, u32), (Call, TimerId)>,
    /// Cancelled or fired: must never be heard of again.
    spent: Vec<TimerId>,
    /// What the present batch must still run, in order.
    batch: VecDeque<Call>,
}

impl CallBook {
    fn take_inbox(&mut self) {
        self.soon.append(&mut self.inbox);
    }

    pub(crate) fn batch_begins(&mut self) {
        self.take_inbox();
        assert!(self.batch.is_empty());
        self.batch.append(&mut self.soon);
    }

    /// What other threads have pushed since the turn began comes next, and the timers that are due come last.
    pub(crate) fn collected(&mut self, end: Instant) {
        self.batch.append(&mut self.inbox);
        while let Some(entry) = self.timers.first_entry() {
            if entry.key().0 >= end {
                break;
            }
            let (call, id) = entry.remove();
            self.spent.push(id);
            self.batch.push_back(call);
        }
    }

    pub(crate) fn turn_ended(&self) {
        assert!(self.batch.is_empty(), "the batch has left out {:?}", self.batch);
    }

    pub(crate) fn pending(&self) -> (usize, usize) {
        (self.soon.len() + self.batch.len() + self.inbox.len(), self.timers.len())
    }

    /// Every call that has not run, in no order.
    pub(crate) fn all(&self) -> Vec<Call> {
        let timers = self.timers.values().map(|(call, _)| *call);
        let mut all: Vec<_> = self.soon.iter().chain(&self.batch).chain(&self.inbox).copied().chain(timers).collect();
        all.sort();
        all
    }
}

impl World {
    pub(crate) fn call_soon(&mut self) {
        let call = Call(self.fresh_id());
        self.calls.take_inbox();
        self.calls.soon.push_back(call);
        self.lp.call_soon(call);
    }

    pub(crate) fn call_from_another_thread(&mut self) {
        let call = Call(self.fresh_id());
        self.calls.inbox.push_back(call);
        let waker = self.lp.driver().waker();
        self.inbox.push(call, &waker);
    }

    pub(crate) fn call_later(&mut self) {
        let call = Call(self.fresh_id());
        let delay = match self.dice.below(4) {
            0 => 0.0,
            1 => -1.0,
            2 => self.dice.secs((0.0, 0.001)),
            // A few equal deadlines among them.
            _ => f64::from(u8::try_from(self.dice.below(8)).unwrap()) * 0.0625,
        };
        let when = self.lp.now().after(delay);
        let id = self.lp.call_at(when, call);
        self.calls.timers.insert((when, call.0), (call, id));
    }

    pub(crate) fn cancel_timer(&mut self) {
        let nth = self.dice.below(self.calls.timers.len());
        if let Some(key) = self.calls.timers.keys().nth(nth).copied() {
            let (call, id) = self.calls.timers.remove(&key).unwrap();
            assert_eq!(self.lp.cancel_timer(id), Some(call));
            self.calls.spent.push(id);
        }
        if let Some(id) = self.dice.pick(&self.calls.spent) {
            assert_eq!(self.lp.cancel_timer(*id), None, "a timer is cancelled once, and never after it fired");
        }
    }

    pub(crate) fn called(&mut self, call: Call) {
        self.mark("call", call.0);
        if self.watch_called(call) {
            return;
        }
        assert_eq!(self.calls.batch.pop_front(), Some(call), "calls run in the order in which they were due");
        if self.phase == Phase::Wild {
            self.act();
        }
    }
}
