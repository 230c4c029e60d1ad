//! Audit events, as `sys.audit` raises them. What they carry is put together only where somebody listens.

use std::ffi::{c_char, c_int};

use pyo3::prelude::*;

unsafe extern "C" {
    // CPython's own, which pyo3-ffi does not declare.
    fn PySys_Audit(event: *const c_char, format: *const c_char, ...) -> c_int;
}

/// A socket is being made.
///
/// # Errors
/// What a hook raises: then it must not be.
pub(crate) fn socket_made(socket: &Bound<'_, PyAny>, family: i32, kind: i32, protocol: i32) -> PyResult<()> {
    // SAFETY: attached; the format asks for an object and three C integers, which follow, and the object is alive.
    let refused =
        unsafe { PySys_Audit(c"socket.__new__".as_ptr(), c"Oiii".as_ptr(), socket.as_ptr(), family, kind, protocol) };
    answer(socket.py(), refused)
}

/// A socket is about to be connected.
///
/// # Errors
/// What a hook raises: then it must not be.
pub(crate) fn socket_connects(socket: &Bound<'_, PyAny>, address: &Bound<'_, PyAny>) -> PyResult<()> {
    // SAFETY: attached; the format asks for two objects, which follow and are alive.
    let refused = unsafe { PySys_Audit(c"socket.connect".as_ptr(), c"OO".as_ptr(), socket.as_ptr(), address.as_ptr()) };
    answer(socket.py(), refused)
}

fn answer(py: Python<'_>, refused: c_int) -> PyResult<()> {
    if refused == 0 { Ok(()) } else { Err(PyErr::fetch(py)) }
}
