//! Pollers: which descriptors have something to say.
//!
//! The contract of a poller is [`Poller`]; below it one file per mechanism, which know neither one another nor the
//! driver. `table` is what `poll` and `select` share: they report levels only, and edges are made of them there.

pub(crate) mod epoll;
pub(crate) mod poll;
pub(crate) mod select;
pub(crate) mod shell;
mod table;
#[cfg(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "riscv64",
    target_arch = "loongarch64",
    target_arch = "powerpc64"
))]
pub(crate) mod uring;
/// Where the crate `io-uring` has no bindings.
#[cfg(not(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "riscv64",
    target_arch = "loongarch64",
    target_arch = "powerpc64"
)))]
pub(crate) mod uring {
    pub(crate) use super::shell::{Shell as Uring, ShellNap as UringNap};
}

use std::os::fd::{BorrowedFd, OwnedFd};

use tulipa_core::{Code, Completion, Interest, Nap, Token};

use crate::waker::Waker;

/// What a poller must know to report on a descriptor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) token: Token,
    pub(crate) interest: Interest,
    /// A write has been tried in vain already.
    pub(crate) write_blocked: bool,
    /// Reading stops at the mark of urgent data, so a short read does not show that nothing follows once there is any.
    pub(crate) urgent: bool,
    /// Whoever may close it tells the driver before, and it is of a kind that can be waited for.
    pub(crate) held: bool,
}

/// What a poller remembers of a descriptor that it reports on.
#[derive(Debug)]
pub(crate) struct Registration {
    pub(crate) request: Request,
    /// Its place in the poller's own books, for those that keep any.
    key: usize,
    /// It is with the kernel now.
    active: bool,
    /// A private number for the same description, where the kernel refuses to register the given one a second time.
    duplicate: Option<OwnedFd>,
}

impl Registration {
    const fn new(request: Request) -> Self {
        Self { request, key: 0, active: true, duplicate: None }
    }

    /// Whether closing the descriptor does not by itself end the registration, or not entirely.
    pub(crate) const fn has_duplicate(&self) -> bool {
        self.duplicate.is_some()
    }
}

/// Reports which descriptors are ready.
///
/// An edge-triggered direction is reported once for each change *after* its last vain attempt. Writing is assumed to
/// have room until [`Poller::write_pending`] says otherwise: most sockets never block, and to be told that they could
/// be written to would wake the loop for nothing, once per connection on TCP and once per message on Unix sockets.
pub(crate) trait Poller: Sized {
    /// A wait, taken out of the poller.
    type Nap: Nap;

    /// Opens a poller, and what wakes it.
    fn open() -> Result<(Self, Waker), Code>;

    /// Begins to report on `fd`. What is always ready is refused with EPERM.
    fn add(&mut self, fd: BorrowedFd<'_>, request: Request) -> Result<Registration, Code>;

    /// Reports something else from now on, under `token`.
    fn modify(
        &mut self,
        fd: BorrowedFd<'_>,
        registration: &mut Registration,
        token: Token,
        interest: Interest,
    ) -> Result<(), Code>;

    /// Ends reporting on a descriptor that stays open.
    fn remove(&mut self, fd: BorrowedFd<'_>, registration: Registration);

    /// Ends reporting on a descriptor of which no other number exists, and which is closed next.
    fn forget(&mut self, fd: BorrowedFd<'_>, registration: Registration);

    /// Takes note of a vain or short read.
    fn read_pending(&mut self, registration: &Registration);

    /// Takes note of a vain or short write.
    fn write_pending(&mut self, fd: BorrowedFd<'_>, registration: &mut Registration) -> Result<(), Code>;

    /// Looks again whether `fd` is ready, for descriptors whose short reads and writes prove nothing.
    fn look_again(&mut self, fd: BorrowedFd<'_>, registration: &mut Registration) -> Result<(), Code>;

    /// Gathers reports without waiting.
    fn poll(&mut self) -> Result<(), Code>;

    /// Takes out what a wait needs.
    fn nap(&mut self) -> Self::Nap;

    /// Gathers what a wait found.
    fn woken(&mut self, nap: Self::Nap);

    /// The next report.
    fn next(&mut self) -> Option<Completion>;
}
