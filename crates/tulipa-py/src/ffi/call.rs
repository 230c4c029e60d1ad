//! Calls in a context, and calls of methods by name.

use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};

/// Runs `body` in `context` (a `contextvars.Context`), or as it is if there is none.
///
/// # Errors
/// What `body` raises, or `RuntimeError` if the context is entered already.
#[inline]
pub(crate) fn in_context<'py, R>(
    py: Python<'py>,
    context: Option<&Bound<'py, PyAny>>,
    body: impl FnOnce() -> PyResult<R>,
) -> PyResult<R> {
    let Some(context) = context else { return body() };
    // SAFETY: attached; `PyContext_Enter` checks the type of what it is given.
    if unsafe { ffi::PyContext_Enter(context.as_ptr()) } != 0 {
        return Err(PyErr::fetch(py));
    }
    let result = body();
    // SAFETY: attached, and entered above. The error of `body`, if any, is in `result` and not set.
    if unsafe { ffi::PyContext_Exit(context.as_ptr()) } != 0 {
        let error = PyErr::fetch(py);
        return result.and(Err(error));
    }
    result
}

/// A copy of the present context.
pub(crate) fn copy_current_context(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    // SAFETY: attached; the result is a new reference or null with an error set.
    unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyContext_CopyCurrent()) }
}

/// A copy of `context`.
pub(crate) fn copy_context<'py>(context: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: attached; the function checks the type of what it is given.
    unsafe { Bound::from_owned_ptr_or_err(context.py(), ffi::PyContext_Copy(context.as_ptr())) }
}

/// `callable(*args)`, without building or unpacking anything.
#[inline]
pub(crate) fn call_tuple<'py>(callable: &Bound<'py, PyAny>, args: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
    let count = args.len();
    // SAFETY: attached; a tuple's items lie side by side and stay alive with it, and `args` is held by the caller.
    unsafe {
        let items = (&raw const (*args.as_ptr().cast::<ffi::PyTupleObject>()).ob_item).cast::<*mut ffi::PyObject>();
        let result = ffi::PyObject_Vectorcall(callable.as_ptr(), items, count, ptr::null_mut());
        Bound::from_owned_ptr_or_err(callable.py(), result)
    }
}

/// A tuple of the arguments of a call.
///
/// # Errors
/// `MemoryError`.
#[inline]
pub(crate) fn tuple<'py>(py: Python<'py>, args: &[Bound<'py, PyAny>]) -> PyResult<Bound<'py, PyTuple>> {
    // SAFETY: attached; the new tuple is nobody else's yet, and has as many places as there are arguments, each of which
    // takes a reference of its own.
    unsafe {
        let tuple = Bound::from_owned_ptr_or_err(py, ffi::PyTuple_New(args.len().cast_signed()))?;
        for (index, arg) in args.iter().enumerate() {
            ffi::PyTuple_SET_ITEM(tuple.as_ptr(), index.cast_signed(), arg.clone().into_ptr());
        }
        Ok(tuple.cast_into_unchecked())
    }
}

/// `object.name()`.
#[inline]
pub(crate) fn method0<'py>(object: &Bound<'py, PyAny>, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
    let args = [object.as_ptr()];
    // SAFETY: attached; the one argument is the object itself, as the convention wants.
    unsafe {
        let result = ffi::PyObject_VectorcallMethod(name.as_ptr(), args.as_ptr(), 1, ptr::null_mut());
        Bound::from_owned_ptr_or_err(object.py(), result)
    }
}

/// `object.name(argument)`.
#[inline]
pub(crate) fn method1<'py>(
    object: &Bound<'py, PyAny>,
    name: &Bound<'py, PyString>,
    argument: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let args = [object.as_ptr(), argument.as_ptr()];
    // SAFETY: attached; the first argument is the object itself, as the convention wants.
    unsafe {
        let result = ffi::PyObject_VectorcallMethod(name.as_ptr(), args.as_ptr(), 2, ptr::null_mut());
        Bound::from_owned_ptr_or_err(object.py(), result)
    }
}

/// `object.name(first, second)`.
#[inline]
pub(crate) fn method2<'py>(
    object: &Bound<'py, PyAny>,
    name: &Bound<'py, PyString>,
    first: &Bound<'py, PyAny>,
    second: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let args = [object.as_ptr(), first.as_ptr(), second.as_ptr()];
    // SAFETY: attached; the first argument is the object itself, as the convention wants.
    unsafe {
        let result = ffi::PyObject_VectorcallMethod(name.as_ptr(), args.as_ptr(), 3, ptr::null_mut());
        Bound::from_owned_ptr_or_err(object.py(), result)
    }
}

/// `class(*args, **options)`, where `class` makes and fills its instances as a plain class does.
///
/// The options are passed on as they are, and must be nobody else's who changes them.
///
/// # Errors
/// What the class raises.
#[inline]
pub(crate) fn construct<'py>(
    class: &Bound<'py, PyType>,
    args: &Bound<'py, PyTuple>,
    options: &Bound<'py, PyDict>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = class.py();
    let raw = class.as_type_ptr();
    // SAFETY: attached; the type is alive, and its functions get what CPython's own call of a type gives them.
    unsafe {
        let (Some(new), Some(init)) = ((*raw).tp_new, (*raw).tp_init) else { return class.call(args, Some(options)) };
        let object = Bound::from_owned_ptr_or_err(py, new(raw, args.as_ptr(), options.as_ptr()))?;
        if ffi::Py_TYPE(object.as_ptr()) == raw && init(object.as_ptr(), args.as_ptr(), options.as_ptr()) < 0 {
            return Err(PyErr::fetch(py));
        }
        Ok(object)
    }
}

/// The address of the C function behind the definition of a method without arguments.
pub(crate) fn address(definition: &ffi::PyMethodDef) -> usize {
    // SAFETY: every variant of the union is a function pointer, and only its address is looked at.
    unsafe { definition.ml_meth.PyCFunction as usize }
}

/// Whether `function` is the C function at `address`, bound to `object`.
#[inline]
pub(crate) fn is_bound_native(function: &Bound<'_, PyAny>, object: &Bound<'_, PyAny>, address: usize) -> bool {
    let function = function.as_ptr();
    // SAFETY: attached; the second and third call get what the first has checked.
    unsafe {
        ffi::PyCFunction_Check(function) != 0
            && ffi::PyCFunction_GetSelf(function) == object.as_ptr()
            && ffi::PyCFunction_GetFunction(function).is_some_and(|function| function as usize == address)
    }
}

/// Runs the Python handlers of signals that have arrived.
///
/// # Errors
/// What a handler raises.
#[inline]
pub(crate) fn check_signals(py: Python<'_>) -> PyResult<()> {
    // SAFETY: attached.
    if unsafe { ffi::PyErr_CheckSignals() } != 0 { Err(PyErr::fetch(py)) } else { Ok(()) }
}
