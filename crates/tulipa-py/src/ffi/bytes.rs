//! `bytes` objects that are filled before anybody sees them.

use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tulipa_core::{Read, Token};

use crate::event_loop::LoopCore;

unsafe extern "C" {
    /// Of CPython's documented interface; PyO3 has no public binding of it.
    fn _PyBytes_Resize(bytes: *mut *mut ffi::PyObject, size: ffi::Py_ssize_t) -> std::ffi::c_int;
}

/// Reads from a stream of the loop's straight into a new `bytes` object of at most `room` bytes, which is there if the read
/// has brought any. Nothing is copied; what is left of the room is given back.
///
/// # Errors
/// `MemoryError`.
#[inline]
pub(crate) fn read<'py>(
    py: Python<'py>,
    core: &LoopCore,
    token: Token,
    room: usize,
) -> PyResult<(Read, Option<Bound<'py, PyBytes>>)> {
    // SAFETY: attached. The new object is nobody else's, and has `room` bytes, which may be written to until it is shown to
    // somebody. What they are at first nobody looks at: a read of the system's drivers writes to them, and runs no Python
    // code. The function that shortens the object takes its only reference, and leaves a new one in its place, or null.
    unsafe {
        let new = ffi::PyBytes_FromStringAndSize(ptr::null(), room.cast_signed());
        let new: Bound<'py, PyBytes> = Bound::from_owned_ptr_or_err(py, new)?.cast_into_unchecked();
        let memory = ffi::PyBytes_AS_STRING(new.as_ptr()).cast_mut().cast::<u8>();
        let memory = std::slice::from_raw_parts_mut(memory, room);
        let read = core.with(py, |state| state.core.read(token, memory));
        let Read::Data(count) = read else { return Ok((read, None)) };
        let mut object = new.into_ptr();
        if count < room {
            _PyBytes_Resize(&raw mut object, count.cast_signed());
        }
        Ok((read, Some(Bound::from_owned_ptr_or_err(py, object)?.cast_into_unchecked())))
    }
}
