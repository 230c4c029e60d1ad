//! Deadlines: a few queues that are in order by themselves, a heap for what is not, and lazy cancellation.
//!
//! 1. Programs use few different delays, and the timers of one delay come in the order of their deadlines. So a timer is
//!    appended to one of [`RUNS`] queues, to the one whose last deadline is the greatest that it does not come before. (No
//!    choice needs fewer queues; as many as there are delays are always enough.) Setting and firing move nothing there.
//!    Where a timer comes before all of these, the shortest queue is emptied into the heap, and begins anew with it.
//! 2. Cancelling takes the callback out at once. The entry goes with it if it is the last of its queue; otherwise it stays
//!    as a husk. Husks are dropped when they come to the front, or all together once they outnumber the living. Programs
//!    that set a timeout for each request and cancel nearly all of them (which is most programs) so pay one push and one
//!    removal from a slab.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use slab::Slab;

use crate::time::Instant;

/// How many queues there are: each is looked at whenever the earliest deadline is asked for.
const RUNS: usize = 4;

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

/// Ordered by deadline, equal deadlines in the order in which they were set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    when: Instant,
    serial: u64,
    index: usize,
}

/// Where an entry is.
#[derive(Clone, Copy)]
enum Place {
    Run(usize),
    Heap,
}

#[derive(Debug)]
pub(crate) struct Timers<C> {
    runs: [VecDeque<Entry>; RUNS],
    heap: BinaryHeap<Reverse<Entry>>,
    pending: Slab<(u64, C)>,
    serial: u64,
}

impl<C> Timers<C> {
    pub(crate) const fn new() -> Self {
        Self { runs: [const { VecDeque::new() }; RUNS], heap: BinaryHeap::new(), pending: Slab::new(), serial: 0 }
    }

    pub(crate) fn insert(&mut self, when: Instant, callback: C) -> TimerId {
        self.serial += 1;
        let serial = self.serial;
        let index = self.pending.insert((serial, callback));
        let entry = Entry { when, serial, index };
        let run = self.run_for(when);
        self.runs[run].push_back(entry);
        TimerId { index, serial }
    }

    /// Cancels a timer and hands its callback back; `None` if it has fired or was cancelled before.
    pub(crate) fn cancel(&mut self, id: TimerId) -> Option<C> {
        if !lives(&self.pending, id.serial, id.index) {
            return None;
        }
        let (_, callback) = self.pending.remove(id.index);
        if let Some(run) = self.runs.iter_mut().find(|run| run.back().is_some_and(|last| last.serial == id.serial)) {
            run.pop_back();
        }
        let husks = self.entries() - self.pending.len();
        if husks > HUSKS_MIN && husks > self.pending.len() {
            self.sweep();
        }
        Some(callback)
    }

    /// The earliest deadline.
    #[inline]
    pub(crate) fn next_deadline(&mut self) -> Option<Instant> {
        self.first().map(|(entry, _)| entry.when)
    }

    /// Takes out the earliest timer if its deadline lies before `end`.
    #[inline]
    pub(crate) fn pop_due(&mut self, end: Instant) -> Option<C> {
        let (entry, place) = self.first().filter(|(entry, _)| entry.when < end)?;
        self.remove_first(place);
        Some(self.pending.remove(entry.index).1)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &C> {
        self.pending.iter().map(|(_, (_, callback))| callback)
    }

    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }

    pub(crate) fn drain(&mut self) -> Vec<C> {
        self.heap.clear();
        self.runs.iter_mut().for_each(VecDeque::clear);
        self.pending.drain().map(|(_, callback)| callback).collect()
    }

    /// The queue that a deadline can be appended to; of several, the one that ends closest to it.
    #[inline]
    fn run_for(&mut self, when: Instant) -> usize {
        let mut best: Option<(usize, Option<Instant>)> = None;
        for (number, run) in self.runs.iter().enumerate() {
            let last = run.back().map(|entry| entry.when);
            // An empty queue counts as one that ended long ago.
            if last.is_none_or(|last| last <= when) && best.is_none_or(|(_, best)| last > best) {
                best = Some((number, last));
            }
        }
        match best {
            Some((number, _)) => number,
            None => self.make_room(),
        }
    }

    /// Empties the shortest queue into the heap. An entry goes that way once at most.
    fn make_room(&mut self) -> usize {
        let (mut shortest, mut length) = (0, usize::MAX);
        for (number, run) in self.runs.iter().enumerate() {
            if run.len() < length {
                (shortest, length) = (number, run.len());
            }
        }
        let living = |entry: &Entry| lives(&self.pending, entry.serial, entry.index);
        self.heap.extend(self.runs[shortest].drain(..).filter(living).map(Reverse));
        shortest
    }

    /// The earliest entry that is no husk.
    #[inline]
    fn first(&mut self) -> Option<(Entry, Place)> {
        loop {
            let mut first = self.heap.peek().map(|Reverse(entry)| (*entry, Place::Heap));
            for (number, run) in self.runs.iter().enumerate() {
                if let Some(entry) = run.front()
                    && first.is_none_or(|(first, _)| *entry < first)
                {
                    first = Some((*entry, Place::Run(number)));
                }
            }
            let (entry, place) = first?;
            if lives(&self.pending, entry.serial, entry.index) {
                return Some((entry, place));
            }
            self.remove_first(place);
        }
    }

    fn remove_first(&mut self, place: Place) {
        match place {
            Place::Run(run) => {
                self.runs[run].pop_front();
            }
            Place::Heap => {
                self.heap.pop();
            }
        }
    }

    /// How many entries there are, husks included.
    fn entries(&self) -> usize {
        self.heap.len() + self.runs.iter().map(VecDeque::len).sum::<usize>()
    }

    #[cold]
    fn sweep(&mut self) {
        let pending = &self.pending;
        self.heap.retain(|Reverse(entry)| lives(pending, entry.serial, entry.index));
        for run in &mut self.runs {
            run.retain(|entry| lives(pending, entry.serial, entry.index));
        }
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
        /// Queues and heap do what a sorted list of (deadline, order of setting) does.
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
                prop_assert!(timers.entries() <= 2 * list.len() + super::HUSKS_MIN + 1);
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
    fn timers_of_a_few_delays_need_no_heap() {
        let mut timers = Timers::new();
        let delays = [60.0, 0.5, 10.0, 3600.0];
        for now in 0..100 {
            for delay in delays {
                timers.insert(Instant::from_secs(f64::from(now) + delay), now);
            }
        }
        assert_eq!(timers.heap.len(), 0);
        assert_eq!(timers.len(), 400);
        assert_eq!(fire_all(&mut timers, 10.0), (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn husks_are_swept_also_when_the_last_ones_are_cancelled() {
        let mut timers = Timers::new();
        let ids: Vec<_> = (0..1000).map(|i| timers.insert(Instant::from_secs(f64::from(i)), i)).collect();
        for id in ids[1..490].iter().chain(ids[490..].iter().rev()) {
            timers.cancel(*id);
        }
        assert_eq!(timers.len(), 1);
        assert!(timers.entries() <= 2 + super::HUSKS_MIN, "{} entries left", timers.entries());
    }

    #[test]
    fn short_delays_have_a_queue_however_many_long_ones_there_are() {
        let mut timers = Timers::new();
        for number in 0..10_000 {
            timers.insert(Instant::from_secs(f64::from(3600 + number % 977)), number);
        }
        timers.insert(Instant::from_secs(1.0), 1);
        let in_heap = timers.heap.len();
        for number in 2..100 {
            timers.insert(Instant::from_secs(f64::from(number)), number);
        }
        assert_eq!(timers.heap.len(), in_heap);
        assert_eq!(fire_all(&mut timers, 100.0), (1..100).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_cancelled_at_once_leaves_nothing_behind() {
        let mut timers = Timers::new();
        timers.insert(Instant::from_secs(5.0), 0);
        for i in 0..10 {
            let id = timers.insert(Instant::from_secs(60.0), i);
            timers.cancel(id);
        }
        assert_eq!(timers.entries(), 1);
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
        assert!(timers.entries() < 200, "{} entries left", timers.entries());
        assert_eq!(fire_all(&mut timers, 1e9), [0]);
    }
}
