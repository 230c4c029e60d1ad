//! A listening socket.

use crate::driver::{Driver, Interest, Trigger};
use crate::host::Host;

/// A listener reports level-triggered: how many connections one turn accepts is the owner's choice, and those left
/// over report again.
pub(crate) struct Listener<D: Driver, H: Host> {
    pub(crate) source: D::Source,
    pub(crate) owner: H::Owner,
    /// Not accepting for the time being: the program ran out of descriptors.
    pub(crate) paused: bool,
}

impl<D: Driver, H: Host> Listener<D, H> {
    pub(crate) const fn new(source: D::Source, owner: H::Owner) -> Self {
        Self { source, owner, paused: false }
    }

    pub(crate) const fn interest(&self) -> Interest {
        Interest { read: !self.paused, write: false, trigger: Trigger::Level }
    }
}
