//! Single operations of the system that the Python half needs, and that must not be seen blocking in its files (T26).

use std::os::fd::IntoRawFd;
use std::path::PathBuf;

use pyo3::exceptions::PyBlockingIOError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tulipa_core::{Attempt, Code};
use tulipa_sys::file;
use tulipa_sys::probe::IoUring;

use crate::error::os_error;

/// EINVAL.
const INVALID: i32 = 22;

/// Copy bytes from a file to a descriptor in the kernel; returns how many.
///
/// Raises `BlockingIOError` if the descriptor has no room, `OSError` if the two do not go together.
#[pyfunction]
pub(crate) fn sendfile(py: Python<'_>, out_fd: i32, in_fd: i32, offset: i64, count: usize) -> PyResult<usize> {
    let Ok(offset) = u64::try_from(offset) else { return Err(os_error(py, Code(INVALID))) };
    match file::sendfile(out_fd, in_fd, Some(offset), count) {
        Ok(Attempt::Done(sent)) => Ok(sent),
        Ok(Attempt::Pending) => Err(PyBlockingIOError::new_err((11, "the descriptor has no room now"))),
        Err(code) => Err(os_error(py, code)),
    }
}

/// Remove a path if it is a socket. One that does not exist is no error.
#[pyfunction]
pub(crate) fn remove_stale_socket(py: Python<'_>, path: PathBuf) -> PyResult<()> {
    file::remove_stale_socket(&path).map_err(|code| os_error(py, code))
}

/// Device and inode of a path; None if there is nothing.
#[pyfunction]
pub(crate) fn path_identity(path: PathBuf) -> Option<(u64, u64)> {
    file::Identity::of_path(&path).ok().map(|identity| (identity.device, identity.inode))
}

/// Remove a path if it is still the file of that identity; whether it was.
#[pyfunction]
pub(crate) fn unlink_if_identity(py: Python<'_>, path: PathBuf, identity: (u64, u64)) -> PyResult<bool> {
    let identity = file::Identity { device: identity.0, inode: identity.1 };
    file::unlink_if(&path, identity).map_err(|code| os_error(py, code))
}

/// A descriptor that becomes readable when the process has ended.
#[pyfunction]
pub(crate) fn pidfd_open(py: Python<'_>, pid: i32) -> PyResult<i32> {
    file::pidfd_open(pid).map(IntoRawFd::into_raw_fd).map_err(|code| os_error(py, code))
}

/// What the kernel offers.
#[pyfunction]
pub(crate) fn probe(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let facts = tulipa_sys::probe::look();
    let found = PyDict::new(py);
    found.set_item("release", facts.release)?;
    found.set_item("epoll", facts.epoll)?;
    found.set_item("eventfd", facts.eventfd)?;
    found.set_item("pidfd", facts.pidfd)?;
    found.set_item("RWF_NOWAIT on pipes", facts.nowait_on_pipes)?;
    let io_uring = match facts.io_uring {
        IoUring::Allowed => "allowed",
        IoUring::Privileged => "for privileged processes",
        IoUring::Disabled => "disabled",
        IoUring::Unknown => "unknown",
    };
    found.set_item("io_uring", io_uring)?;
    Ok(found)
}

/// The names of the drivers that this system has.
#[pyfunction]
pub(crate) fn driver_names() -> Vec<&'static str> {
    tulipa_sys::NAMES.to_vec()
}
