//! The error codes of the simulated world. They are Linux's numbers, so that a simulated program meets errors that it
//! knows; nothing here depends on that.

use crate::driver::Code;

/// The source is not open, or is not of a kind that can do this (`EBADF`).
pub const CLOSED: Code = Code(9);
/// The program has no descriptors left (`EMFILE`).
pub const TOO_MANY_OPEN: Code = Code(24);
/// The driver cannot watch one more source (`ENOSPC`).
pub const TOO_MANY_WATCHED: Code = Code(28);
/// The reader has gone (`EPIPE`).
pub const BROKEN_PIPE: Code = Code(32);
/// Everybody waits and nothing can ever happen (`EDEADLK`).
pub const DEADLOCK: Code = Code(35);
/// A datagram that no buffer can hold (`EMSGSIZE`).
pub const MESSAGE_TOO_LONG: Code = Code(90);
/// The peer, or something between, broke the connection (`ECONNRESET`).
pub const RESET: Code = Code(104);
/// There is no peer to speak to (`ENOTCONN`).
pub const NOT_CONNECTED: Code = Code(107);
/// The peer fell silent (`ETIMEDOUT`).
pub const TIMED_OUT: Code = Code(110);
/// Nobody listens there, or its backlog is full (`ECONNREFUSED`).
pub const REFUSED: Code = Code(111);
