//! What is due to run, in order.

use crate::driver::Code;
use crate::host::Host;
use crate::token::Token;
use crate::watch::Direction;

/// One entry of the ready queue. Completions enter it by token and are resolved just before they run, because what ran
/// before them may have closed or replaced their owner (R3).
pub(crate) enum Ready<H: Host> {
    /// A call of the program's.
    Call(H::Callback),
    /// A slot has something to read, to accept or to receive.
    Read(Token),
    /// A slot has room to write.
    Write(Token),
    /// A transport that was just made wants `connection_made`.
    Start(Token),
    /// A stream's buffer has fallen to its low-water mark.
    Resume(Token),
    /// A stream's buffer may be empty: whatever waits for that comes now.
    Settle(Token),
    /// A transport is over: `connection_lost` comes now.
    Lost(Token),
    /// A descriptor of the program's own is ready.
    Watch(Token, Direction),
    /// The same, and the waiters had their turn: what is left is the callback, if it is still registered (R3).
    WatchCallback(Token, Direction),
    /// The driver has refused to go on reporting on a descriptor of the program's own.
    Unwatch(Token, Code),
}
