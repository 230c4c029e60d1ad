//! Other people's memory: objects that give a buffer.

use std::mem::MaybeUninit;

use pyo3::ffi;
use pyo3::prelude::*;

/// A contiguous buffer of somebody's, held until drop.
///
/// Whoever owns the memory may change it while we hold it, from another thread or from code that we call. So it is
/// used at once, with nothing run in between, and never kept: bytes to be written later are copied out first (T14).
pub(crate) struct Held<'py> {
    view: ffi::Py_buffer,
    py: Python<'py>,
}

impl<'py> Held<'py> {
    fn acquire(object: &Bound<'py, PyAny>, flags: i32) -> PyResult<Self> {
        let py = object.py();
        let mut view = MaybeUninit::<ffi::Py_buffer>::uninit();
        // SAFETY: attached; the view is initialised if and only if the call succeeds.
        let view = unsafe {
            if ffi::PyObject_GetBuffer(object.as_ptr(), view.as_mut_ptr(), flags) != 0 {
                return Err(PyErr::fetch(py));
            }
            view.assume_init()
        };
        Ok(Self { view, py })
    }

    /// A buffer to read from.
    ///
    /// # Errors
    /// `TypeError` if the object gives none, `BufferError` if it is not contiguous.
    pub(crate) fn readable(object: &Bound<'py, PyAny>) -> PyResult<Self> {
        Self::acquire(object, ffi::PyBUF_SIMPLE)
    }

    /// A buffer to write into.
    ///
    /// # Errors
    /// `TypeError` if the object gives none, `BufferError` if it is read-only or not contiguous.
    pub(crate) fn writable(object: &Bound<'py, PyAny>) -> PyResult<Self> {
        Self::acquire(object, ffi::PyBUF_WRITABLE)
    }

    pub(crate) fn len(&self) -> usize {
        if self.view.buf.is_null() { 0 } else { usize::try_from(self.view.len).unwrap_or(0) }
    }

    /// A copy of the bytes.
    pub(crate) fn copy(&self) -> Box<[u8]> {
        if self.len() == 0 {
            return Box::default();
        }
        // SAFETY: the exporter guarantees `len` bytes there until release; nothing runs while they are copied.
        unsafe { std::slice::from_raw_parts(self.view.buf.cast::<u8>(), self.len()) }.into()
    }

    /// Runs `fill` on the memory. It must not run Python code.
    pub(crate) fn fill<R>(&mut self, fill: impl FnOnce(&mut [u8]) -> R) -> R {
        if self.len() == 0 {
            return fill(&mut []);
        }
        // SAFETY: the exporter guarantees `len` writable bytes there until release; nothing of the program's runs on
        // this thread while `fill` does.
        fill(unsafe { std::slice::from_raw_parts_mut(self.view.buf.cast::<u8>(), self.len()) })
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let _attached = self.py;
        // SAFETY: acquired and not yet released; attached, as the token proves.
        unsafe { ffi::PyBuffer_Release(&raw mut self.view) }
    }
}
