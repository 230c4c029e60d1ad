//! Making futures: what `asyncio.BaseEventLoop.create_future` does, without building the same arguments each time.

use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyType};

use crate::event_loop::LoopCore;
use crate::ffi::call::{address, construct, is_bound_native, method0};
use crate::ffi::object::Obj;
use crate::ffi::raw::method;

/// The address of the C function behind `create_future`, to see whether somebody has put another in its place.
static CREATE_FUTURE: AtomicUsize = AtomicUsize::new(0);

pub(crate) fn methods() -> Vec<pyo3::ffi::PyMethodDef> {
    let create_future = method!(
        c"create_future",
        noargs,
        create_future,
        c"create_future($self)\n--\n\nA future of this loop; see asyncio.loop.create_future."
    );
    CREATE_FUTURE.store(address(&create_future), Ordering::Relaxed);
    vec![
        create_future,
        method!(c"get_debug", noargs, get_debug, c"get_debug($self)\n--\n\nWhether the loop is in debug mode."),
        // A task that starts at once asks for it.
        method!(c"is_running", noargs, is_running, c"is_running($self)\n--\n\nWhether the loop runs."),
    ]
}

/// `asyncio.Future` as it was at import: CPython's own, in C.
fn future_class(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let find = || py.import("asyncio.futures")?.getattr("Future")?.cast_into::<PyType>().map_err(PyErr::from);
    Ok(CLASS.get_or_try_init(py, || find().map(Bound::unbind))?.bind(py))
}

fn create_future<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    new_future(LoopCore::of(object)?)
}

/// What `event_loop.create_future()` gives.
///
/// # Errors
/// What it raises.
#[inline]
pub(crate) fn of_loop<'py>(event_loop: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let name = intern!(event_loop.py(), "create_future");
    let Ok(ours) = LoopCore::of(event_loop) else { return method0(event_loop, name) };
    let own = &ours.get().own_create_future;
    if own.holds(event_loop, name) {
        return new_future(ours);
    }
    let method = event_loop.getattr(name)?;
    if is_bound_native(&method, event_loop, CREATE_FUTURE.load(Ordering::Relaxed)) {
        own.remember(event_loop);
    }
    method.call0()
}

/// Whether it is CPython's own future, and not one of a class that inherits it.
#[inline]
pub(crate) fn is_plain(future: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(future.get_type_ptr() == future_class(future.py())?.as_type_ptr())
}

/// A future of the loop.
pub(crate) fn new_future<'py>(event_loop: &Bound<'py, LoopCore>) -> PyResult<Bound<'py, PyAny>> {
    let py = event_loop.py();
    construct(future_class(py)?, &PyTuple::empty(py), &options(event_loop)?)
}

/// `{"loop": event_loop}`, which nobody changes.
pub(crate) fn options<'py>(event_loop: &Bound<'py, LoopCore>) -> PyResult<Bound<'py, PyDict>> {
    let py = event_loop.py();
    let options = event_loop.get().future_options.with(py, |options| options.clone());
    let options = match options {
        Some(options) => options.into_bound(py),
        None => {
            let options = PyDict::new(py);
            options.set_item("loop", event_loop)?;
            let options = options.into_any();
            let made = Obj::from(options.clone());
            drop(event_loop.get().future_options.with(py, |options| options.replace(made)));
            options
        }
    };
    options.cast_into::<PyDict>().map_err(|_| PyTypeError::new_err("the options of futures are no dict"))
}

fn get_debug<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let debug = LoopCore::of(object)?.get().is_debug();
    Ok(pyo3::types::PyBool::new(object.py(), debug).to_owned().into_any())
}

/// As asyncio: a loop runs if there is a thread that it runs in.
fn is_running<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    let thread = object.getattr(intern!(py, "_thread_id"))?;
    Ok(pyo3::types::PyBool::new(py, !thread.is_none()).to_owned().into_any())
}
