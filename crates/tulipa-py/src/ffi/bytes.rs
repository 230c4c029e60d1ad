//! `bytes` objects that are filled before anybody sees them.

use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

unsafe extern "C" {
    /// Of CPython's documented interface; PyO3 has no binding of it.
    fn _PyBytes_Resize(bytes: *mut *mut ffi::PyObject, size: ffi::Py_ssize_t) -> std::ffi::c_int;
}

/// Makes a `bytes` object of what `fill` puts into memory of `room` bytes: it returns how many these are, or `None` for no
/// object. Nothing is copied; what is left of the room is given back.
///
/// `fill` must write to the memory only, whose content is anything, and must not run Python code.
///
/// # Errors
/// `MemoryError`.
#[inline]
pub(crate) fn filled<'py>(
    py: Python<'py>,
    room: usize,
    fill: impl FnOnce(&mut [u8]) -> Option<usize>,
) -> PyResult<Option<Bound<'py, PyBytes>>> {
    // SAFETY: attached. The new object is nobody else's, and has `room` bytes, which may be written to until it is shown to
    // somebody. The function that shortens it takes its only reference, and leaves a new one in its place, or null.
    unsafe {
        let new = ffi::PyBytes_FromStringAndSize(ptr::null(), room.cast_signed());
        let new: Bound<'py, PyBytes> = Bound::from_owned_ptr_or_err(py, new)?.cast_into_unchecked();
        let memory = ffi::PyBytes_AS_STRING(new.as_ptr()).cast_mut().cast::<u8>();
        let Some(count) = fill(std::slice::from_raw_parts_mut(memory, room)) else { return Ok(None) };
        let mut object = new.into_ptr();
        if count < room {
            _PyBytes_Resize(&raw mut object, count.cast_signed());
        }
        Ok(Some(Bound::from_owned_ptr_or_err(py, object)?.cast_into_unchecked()))
    }
}
