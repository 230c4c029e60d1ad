//! Single operations on files and processes.

use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::path::Path;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::fs::{FileType, Stat, fstat, stat, unlink};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags};
use tulipa_core::{Attempt, Code};

use crate::descriptor::{above_stdio, borrow};
use crate::errno::{attempt, code, uninterrupted};

/// What tells one file from another, whatever its name or number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The device that the file lives on.
    pub device: u64,
    /// Its number there. All eventfds, timerfds and their like have the same.
    pub inode: u64,
}

impl Identity {
    /// The file behind a path.
    ///
    /// # Errors
    /// As stat(2).
    pub fn of_path(path: &Path) -> Result<Self, Code> {
        stat(path).map(Self::from).map_err(code)
    }

    /// The file behind a descriptor.
    ///
    /// # Errors
    /// EBADF if the number is not open.
    pub fn of_descriptor(number: RawFd) -> Result<Self, Code> {
        fstat(borrow(number)?).map(Self::from).map_err(code)
    }
}

impl From<Stat> for Identity {
    fn from(stat: Stat) -> Self {
        Self { device: stat.st_dev, inode: stat.st_ino }
    }
}

/// Whether a poller can wait for a descriptor; if not, it is always ready. epoll says so, others just find it ready.
pub(crate) fn can_be_waited_for(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    match FileType::from_raw_mode(fstat(fd)?.st_mode) {
        FileType::Socket | FileType::Fifo => Ok(true),
        _ => {
            let probe = epoll::create(CreateFlags::CLOEXEC)?;
            match epoll::add(&probe, fd, EventData::new_u64(0), EventFlags::IN) {
                Ok(()) => Ok(true),
                Err(Errno::PERM) => Ok(false),
                Err(errno) => Err(errno),
            }
        }
    }
}

/// Copies up to `count` bytes from the file `from`, at `offset` or else at its own position, which moves, to `to`.
/// Zero bytes mean the end of the file.
///
/// # Errors
/// As sendfile(2). EINVAL and ENOSYS mean that these two descriptors do not go together.
pub fn sendfile(to: RawFd, from: RawFd, offset: Option<u64>, count: usize) -> Result<Attempt<usize>, Code> {
    let (to, from) = (borrow(to)?, borrow(from)?);
    attempt(|| {
        let mut offset = offset;
        rustix::fs::sendfile(to, from, offset.as_mut(), count)
    })
}

/// Removes what a Unix listener of an earlier life has left at `path`. Anything but a socket stays, and nothing at all is
/// fine.
///
/// # Errors
/// As stat(2) and unlink(2).
pub fn remove_stale_socket(path: &Path) -> Result<(), Code> {
    let result = match stat(path) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Socket => unlink(path),
        Ok(_) => Ok(()),
        Err(errno) => Err(errno),
    };
    match result {
        Err(Errno::NOENT) => Ok(()),
        result => result.map_err(code),
    }
}

/// Removes `path` if it is still the file of that identity, and says whether it was.
///
/// # Errors
/// As unlink(2).
pub fn unlink_if(path: &Path, identity: Identity) -> Result<bool, Code> {
    match Identity::of_path(path) {
        Ok(present) if present == identity => match unlink(path) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(code(errno)),
        },
        _ => Ok(false),
    }
}

/// A descriptor that becomes readable when process `id` ends.
///
/// # Errors
/// As pidfd_open(2): ESRCH if there is no such process, EINVAL if that can be no process.
pub fn pidfd_open(id: i32) -> Result<OwnedFd, Code> {
    let id = (id > 0).then(|| Pid::from_raw(id)).flatten().ok_or(code(Errno::INVAL))?;
    uninterrupted(|| rustix::process::pidfd_open(id, PidfdFlags::empty())).and_then(above_stdio).map_err(code)
}
