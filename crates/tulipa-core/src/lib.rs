//! What decides: the turn, the ready queue, the timers, and one state machine per kind of thing that a program waits for.
//!
//! Nothing here knows an operating system, a clock, a thread or Python. Time and completions come in through
//! [`Driver`], operations go out through it; whatever the program must be told comes out of [`Loop::next`] as a
//! [`Step`], so that no state is borrowed while the program's code runs. The same state machines therefore run on the
//! kernel and in [`sim`].
//!
//! The rules that the whole crate keeps are those of `ARCHITECTURE.md`, cited as R1 to R10. Read [`turn`] first.
#![forbid(unsafe_code)]

pub mod datagram;
pub mod driver;
pub mod host;
pub mod inbox;
pub mod listener;
mod outgoing;
mod queue;
mod ready;
mod rounds;
pub mod sim;
mod slots;
pub mod stream;
mod sync;
pub mod time;
mod timers;
pub mod token;
pub mod turn;
pub mod watch;

pub use datagram::Sent;
pub use driver::{Accepted, Attempt, Code, Completion, Driver, Interest, Nap, Received, Trigger};
pub use host::{Held, Host};
pub use inbox::{Inbox, Wake};
pub use stream::{Ends, Read, Written};
pub use time::Instant;
pub use timers::TimerId;
pub use token::Token;
pub use turn::{Load, Loop, Remains, Step};
pub use watch::Direction;
