//! References to Python objects that are counted at once.

use std::mem::ManuallyDrop;

use pyo3::ffi;
use pyo3::prelude::*;

/// An owned reference to a Python object, for state that only attached threads touch.
///
/// Unlike [`Py`], it can be cloned without a token, as the core clones owners and callbacks, and dropping it counts
/// down at once even where PyO3 does not know that the thread is attached (in our raw methods, see
/// [`raw`](super::raw)), where `Py` would put the object on a list for later.
///
/// Invariant: every value is cloned and dropped by a thread that is attached to the interpreter. The binding keeps
/// them only in Python objects' own state, behind [`StateCell`](super::cell::StateCell); in the inbox, which only
/// attached threads empty; and in pools, whose threads move them into the inbox and do nothing else with them.
#[repr(transparent)]
pub(crate) struct Obj(ManuallyDrop<Py<PyAny>>);

impl Obj {
    /// The same reference, for code that has a token.
    pub(crate) fn into_bound(self, py: Python<'_>) -> Bound<'_, PyAny> {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is never dropped, so the reference moves out exactly once.
        unsafe { ManuallyDrop::take(&mut this.0) }.into_bound(py)
    }

    pub(crate) fn as_py(&self) -> &Py<PyAny> {
        &self.0
    }

    pub(crate) fn is(&self, other: &Bound<'_, PyAny>) -> bool {
        self.0.as_ptr() == other.as_ptr()
    }
}

impl From<Bound<'_, PyAny>> for Obj {
    fn from(object: Bound<'_, PyAny>) -> Self {
        Self(ManuallyDrop::new(object.unbind()))
    }
}

impl Clone for Obj {
    fn clone(&self) -> Self {
        // SAFETY: attached, by the type's invariant; the pointer is owned by `self` and therefore alive.
        let object = unsafe {
            let py = Python::assume_attached();
            self.0.clone_ref(py)
        };
        Self(ManuallyDrop::new(object))
    }
}

impl Drop for Obj {
    fn drop(&mut self) {
        // SAFETY: attached, by the type's invariant; the reference is owned and given up here only.
        unsafe { ffi::Py_DECREF(self.0.as_ptr()) }
    }
}

/// An exact `bytes` object as a chunk to be written: kept by reference, since nobody can change it.
pub(crate) struct SharedBytes(Obj);

impl SharedBytes {
    pub(crate) fn new(bytes: Bound<'_, pyo3::types::PyBytes>) -> Self {
        Self(bytes.into_any().into())
    }
}

impl AsRef<[u8]> for SharedBytes {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the object is `bytes`, by construction, whose memory never moves or changes while it lives, and it
        // lives as long as `self`. Reading its address and length touches no counter and needs no thread state.
        unsafe {
            let object = self.0.as_py().as_ptr();
            let length = ffi::Py_SIZE(object);
            std::slice::from_raw_parts(ffi::PyBytes_AS_STRING(object).cast(), length.unsigned_abs())
        }
    }
}
