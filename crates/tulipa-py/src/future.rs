//! Making futures: what `asyncio.BaseEventLoop.create_future` does, without building the same arguments each time.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyType};

use crate::event_loop::LoopCore;
use crate::ffi::call::construct;
use crate::ffi::object::Obj;
use crate::ffi::raw::method;

pub(crate) fn methods() -> Vec<pyo3::ffi::PyMethodDef> {
    vec![
        method!(
            c"create_future",
            noargs,
            create_future,
            c"create_future($self)\n--\n\nA future of this loop; see asyncio.loop.create_future."
        ),
        method!(c"get_debug", noargs, get_debug, c"get_debug($self)\n--\n\nWhether the loop is in debug mode."),
    ]
}

/// `asyncio.Future` as it was at import: CPython's own, in C.
fn future_class(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let find = || py.import("asyncio.futures")?.getattr("Future")?.cast_into::<PyType>().map_err(PyErr::from);
    Ok(CLASS.get_or_try_init(py, || find().map(Bound::unbind))?.bind(py))
}

fn create_future<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    new_future(object.cast::<LoopCore>()?)
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
    let debug = object.cast::<LoopCore>()?.get().is_debug();
    Ok(pyo3::types::PyBool::new(object.py(), debug).to_owned().into_any())
}
