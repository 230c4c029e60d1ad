//! Fields of Python objects that hold other objects.

use std::cell::Cell;
use std::marker::PhantomData;

use pyo3::exceptions::PyImportError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyType;

/// A field that CPython itself visits, clears and frees, because its type declares it as a member.
///
/// Null reads as `None`: that is how a new object starts and what `del object.field` leaves behind.
#[repr(transparent)]
pub(crate) struct Slot(Cell<*mut ffi::PyObject>);

impl Slot {
    /// The object in the field, unless it is empty or `None`.
    #[inline]
    pub(crate) fn get<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        // SAFETY: a non-null field owns its object, and the result takes a reference of its own before anything can
        // replace it.
        let object = unsafe { Bound::from_borrowed_ptr_or_opt(py, self.0.get()) }?;
        (!object.is_none()).then_some(object)
    }

    /// Puts an object into the field. What was there is released last, when the field is whole again (R2).
    #[inline]
    pub(crate) fn set(&self, object: Bound<'_, PyAny>) {
        let py = object.py();
        let old = self.0.replace(object.into_ptr());
        // SAFETY: the field owned `old`, and that reference is given up here.
        drop(unsafe { Bound::from_owned_ptr_or_opt(py, old) });
    }

    /// Makes an empty field read as `None` from Python, too.
    pub(crate) fn fill_empty(&self, py: Python<'_>) {
        if self.0.get().is_null() {
            self.0.set(py.None().into_ptr());
        }
    }

    /// Empties the field to `None` and hands out what was there.
    pub(crate) fn take<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        let old = self.0.replace(py.None().into_ptr());
        // SAFETY: the field owned `old`; the result owns it now.
        let old = unsafe { Bound::from_owned_ptr_or_opt(py, old) }?;
        (!old.is_none()).then_some(old)
    }
}

/// Where the attributes lie that a Python class declares in `__slots__`.
pub(crate) struct SlotTable<const N: usize> {
    class: Py<PyType>,
    offsets: [isize; N],
}

impl<const N: usize> SlotTable<N> {
    /// Finds the slots `names` of `class`.
    ///
    /// # Errors
    /// `ImportError` if one of them is no slot: then this Python is laid out in a way that tulipa does not know.
    pub(crate) fn find(class: &Bound<'_, PyType>, names: [&str; N]) -> PyResult<Self> {
        let mut offsets = [0; N];
        for (offset, name) in offsets.iter_mut().zip(names) {
            *offset = find_slot(class, name)?;
        }
        Ok(Self { class: class.clone().unbind(), offsets })
    }

    /// The slots of `object`, if it is an instance of the class.
    #[inline]
    pub(crate) fn of<'a>(&'a self, object: &'a Bound<'_, PyAny>) -> Option<Slots<'a, N>> {
        // SAFETY: both objects are alive; the second is a type.
        let fits = unsafe { ffi::PyObject_TypeCheck(object.as_ptr(), self.class.as_ptr().cast()) } != 0;
        fits.then(|| Slots { object: object.as_ptr(), offsets: &self.offsets, alive: PhantomData })
    }
}

/// The slots of one object.
pub(crate) struct Slots<'a, const N: usize> {
    object: *mut ffi::PyObject,
    offsets: &'a [isize; N],
    alive: PhantomData<&'a Slot>,
}

impl<'a, const N: usize> Slots<'a, N> {
    /// The slot that stands at `index` in the list of names.
    #[inline]
    pub(crate) fn at(&self, index: usize) -> &'a Slot {
        // SAFETY: instances of the class have an object field at each of its slots' offsets, and `Slot` is laid out as
        // one; `SlotTable::of` checked the class, and the object lives for `'a`.
        unsafe { &*self.object.byte_offset(self.offsets[index]).cast::<Slot>() }
    }
}

pub(super) fn find_slot(class: &Bound<'_, PyType>, name: &str) -> PyResult<isize> {
    let descriptor = class.getattr(name)?;
    // SAFETY: `PyMemberDescr_Type` is a type object, and an instance of it is a `PyMemberDescrObject` whose `d_member`
    // the class keeps alive.
    unsafe {
        if ffi::PyObject_TypeCheck(descriptor.as_ptr(), &raw mut ffi::PyMemberDescr_Type) != 0 {
            let member = (*descriptor.as_ptr().cast::<ffi::PyMemberDescrObject>()).d_member;
            if (*member).type_code == ffi::Py_T_OBJECT_EX {
                return Ok((*member).offset);
            }
        }
    }
    Err(PyImportError::new_err(format!(
        "tulipa does not support this Python: {class} has no slot {name:?}; please report it with the output of python -VV"
    )))
}
