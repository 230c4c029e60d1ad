//! What can go wrong in a simulated world, and how often.

use crate::driver::Code;

use super::seed::{Chance, Seed};

/// An operation that a test can make fail; see [`SimDriver::fail_next`](super::SimDriver::fail_next).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// [`Driver::attach`](crate::Driver::attach).
    Attach,
    /// [`Driver::change`](crate::Driver::change).
    Change,
    /// [`Driver::read`](crate::Driver::read).
    Read,
    /// [`Driver::write`](crate::Driver::write).
    Write,
    /// [`Driver::finish_write`](crate::Driver::finish_write).
    FinishWrite,
    /// [`Driver::accept`](crate::Driver::accept).
    Accept,
    /// [`Driver::receive`](crate::Driver::receive).
    Receive,
    /// [`Driver::send`](crate::Driver::send).
    Send,
}

/// The rules of a world's misfortunes. Every one of them can happen to a program on a real kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Faults {
    /// A read takes less than what has arrived; the rest shows up as newly arrived.
    pub short_reads: Chance,
    /// A write takes less than there is room for.
    pub short_writes: Chance,
    /// A write goes on in the background: it is "not now" at first, and its count comes with the next attempt after a
    /// report, as where threads write to a disk.
    pub background_writes: Chance,
    /// What is written at once arrives in several pieces.
    pub cuts: Chance,
    /// How long a piece travels, in seconds, from the least to the most. The differences reorder connections against
    /// each other, and datagrams; bytes of one connection keep their order.
    pub latency_secs: (f64, f64),
    /// How many bytes a connection holds per direction, from the least to the most.
    pub buffer_bytes: (usize, usize),
    /// A connection is reset while a piece travels on it.
    pub resets: Chance,
    /// A connection times out, on both ends, when something is written.
    pub time_outs: Chance,
    /// A reset throws away what has arrived and was not read. (Some kernels do.)
    pub resets_discard: bool,
    /// Registering a source fails.
    pub refused_attaches: Chance,
    /// Accepting fails for lack of descriptors, though the limit is not reached.
    pub refused_accepts: Chance,
    /// How many sources the program may have open before accepting fails.
    pub descriptors_max: usize,
    /// A datagram gets lost.
    pub lost_datagrams: Chance,
    /// A datagram arrives twice.
    pub doubled_datagrams: Chance,
    /// A gathering also reports a source to which nothing has happened.
    pub spurious: Chance,
    /// A closed or detached source is reported once more, later, under its old token.
    pub stale: Chance,
    /// What has happened to a source is reported one gathering later.
    pub held_back: Chance,
    /// A report also tells what else the source is ready for, as `epoll` does.
    pub tells_all: bool,
    /// A report tells of the peer's end, as `epoll` does and `select` cannot.
    pub tells_hangup: bool,
    /// A wait ends before its time, with nothing to report.
    pub early_wakes: Chance,
    /// A wait ends after its time, by up to this many seconds.
    pub late_wakes_secs: f64,
    /// How much time a turn takes by itself, at the most, in seconds.
    pub turn_secs: f64,
}

impl Default for Faults {
    fn default() -> Self {
        Self::none()
    }
}

impl Faults {
    /// A world where nothing goes wrong, in no time at all, with buffers of 64 KiB.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            short_reads: Chance::NEVER,
            short_writes: Chance::NEVER,
            background_writes: Chance::NEVER,
            cuts: Chance::NEVER,
            latency_secs: (0.0, 0.0),
            buffer_bytes: (65_536, 65_536),
            resets: Chance::NEVER,
            time_outs: Chance::NEVER,
            resets_discard: false,
            refused_attaches: Chance::NEVER,
            refused_accepts: Chance::NEVER,
            descriptors_max: usize::MAX,
            lost_datagrams: Chance::NEVER,
            doubled_datagrams: Chance::NEVER,
            spurious: Chance::NEVER,
            stale: Chance::NEVER,
            held_back: Chance::NEVER,
            tells_all: false,
            tells_hangup: true,
            early_wakes: Chance::NEVER,
            late_wakes_secs: 0.0,
            turn_secs: 1e-6,
        }
    }

    /// One of all the worlds there are. Each rule is off in half of them, so that no misfortune hides another.
    #[must_use]
    pub fn seeded(seed: Seed) -> Self {
        let mut dice = seed.part(0xfa).dice();
        let mut chance = |most: usize| {
            if dice.happens(Chance::percent(50.0)) {
                Chance::NEVER
            } else {
                #[expect(clippy::cast_precision_loss, reason = "at most a hundred")]
                Chance::percent(dice.between(1, most) as f64)
            }
        };
        let (short_reads, short_writes, cuts) = (chance(60), chance(60), chance(60));
        let (resets, time_outs) = (chance(3), chance(2));
        let (refused_attaches, refused_accepts) = (chance(3), chance(20));
        let (lost_datagrams, doubled_datagrams) = (chance(20), chance(20));
        let (spurious, stale, held_back, early_wakes) = (chance(30), chance(80), chance(30), chance(30));
        let coin = Chance::percent(50.0);
        let longest = if dice.happens(coin) { 0.0 } else { 0.05 };
        let least = if dice.happens(coin) { dice.between(1, 64) } else { dice.between(64, 4096) };
        let mut faults = Self {
            short_reads,
            short_writes,
            background_writes: Chance::NEVER,
            cuts,
            latency_secs: (0.0, longest),
            buffer_bytes: (least, least * dice.between(1, 16)),
            resets,
            time_outs,
            resets_discard: dice.happens(coin),
            refused_attaches,
            refused_accepts,
            descriptors_max: if dice.happens(coin) { usize::MAX } else { dice.between(2, 8) },
            lost_datagrams,
            doubled_datagrams,
            spurious,
            stale,
            held_back,
            tells_all: dice.happens(coin),
            tells_hangup: dice.happens(coin),
            early_wakes,
            late_wakes_secs: if dice.happens(coin) { 0.0 } else { 0.01 },
            turn_secs: 1e-4,
        };
        if dice.happens(coin) {
            faults.background_writes = Chance::percent(30.0);
        }
        faults
    }
}

/// Failures that a test has ordered, each for the next operation of its kind.
#[derive(Debug, Default)]
pub(super) struct Orders(Vec<(Operation, Code)>);

impl Orders {
    pub(super) fn add(&mut self, operation: Operation, code: Code) {
        self.0.push((operation, code));
    }

    pub(super) fn check(&mut self, operation: Operation) -> Result<(), Code> {
        match self.0.iter().position(|(ordered, _)| *ordered == operation) {
            Some(at) => Err(self.0.remove(at).1),
            None => Ok(()),
        }
    }
}
