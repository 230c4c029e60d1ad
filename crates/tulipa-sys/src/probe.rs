//! What this kernel offers and which limits bind, for `tulipa info`.

use rustix::event::{EventfdFlags, epoll, eventfd};
use rustix::process::{PidfdFlags, Resource, getpid, getrlimit, pidfd_open};
use rustix::system::uname;

use crate::source::pipes_take_nowait;

/// What [`look`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The kernel's release, as `uname -r` prints it.
    pub release: String,
    /// Whether epoll can be opened.
    pub epoll: bool,
    /// Whether eventfds can be opened.
    pub eventfd: bool,
    /// Whether processes can be watched through descriptors.
    pub pidfd: bool,
    /// Whether anonymous pipes can be read and written without blocking and without touching shared flags.
    pub nowait_on_pipes: bool,
    /// Whether io_uring may be used.
    pub io_uring: IoUring,
    /// How many descriptors this process may have.
    pub descriptors: Limit,
    /// How many connections a listener may have waiting (`net.core.somaxconn`); `None` if that cannot be read.
    pub backlog_max: Option<u64>,
}

/// Whether io_uring may be used, as far as the kernel's settings tell. A container may forbid it besides; only an attempt
/// would show that, and attempts kill processes in some of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoUring {
    /// By every process.
    Allowed,
    /// By processes with CAP_SYS_ADMIN or of the group `kernel.io_uring_group`.
    Privileged,
    /// By none.
    Disabled,
    /// The kernel has no such setting: older than 6.6, or built without.
    Unknown,
}

/// A resource limit; `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The one that binds.
    pub soft: Option<u64>,
    /// How far the process may raise it.
    pub hard: Option<u64>,
}

/// Looks.
#[must_use]
pub fn look() -> Facts {
    let descriptors = getrlimit(Resource::Nofile);
    Facts {
        release: uname().release().to_string_lossy().into_owned(),
        epoll: epoll::create(epoll::CreateFlags::CLOEXEC).is_ok(),
        eventfd: eventfd(0, EventfdFlags::CLOEXEC).is_ok(),
        pidfd: pidfd_open(getpid(), PidfdFlags::empty()).is_ok(),
        nowait_on_pipes: pipes_take_nowait(),
        io_uring: io_uring(setting("/proc/sys/kernel/io_uring_disabled")),
        descriptors: Limit { soft: descriptors.current, hard: descriptors.maximum },
        backlog_max: setting("/proc/sys/net/core/somaxconn"),
    }
}

fn setting(path: &str) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

const fn io_uring(disabled: Option<u64>) -> IoUring {
    match disabled {
        Some(0) => IoUring::Allowed,
        Some(1) => IoUring::Privileged,
        Some(_) => IoUring::Disabled,
        None => IoUring::Unknown,
    }
}
