//! From the core's and the system's errors to Python's exceptions: the one place that decides class and message.

use pyo3::exceptions::{
    PyBlockingIOError, PyInterruptedError, PyKeyboardInterrupt, PyOSError, PyRuntimeError, PySystemExit,
};
use pyo3::prelude::*;
use tulipa_core::Code;

/// The `OSError` of a code, of the subclass that Python gives its number, with the text that Python gives it.
pub(crate) fn os_error(py: Python<'_>, code: Code) -> PyErr {
    let text = py.import("os").and_then(|os| os.call_method1("strerror", (code.0,))?.extract::<String>());
    match text {
        Ok(text) => PyOSError::new_err((code.0, text)),
        Err(error) => error,
    }
}

/// The same with what was being done, to which descriptor.
pub(crate) fn os_error_about(py: Python<'_>, code: Code, about: &str) -> PyErr {
    let text = py.import("os").and_then(|os| os.call_method1("strerror", (code.0,))?.extract::<String>());
    match text {
        Ok(text) => PyOSError::new_err((code.0, format!("{text}: {about}"))),
        Err(error) => error,
    }
}

/// Whether the exception asks the program to end, and must not be reported and forgotten.
pub(crate) fn is_exit(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PySystemExit>(py) || error.is_instance_of::<PyKeyboardInterrupt>(py)
}

/// Whether the exception says that an operation would have to wait.
pub(crate) fn would_block(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PyBlockingIOError>(py) || error.is_instance_of::<PyInterruptedError>(py)
}

pub(crate) fn closed() -> PyErr {
    PyRuntimeError::new_err("Event loop is closed")
}

pub(crate) fn forked() -> PyErr {
    PyRuntimeError::new_err(
        "this event loop belongs to the parent process and cannot be used after fork(); make a new one in the child",
    )
}
