//! A byte stream: a connected socket, a pipe end, a terminal.
//!
//! A stream goes through four phases, always in this order, skipping any but the last two:
//!
//! | phase    | reads | takes writes | leaves it when                                              |
//! |----------|-------|--------------|-------------------------------------------------------------|
//! | open     | yes   | yes          | `close`, `abort`, a failure, the end of what the peer sends |
//! | draining | no    | yes          | the last byte is written, `abort`, a failure                |
//! | lost     | no    | drops them   | `connection_lost` has run and the owner released the slot   |
//! | (gone)   | –     | –            | the token resolves to nothing                               |
//!
//! 1. Bytes leave in the order in which they were written, or the stream fails; none is skipped (G10).
//! 2. What is written in one turn leaves in one call: writing marks the stream dirty, and the turn flushes it before
//!    the loop can sleep. It leaves at once where asyncio's promises would break otherwise: when the buffer would pass
//!    the high-water mark (only what the world then refuses counts against it), when its size is asked for, before
//!    `write_eof`, `close` and `abort`, and outside a turn; and between two steps of a turn in which all streams
//!    together were given much to write.
//! 3. `connection_lost` is scheduled exactly once, when the phase becomes *lost* (R4).
//! 4. A stream never reads while it is paused, and knows whether there is something to read when it resumes: edges that
//!    come meanwhile are kept in `readable`.

mod close;
mod flow;
mod read;
mod write;

pub use read::Read;
pub use write::Written;

use crate::driver::{Code, Driver, Interest, Trigger};
use crate::host::Host;
use crate::outgoing::Outgoing;
pub(crate) use flow::WaterMarks;

/// Which ends of a stream are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// It reads and writes, and can close its writing half alone.
    Both,
    /// It only reads, as the reading end of a pipe does.
    Read,
    /// It only writes.
    Write {
        /// Whether becoming readable means that the reader has gone, as it does for pipes and sockets, but not for a
        /// terminal that somebody types on.
        watch_peer: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    Draining,
    Lost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// `connection_made` has not run yet.
    NotStarted,
    On,
    /// The peer has said that nothing more will come.
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WriteHalf {
    Open,
    /// To be closed once the buffer is empty.
    Closing,
    Closed,
}

/// The state of one stream. See the table and the rules on top of this file.
pub(crate) struct Stream<D: Driver, H: Host> {
    pub(crate) source: D::Source,
    pub(crate) owner: H::Owner,
    ends: Ends,
    phase: Phase,
    reading: Reading,
    /// The owner wants no bytes for now.
    paused: bool,
    /// There may be something to read that nobody took yet.
    readable: bool,
    /// A read is in the ready queue.
    read_queued: bool,
    /// The peer is gone or going: read until the end shows.
    hangup: bool,
    write_half: WriteHalf,
    outgoing: Outgoing<H::Chunk>,
    /// The last write did not take everything; a completion will say when to go on.
    blocked: bool,
    /// In the list of streams to flush at the end of the turn.
    dirty: bool,
    marks: WaterMarks,
    /// Somebody waits for the buffer to be empty.
    tell_drained: bool,
    fault: Option<Code>,
}

/// What must go into the ready queue after a change to a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Effects {
    /// `resume_writing` is due.
    pub(crate) resume: bool,
    /// The buffer may be empty, and something waits for that.
    pub(crate) settle: bool,
    /// `connection_lost` is due.
    pub(crate) lost: bool,
    /// A read is due.
    pub(crate) read: bool,
    /// The stream is to be flushed before the loop sleeps.
    pub(crate) flush: bool,
}

impl<D: Driver, H: Host> Stream<D, H> {
    pub(crate) const fn new(source: D::Source, owner: H::Owner, ends: Ends) -> Self {
        Self {
            source,
            owner,
            ends,
            phase: Phase::Open,
            reading: Reading::NotStarted,
            paused: false,
            readable: false,
            read_queued: false,
            hangup: false,
            write_half: WriteHalf::Open,
            outgoing: Outgoing::new(),
            blocked: false,
            dirty: false,
            marks: WaterMarks::DEFAULT,
            tell_drained: false,
            fault: None,
        }
    }

    /// What the driver must report of this stream from beginning to end.
    pub(crate) const fn interest(&self) -> Interest {
        let (read, write) = match self.ends {
            Ends::Both => (true, true),
            Ends::Read => (true, false),
            Ends::Write { watch_peer } => (watch_peer, true),
        };
        Interest { read, write, trigger: Trigger::Edge }
    }

    pub(crate) const fn is_closing(&self) -> bool {
        !matches!(self.phase, Phase::Open)
    }

    /// Whether `connection_lost` is due or has run.
    pub(crate) const fn is_lost(&self) -> bool {
        matches!(self.phase, Phase::Lost)
    }

    pub(crate) const fn fault(&self) -> Option<Code> {
        self.fault
    }
}
