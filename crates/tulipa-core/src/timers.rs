//! Deadlines: a heap with lazy cancellation.
//!
//! Cancelling takes the callback out at once and leaves a husk in the heap; husks are dropped when they come to the
//! top, or all together once they outnumber the living. Programs that set a timeout for each request and cancel nearly
//! all of them (which is most programs) so pay one push and one removal from a slab.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use slab::Slab;

use crate::time::Instant;

/// Fewer husks than this are never worth a compaction.
const HUSKS_MIN: usize = 64;

/// The name of one timer, good until it fires or is cancelled, and harmless after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerId {
    index: usize,
    serial: u64,
}

impl TimerId {
    /// The name as two numbers, for a world above that keeps names in plain memory. The second is never zero.
    #[must_use]
    pub const fn into_parts(self) -> (usize, u64) {
        (self.index, self.serial)
    }

    /// The name that [`TimerId::into_parts`] gave these numbers for. Any numbers are safe: a name of no timer cancels
    /// none.
    #[must_use]
    pub const fn from_parts((index, serial): (usize, u64)) -> Self {
        Self { index, serial }
    }
}

/// An entry of the heap, smallest deadline first, equal deadlines in the order in which they were set.
type Entry = Reverse<(Instant, u64, usize)>;

#[derive(Debug)]
pub(crate) struct Timers<C> {
    heap: BinaryHeap<Entry>,
    pending: Slab<(u64, C)>,
    serial: u64,
}

impl<C> Timers<C> {
    pub(crate) const fn new() -> Self {
        Self { heap: BinaryHeap::new(), pending: Slab::new(), serial: 0 }
    }

    pub(crate) fn insert(&mut self, when: Instant, callback: C) -> TimerId {
        self.serial += 1;
        let serial = self.serial;
        let index = self.pending.insert((serial, callback));
        self.heap.push(Reverse((when, serial, index)));
        TimerId { index, serial }
    }

    /// Cancels a timer and hands its callback back; `None` if it has fired or was cancelled before.
    pub(crate) fn cancel(&mut self, id: TimerId) -> Option<C> {
        if !self.lives(id.serial, id.index) {
            return None;
        }
        let (_, callback) = self.pending.remove(id.index);
        let husks = self.heap.len() - self.pending.len();
        if husks > HUSKS_MIN && husks > self.pending.len() {
            let pending = &self.pending;
            self.heap.retain(|Reverse((_, serial, index))| lives(pending, *serial, *index));
        }
        Some(callback)
    }

    /// The earliest deadline.
    pub(crate) fn next_deadline(&mut self) -> Option<Instant> {
        while let Some(Reverse((when, serial, index))) = self.heap.peek() {
            if self.lives(*serial, *index) {
                return Some(*when);
            }
            self.heap.pop();
        }
        None
    }

    /// Takes out the earliest timer if its deadline lies before `end`.
    pub(crate) fn pop_due(&mut self, end: Instant) -> Option<C> {
        if self.next_deadline()? >= end {
            return None;
        }
        let Reverse((_, _, index)) = self.heap.pop()?;
        Some(self.pending.remove(index).1)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &C> {
        self.pending.iter().map(|(_, (_, callback))| callback)
    }

    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }

    pub(crate) fn drain(&mut self) -> Vec<C> {
        self.heap.clear();
        self.pending.drain().map(|(_, callback)| callback).collect()
    }

    fn lives(&self, serial: u64, index: usize) -> bool {
        lives(&self.pending, serial, index)
    }
}

fn lives<C>(pending: &Slab<(u64, C)>, serial: u64, index: usize) -> bool {
    pending.get(index).is_some_and(|(own, _)| *own == serial)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Instant, Timers};

    #[derive(Clone, Debug)]
    enum Act {
        Set(u8),
        Cancel(usize),
        Fire(u8),
        NextDeadline,
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            4 => any::<u8>().prop_map(Act::Set),
            4 => any::<usize>().prop_map(Act::Cancel),
            1 => any::<u8>().prop_map(Act::Fire),
            1 => Just(Act::NextDeadline),
        ]
    }

    proptest! {
        /// The heap does what a sorted list of (deadline, order of setting) does.
        #[test]
        fn timers_are_a_sorted_list(acts in prop::collection::vec(act(), 0..600)) {
            let mut timers = Timers::new();
            let mut list: Vec<(u8, u32)> = Vec::new();
            let mut ids = Vec::new();
            for (serial, act) in (0..).zip(acts) {
                match act {
                    Act::Set(when) => {
                        ids.push((timers.insert(Instant::from_secs(f64::from(when)), serial), serial));
                        list.push((when, serial));
                    }
                    Act::Cancel(nth) if !ids.is_empty() => {
                        let (id, serial) = ids[nth % ids.len()];
                        let found = list.iter().position(|(_, own)| *own == serial).map(|at| list.remove(at).1);
                        prop_assert_eq!(timers.cancel(id), found);
                    }
                    Act::Cancel(_) => {}
                    Act::Fire(end) => {
                        list.sort_unstable();
                        let due = list.iter().take_while(|(when, _)| *when < end).count();
                        let due: Vec<u32> = list.drain(..due).map(|(_, serial)| serial).collect();
                        prop_assert_eq!(fire_all(&mut timers, f64::from(end)), due);
                    }
                    Act::NextDeadline => {
                        let first = list.iter().min().map(|(when, _)| Instant::from_secs(f64::from(*when)));
                        prop_assert_eq!(timers.next_deadline(), first);
                    }
                }
                prop_assert_eq!(timers.len(), list.len());
                prop_assert!(timers.heap.len() <= 2 * list.len() + super::HUSKS_MIN + 1);
            }
            let (mut left, mut expected): (Vec<u32>, Vec<u32>) =
                (timers.iter().copied().collect(), list.iter().map(|(_, serial)| *serial).collect());
            left.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(left, expected);
        }
    }

    fn fire_all(timers: &mut Timers<u32>, end: f64) -> Vec<u32> {
        std::iter::from_fn(|| timers.pop_due(Instant::from_secs(end))).collect()
    }

    #[test]
    fn equal_deadlines_fire_in_the_order_in_which_they_were_set() {
        let mut timers = Timers::new();
        for (name, when) in [(1, 2.0), (2, 1.0), (3, 2.0), (4, 1.0), (5, -1.0)] {
            timers.insert(Instant::from_secs(when), name);
        }
        assert_eq!(fire_all(&mut timers, 3.0), [5, 2, 4, 1, 3]);
        assert_eq!(timers.len(), 0);
    }

    #[test]
    fn a_deadline_at_the_end_is_not_yet_due() {
        let mut timers = Timers::new();
        timers.insert(Instant::from_secs(1.0), 1);
        assert_eq!(fire_all(&mut timers, 1.0), []);
        assert_eq!(fire_all(&mut timers, 1.5), [1]);
    }

    #[test]
    fn cancelling_hands_the_callback_back_once_and_never_reaches_a_later_timer() {
        let mut timers = Timers::new();
        let first = timers.insert(Instant::from_secs(1.0), 1);
        assert_eq!(timers.cancel(first), Some(1));
        let _second = timers.insert(Instant::from_secs(1.0), 2);
        assert_eq!(timers.cancel(first), None);
        assert_eq!(fire_all(&mut timers, 2.0), [2]);
    }

    #[test]
    fn husks_are_swept_once_they_outnumber_the_living() {
        let mut timers = Timers::new();
        let ids: Vec<_> = (0..10_000).map(|i| timers.insert(Instant::from_secs(f64::from(i)), i)).collect();
        for id in &ids[1..] {
            timers.cancel(*id);
        }
        assert_eq!(timers.len(), 1);
        assert!(timers.heap.len() < 200, "{} entries left", timers.heap.len());
        assert_eq!(fire_all(&mut timers, 1e9), [0]);
    }
}
