//! Child processes for the Python half: from its arguments to a [`Program`], and from what failed to its names.

use std::ffi::{CString, OsString};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::ffi::OsStringExt;

use pyo3::exceptions::{PyBlockingIOError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use tulipa_core::Attempt;
use tulipa_sys::child::{Program, Starting, Step};

use crate::error::os_error;

/// A child between its making and the moment when it is the program, or has failed to become it.
#[pyclass(module = "tulipa._native")]
pub(crate) struct ChildStart {
    id: i32,
    starting: Option<Starting>,
}

impl ChildStart {
    fn open(&mut self) -> PyResult<&mut Starting> {
        self.starting.as_mut().ok_or_else(|| PyValueError::new_err("what is known of this start has been closed"))
    }
}

#[pymethods]
impl ChildStart {
    /// The process number.
    #[getter]
    const fn pid(&self) -> i32 {
        self.id
    }

    /// The descriptor that becomes readable when `outcome` has an answer.
    fn fileno(&mut self) -> PyResult<RawFd> {
        self.open().map(|starting| starting.as_fd().as_raw_fd())
    }

    /// None if the child has become the program; what it could not do, and the error number, if not.
    ///
    /// Raises `BlockingIOError` while it is on its way.
    fn outcome(&mut self, py: Python<'_>) -> PyResult<Option<(&'static str, i32)>> {
        match self.open()?.outcome() {
            Ok(Attempt::Done(None)) => Ok(None),
            Ok(Attempt::Done(Some(failure))) => {
                let step = match failure.step {
                    Step::Prepare => "prepare",
                    Step::ChangeFolder => "chdir",
                    Step::Execute => "exec",
                };
                Ok(Some((step, failure.code.0)))
            }
            Ok(Attempt::Pending) => Err(PyBlockingIOError::new_err((11, "the child is still on its way"))),
            Err(code) => Err(os_error(py, code)),
        }
    }

    /// Close the descriptor, and free what the child reads on its way unless it is still there.
    fn close(&mut self) {
        self.starting = None;
    }
}

/// Make a child that becomes a program, and do not wait for that.
///
/// An environment of None is the present one; a list of descriptors of None closes nothing. Raises `OSError`.
#[pyfunction]
#[pyo3(signature = (arguments, paths, environment, folder, streams, kept, *, restore_signals, new_session, controlling_terminal, process_group, umask))]
#[expect(clippy::too_many_arguments, reason = "they are those of subprocess.Popen, and one more")]
pub(crate) fn start_child(
    py: Python<'_>,
    arguments: Vec<PyBackedBytes>,
    paths: Vec<PyBackedBytes>,
    environment: Option<Vec<PyBackedBytes>>,
    folder: Option<PyBackedBytes>,
    streams: (RawFd, RawFd, RawFd),
    kept: Option<Vec<RawFd>>,
    restore_signals: bool,
    new_session: bool,
    controlling_terminal: bool,
    process_group: i32,
    umask: i32,
) -> PyResult<ChildStart> {
    let environment = match environment {
        Some(entries) => strings(&entries)?,
        None => std::env::vars_os().filter_map(|(name, value)| entry(name, value)).collect(),
    };
    let program = Program {
        arguments: strings(&arguments)?,
        paths: strings(&paths)?,
        environment,
        folder: folder.map(|folder| string(&folder)).transpose()?,
        streams: [streams.0, streams.1, streams.2].map(given),
        kept,
        restore_signals,
        new_session,
        controlling_terminal,
        process_group: given(process_group),
        umask: u32::try_from(umask).ok(),
    };
    match Starting::new(program) {
        Ok(starting) => Ok(ChildStart { id: starting.id(), starting: Some(starting) }),
        Err(code) => Err(os_error(py, code)),
    }
}

/// `subprocess` says -1 for what is not asked for.
fn given(number: i32) -> Option<i32> {
    (number >= 0).then_some(number)
}

fn string(bytes: &[u8]) -> PyResult<CString> {
    CString::new(bytes).map_err(|_| PyValueError::new_err("embedded null byte"))
}

fn strings(list: &[PyBackedBytes]) -> PyResult<Vec<CString>> {
    list.iter().map(|bytes| string(bytes)).collect()
}

/// One variable, if it is one: what the C library keeps holds no null.
fn entry(mut name: OsString, value: OsString) -> Option<CString> {
    name.push("=");
    name.push(value);
    CString::new(name.into_vec()).ok()
}
