//! Python's wake-up descriptor, borrowed while the loop sleeps.
//!
//! CPython's C-level signal handler writes a byte into that descriptor, whichever thread it runs in. With a pipe of the
//! loop's own in its place, a signal ends the loop's wait also where no system call is interrupted: when it comes between
//! the last look for signals and the wait, or is delivered to another thread.
//!
//! CPython lets nobody look without taking: a descriptor of somebody else's is out of its place for a moment, in which a
//! byte meant for it goes into the loop's pipe (`_signals.py` passes it on), and its `warn_on_full_buffer` is set anew.

use std::marker::PhantomData;

use pyo3::ffi;
use pyo3::prelude::*;

/// Python's word for "none".
pub(crate) const NONE: i32 = -1;

/// Whether borrowing costs no system call. Before 3.13 CPython exports its C function to nobody, and Python's own checks
/// the descriptor by two calls.
pub(crate) const IS_FREE: bool = cfg!(Py_3_13);

#[cfg(Py_3_13)]
mod c {
    // What pyo3-ffi leaves out of CPython's cpython/pyerrors.h.
    unsafe extern "C" {
        pub(super) fn PySignal_SetWakeupFd(fd: i32) -> i32;
    }
}

#[cfg(Py_3_13)]
fn exchange(_py: Python<'_>, number: i32) -> i32 {
    // SAFETY: attached, so no other thread that goes by the rules exchanges it meanwhile. The function stores a number
    // and returns the former one; a number that is not open makes the signal handler report an error, and nothing worse.
    unsafe { c::PySignal_SetWakeupFd(number) }
}

#[cfg(not(Py_3_13))]
fn exchange(py: Python<'_>, number: i32) -> i32 {
    let set = |number: i32| -> PyResult<i32> {
        py.import(pyo3::intern!(py, "_signal"))?.call_method1(pyo3::intern!(py, "set_wakeup_fd"), (number,))?.extract()
    };
    // One that is not open any more cannot be set again, and would be of no use.
    set(number).or_else(|_| set(NONE)).unwrap_or(NONE)
}

/// Whether this is the interpreter that signals belong to.
pub(crate) fn is_main_interpreter(_py: Python<'_>) -> bool {
    // SAFETY: attached; the pointers are compared and not followed.
    unsafe { ffi::PyInterpreterState_Get() == ffi::PyInterpreterState_Main() }
}

/// The wake-up descriptor's place, taken until this is dropped.
pub(crate) struct Borrowed<'py> {
    py: Python<'py>,
    ours: i32,
    /// Given back where it was attached.
    _attached: PhantomData<*mut ()>,
}

impl<'py> Borrowed<'py> {
    /// Puts `ours`, the non-blocking writing end of a pipe that the loop reads, into the place of the wake-up descriptor
    /// if that is free. A descriptor of somebody else's stays there (R10), and its number is the answer: whoever set it is
    /// told of signals, and wakes the loop if they concern it.
    ///
    /// Must be called in the main thread of the main interpreter, to which the wake-up descriptor belongs.
    pub(crate) fn new(py: Python<'py>, ours: i32) -> Result<Self, i32> {
        let former = exchange(py, ours);
        if former != NONE {
            exchange(py, former);
            return Err(former);
        }
        Ok(Self { py, ours, _attached: PhantomData })
    }
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        let present = exchange(self.py, NONE);
        if present != self.ours {
            // A signal handler has set one meanwhile.
            exchange(self.py, present);
        }
    }
}
