//! The attributes of an instance, without a look at its class.

use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

/// The dictionary of an instance. Names are interned strings, as attributes' names are.
pub(crate) struct Attributes<'py>(Bound<'py, PyDict>);

impl<'py> Attributes<'py> {
    /// The attributes of an instance whose class gives it a dictionary.
    ///
    /// # Errors
    /// `AttributeError` if it has none.
    #[inline]
    pub(crate) fn of(object: &Bound<'py, PyAny>) -> PyResult<Self> {
        // SAFETY: attached; the function finds out by itself whether the object has a dictionary.
        let dict = unsafe {
            let dict = ffi::PyObject_GenericGetDict(object.as_ptr(), ptr::null_mut());
            Bound::from_owned_ptr_or_err(object.py(), dict)?
        };
        Ok(Self(dict.cast_into::<PyDict>()?))
    }

    pub(crate) fn dict(&self) -> &Bound<'py, PyDict> {
        &self.0
    }

    /// The object under a name, null if there is none, borrowed from the dictionary.
    #[inline]
    fn find(&self, name: &Bound<'py, PyString>) -> *mut ffi::PyObject {
        // SAFETY: attached; the dictionary and the name are alive. An error, which only foreign keys can raise, is no
        // attribute.
        unsafe {
            let found = ffi::PyDict_GetItemWithError(self.0.as_ptr(), name.as_ptr());
            if found.is_null() {
                ffi::PyErr_Clear();
            }
            found
        }
    }

    /// The attribute, unless there is none or it is `None`.
    #[inline]
    pub(crate) fn get(&self, name: &Bound<'py, PyString>) -> Option<Bound<'py, PyAny>> {
        // SAFETY: what is found is alive, and nothing has run since.
        let found = unsafe { Bound::from_borrowed_ptr_or_opt(self.0.py(), self.find(name)) }?;
        (!found.is_none()).then_some(found)
    }

    /// Whether the attribute is there and is this very object.
    #[inline]
    pub(crate) fn is(&self, name: &Bound<'py, PyString>, value: &Bound<'_, PyAny>) -> bool {
        ptr::eq(self.find(name), value.as_ptr())
    }

    #[inline]
    pub(crate) fn has(&self, name: &Bound<'py, PyString>) -> bool {
        !self.find(name).is_null()
    }

    /// # Errors
    /// `MemoryError`, and what dropping the former value raises.
    #[inline]
    pub(crate) fn set(&self, name: &Bound<'py, PyString>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        // SAFETY: attached; all three are alive.
        match unsafe { ffi::PyDict_SetItem(self.0.as_ptr(), name.as_ptr(), value.as_ptr()) } {
            0 => Ok(()),
            _ => Err(PyErr::fetch(self.0.py())),
        }
    }

    #[inline]
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }
}
