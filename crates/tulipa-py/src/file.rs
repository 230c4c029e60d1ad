//! Files that are read and written at an offset: calls from Python to the loop's threads for files.
//!
//! Not here: in which order the calls on one file are made, which `_files.py` sees to. How the results come back is in
//! [`offload`].

use std::ffi::CString;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use tulipa_core::{Code, Inbox};
use tulipa_sys::pool::{Id, Limits};
use tulipa_sys::storage::{Data, File, Operation, Outcome};
use tulipa_sys::{Descriptor, Waker};

use crate::error::os_error;
use crate::event_loop::LoopCore;
use crate::ffi::object::Obj;
use crate::offload::{self, Landing, Offload};

/// More than a disk serves at once with profit, and few enough that a hung file system costs little.
const LIMITS: Limits = Limits { name: "tulipa-storage", threads: 8, idle: Duration::from_secs(1) };

/// The threads of one loop for files.
pub(crate) type FileThreads = Offload<Operation, Result<Outcome, Code>>;

/// Threads for files, none yet; see [`offload`](offload::pool).
pub(crate) fn threads(inbox: Arc<Inbox<Obj>>, waker: Waker) -> FileThreads {
    offload::pool(LIMITS, inbox, waker, Operation::perform)
}

/// An open file.
#[pyclass(frozen, module = "tulipa._native")]
pub(crate) struct FileCore(Arc<File>);

/// Something that is being done to a file, or has been.
#[pyclass(frozen, module = "tulipa._native")]
pub(crate) struct FileCall {
    id: Id,
    landing: Landing<Result<Outcome, Code>>,
}

fn call(event_loop: &Bound<'_, LoopCore>, operation: Operation, landed: &Bound<'_, PyAny>) -> PyResult<FileCall> {
    let core = event_loop.get();
    core.check_usable()?;
    let (id, landing) = offload::ask(core.files(), event_loop, operation, landed, "work on a file")?;
    Ok(FileCall { id, landing })
}

/// Open a file on a thread of the loop's; `landed` is called when that is done.
#[pyfunction]
pub(crate) fn open_file(
    event_loop: &Bound<'_, LoopCore>,
    path: &[u8],
    flags: i32,
    permissions: u32,
    landed: &Bound<'_, PyAny>,
) -> PyResult<FileCall> {
    let path = CString::new(path).map_err(|_| PyValueError::new_err("embedded null byte"))?;
    call(event_loop, Operation::Open { path, flags, permissions }, landed)
}

#[pymethods]
impl FileCore {
    /// The file behind a descriptor, which is taken over if `owned`. Raises `OSError`.
    #[staticmethod]
    fn adopt(py: Python<'_>, fd: RawFd, owned: bool) -> PyResult<Self> {
        // Looked at while it is lent, so that a refusal does not close it.
        let lent = File::adopt(Descriptor::Lent(fd));
        let file = match lent {
            Ok(_) if owned => Descriptor::take(fd).and_then(File::adopt),
            other => other,
        };
        file.map(|file| Self(Arc::new(file))).map_err(|code| os_error(py, code))
    }

    /// The number of the descriptor.
    fn fileno(&self) -> RawFd {
        self.0.number()
    }

    /// Read up to `size` bytes from an offset on, or all that there are.
    #[pyo3(signature = (event_loop, offset, size, landed))]
    fn read(
        &self,
        event_loop: &Bound<'_, LoopCore>,
        offset: u64,
        size: Option<usize>,
        landed: &Bound<'_, PyAny>,
    ) -> PyResult<FileCall> {
        call(event_loop, Operation::Read { file: Arc::clone(&self.0), offset, size }, landed)
    }

    /// Write `data`, all of it, from an offset on.
    fn write(
        &self,
        event_loop: &Bound<'_, LoopCore>,
        offset: u64,
        data: PyBackedBytes,
        landed: &Bound<'_, PyAny>,
    ) -> PyResult<FileCall> {
        // A thread drops it, and PyO3 counts down when it is attached the next time.
        let data = Data::new(data);
        call(event_loop, Operation::Write { file: Arc::clone(&self.0), offset, data }, landed)
    }

    /// Wait for the storage.
    fn sync(&self, event_loop: &Bound<'_, LoopCore>, metadata: bool, landed: &Bound<'_, PyAny>) -> PyResult<FileCall> {
        call(event_loop, Operation::Sync { file: Arc::clone(&self.0), metadata }, landed)
    }

    /// Change the size.
    fn truncate(&self, event_loop: &Bound<'_, LoopCore>, size: u64, landed: &Bound<'_, PyAny>) -> PyResult<FileCall> {
        call(event_loop, Operation::Truncate { file: Arc::clone(&self.0), size }, landed)
    }

    /// Ask for the size.
    fn size(&self, event_loop: &Bound<'_, LoopCore>, landed: &Bound<'_, PyAny>) -> PyResult<FileCall> {
        call(event_loop, Operation::Size { file: Arc::clone(&self.0) }, landed)
    }

    /// Close the descriptor.
    fn close(&self, event_loop: &Bound<'_, LoopCore>, landed: &Bound<'_, PyAny>) -> PyResult<FileCall> {
        call(event_loop, Operation::Close { file: Arc::clone(&self.0) }, landed)
    }
}

#[pymethods]
impl FileCall {
    /// What came out, made anew for each who asks. Raises `OSError` if that was an error.
    fn result<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.landing.get() {
            Some(Ok(Outcome::Done)) => Ok(py.None().into_bound(py)),
            Some(Ok(Outcome::Size(size))) => Ok(size.into_pyobject(py)?.into_any()),
            Some(Ok(Outcome::Bytes(data))) => Ok(PyBytes::new(py, data).into_any()),
            Some(Ok(Outcome::File(file))) => Ok(Bound::new(py, FileCore(Arc::clone(file)))?.into_any()),
            Some(Err(code)) => Err(os_error(py, *code)),
            None => Err(PyRuntimeError::new_err("the call is still under way")),
        }
    }

    /// Say whether the call has not been begun, and then never will be.
    fn withdraw(&self, event_loop: &Bound<'_, LoopCore>) -> bool {
        let core = event_loop.get();
        // In the child of a fork a thread of the parent's may hold the lock for ever.
        core.check_usable().is_ok() && core.files().withdraw(self.id).is_some()
    }
}
