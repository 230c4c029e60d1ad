//! Whether a method of ours has been replaced, and whether an object is of a class of ours, for those who ask at every
//! call.

use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

use pyo3::PyClass;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyString, PyType};

/// Remembers that the instances of a type find a method of ours under some name.
///
/// CPython gives each state of a type a number (`tp_version_tag`) of its own, and none (zero) to one whose methods or
/// bases were changed since somebody looked something up in it. As long as the number is the same and the instance
/// brings nothing of its own under that name, looking it up must give what it gave before.
pub(crate) struct KnownMethod {
    tag: AtomicU32,
}

impl KnownMethod {
    pub(crate) const fn new() -> Self {
        Self { tag: AtomicU32::new(0) }
    }

    /// Whether `object.name` is still the method that was remembered. `false` means that it must be looked up.
    #[inline]
    pub(crate) fn holds(&self, object: &Bound<'_, PyAny>, name: &Bound<'_, PyString>) -> bool {
        let tag = self.tag.load(Ordering::Relaxed);
        // Without a global lock another thread may be changing what is looked at here.
        if tag == 0 || cfg!(Py_GIL_DISABLED) {
            return false;
        }
        let object = object.as_ptr();
        // SAFETY: attached; the type lives as long as its instance. A positive `tp_dictoffset` is where an instance has its
        // dictionary, or null as long as it needs none; zero says that it can have none.
        unsafe {
            let class = ffi::Py_TYPE(object);
            let generic: ffi::getattrofunc = ffi::PyObject_GenericGetAttr;
            let generic = (*class).tp_getattro.is_some_and(|found| ptr::fn_addr_eq(found, generic));
            if (*class).tp_version_tag != tag || !generic || (*class).tp_dictoffset < 0 {
                return false;
            }
            if (*class).tp_dictoffset == 0 {
                return true;
            }
            let dict = *object.byte_offset((*class).tp_dictoffset).cast::<*mut ffi::PyObject>();
            dict.is_null() || ffi::PyDict_Contains(dict, name.as_ptr()) == 0
        }
    }

    /// Takes note that looking the name up in `object` has just given the method.
    pub(crate) fn remember(&self, object: &Bound<'_, PyAny>) {
        // SAFETY: as above.
        let tag = unsafe { (*ffi::Py_TYPE(object.as_ptr())).tp_version_tag };
        self.tag.store(tag, Ordering::Relaxed);
    }
}

/// Remembers that a class is as it was when somebody looked; by the same number, which any change in the class or in
/// one that it inherits makes another.
pub(crate) struct KnownClass {
    class: Py<PyType>,
    tag: AtomicU32,
}

impl KnownClass {
    pub(crate) const fn new(class: Py<PyType>) -> Self {
        Self { class, tag: AtomicU32::new(0) }
    }

    pub(crate) fn class<'py>(&self, py: Python<'py>) -> &Bound<'py, PyType> {
        self.class.bind(py)
    }

    /// Whether `object` is of exactly this class.
    #[inline]
    pub(crate) fn is_class_of(&self, object: &Bound<'_, PyAny>) -> bool {
        object.get_type_ptr() == self.class.as_ptr().cast()
    }

    /// Whether the class is still as it was remembered. `false` means that somebody must look.
    #[inline]
    pub(crate) fn holds(&self) -> bool {
        let tag = self.tag.load(Ordering::Relaxed);
        // Without a global lock another thread may be changing it just now.
        if tag == 0 || cfg!(Py_GIL_DISABLED) {
            return false;
        }
        // SAFETY: attached, as whoever has a class; it is alive.
        tag == unsafe { (*self.class.as_ptr().cast::<ffi::PyTypeObject>()).tp_version_tag }
    }

    /// Takes note that the class has just been looked at, and is as it should be.
    pub(crate) fn remember(&self) {
        // SAFETY: as above.
        let tag = unsafe { (*self.class.as_ptr().cast::<ffi::PyTypeObject>()).tp_version_tag };
        self.tag.store(tag, Ordering::Relaxed);
    }
}

/// Remembers the first class that was found to inherit a native one: its instances are known by that alone, where CPython
/// would go through all the bases.
pub(crate) struct FirstHeir<T> {
    class: PyOnceLock<Py<PyType>>,
    native: PhantomData<fn() -> T>,
}

impl<T: PyClass> FirstHeir<T> {
    pub(crate) const fn new() -> Self {
        Self { class: PyOnceLock::new(), native: PhantomData }
    }

    /// The object as an instance of `T`; as `object.cast::<T>()`.
    ///
    /// # Errors
    /// `TypeError` if it is none.
    #[inline]
    pub(crate) fn cast<'a, 'py>(&self, object: &'a Bound<'py, PyAny>) -> PyResult<&'a Bound<'py, T>> {
        let class = object.get_type_ptr();
        if self.class.get(object.py()).is_some_and(|known| known.as_ptr() == class.cast()) {
            // SAFETY: an instance of this class was found to be one of `T`. CPython lets a class have other bases only
            // where they are laid out alike, so that this one never ceases to inherit `T`, and it is held here.
            return Ok(unsafe { object.cast_unchecked() });
        }
        self.look(object)
    }

    #[cold]
    fn look<'a, 'py>(&self, object: &'a Bound<'py, PyAny>) -> PyResult<&'a Bound<'py, T>> {
        let ours = object.cast::<T>()?;
        // Another class may have been the first: then this one is looked for each time, as it would be without all this.
        let _ = self.class.set(object.py(), object.get_type().unbind());
        Ok(ours)
    }
}
