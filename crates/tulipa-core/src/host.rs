//! The contract with the world above: what the loop keeps for a program without knowing what it is.

/// The types of things that a program hands to the loop.
///
/// A host has no methods, because the loop never calls it: what a program must be told comes out of
/// [`Loop::next`](crate::Loop::next). Whatever the loop takes out of its state it hands back to the caller, so that
/// dropping it (which may run the program's code) happens outside the loop (R2).
pub trait Host {
    /// A scheduled call: what `call_soon` and `call_at` take.
    type Callback: Clone;
    /// An operation that waits for a descriptor of the program's own (`sock_recv` and its kin).
    type Waiter: Clone;
    /// The owner of a stream, datagram socket or listener: the transport or server that a program holds.
    type Owner: Clone;
    /// Bytes to be written. Dropping a chunk must run none of the program's code.
    type Chunk: AsRef<[u8]>;
}

/// One thing of the program's that the loop holds a reference to; see [`Loop::held`](crate::Loop::held).
pub enum Held<'a, H: Host> {
    /// A scheduled or registered call.
    Callback(&'a H::Callback),
    /// A waiting operation.
    Waiter(&'a H::Waiter),
    /// The owner of a slot.
    Owner(&'a H::Owner),
}
