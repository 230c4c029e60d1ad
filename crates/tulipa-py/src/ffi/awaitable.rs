//! Types whose instances can be awaited.

use std::ffi::{CStr, c_void};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyType;

use super::pool::{Pooled, PooledClass};
use super::raw::{catch, table};

/// What an awaited object does next.
pub(crate) trait Awaitable: Pooled {
    /// Gives a future to wait for; nothing ends the wait, whose value is `None`.
    ///
    /// # Errors
    /// They end the wait, too.
    fn next<'py>(object: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>>;
}

/// Makes the type `name` over `base`, whose instances have nothing but slots.
///
/// It has neither `send` nor `throw`: an exception is raised where the object is awaited, which is what is to happen.
pub(crate) fn make<F: Awaitable>(
    name: &'static CStr,
    doc: &'static CStr,
    base: &Bound<'_, PyType>,
) -> PyResult<PooledClass<F>> {
    let (itself, next): (ffi::unaryfunc, ffi::iternextfunc) = (itself, next::<F>);
    let slot = |slot, function| ffi::PyType_Slot { slot, pfunc: function };
    let functions = [
        slot(ffi::Py_am_await, itself as *mut c_void),
        slot(ffi::Py_tp_iter, itself as *mut c_void),
        slot(ffi::Py_tp_iternext, next as *mut c_void),
    ];
    PooledClass::make_with(name, doc, base, table(vec![]), &functions)
}

unsafe extern "C" fn itself(object: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython is calling, with an instance.
    unsafe { ffi::Py_NewRef(object) }
}

unsafe extern "C" fn next<F: Awaitable>(object: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython is calling, attached, with an instance. Null without an error set is an iterator's end.
    unsafe { catch(object, |object| F::next(object).map(|next| next.map_or(std::ptr::null_mut(), Bound::into_ptr))) }
}
