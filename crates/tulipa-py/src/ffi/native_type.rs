//! Python types that add native fields to a Python base.
//!
//! `asyncio.Transport` and `asyncio.Handle` have slots, so no native class of PyO3's can inherit them; and yet
//! `isinstance(transport, asyncio.Transport)` must hold (T2). The types here are heap types made over the base's
//! layout: the base's instance first, our fields behind it. Fields that hold objects are declared as members, so that
//! CPython visits, clears and frees them as it does its own slots; the other fields are plain data. Hence no traversal
//! and no destructor of ours, and a deallocator only where instances are used again ([`pool`](super::pool)).

use std::ffi::{CStr, c_int, c_void};
use std::marker::PhantomData;
use std::mem;
use std::ptr;

use pyo3::exceptions::{PyImportError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyType;

/// Native fields of a Python type.
///
/// # Safety
/// The type is `#[repr(C)]`, all zeroes are a valid value of it, it needs no drop, and [`Fields::MEMBERS`] names
/// exactly its fields of type [`Slot`](super::slot::Slot), with their offsets.
pub(crate) unsafe trait Fields: Sized {
    /// Name and offset of each field that holds an object.
    const MEMBERS: &'static [(&'static CStr, usize)];
}

/// A Python type whose instances have the fields `F` behind those of its base.
pub(crate) struct NativeClass<F> {
    class: Py<PyType>,
    offset: isize,
    fields: PhantomData<fn() -> F>,
}

impl<F: Fields> NativeClass<F> {
    /// Makes the type `name` over `base`. `methods` ends in zeroes, see [`raw::table`](super::raw::table).
    pub(crate) fn make(
        name: &'static CStr,
        doc: &'static CStr,
        base: &Bound<'_, PyType>,
        methods: &'static mut [ffi::PyMethodDef],
    ) -> PyResult<Self> {
        Self::make_with(name, doc, base, methods, &[])
    }

    /// The same; `functions` are for CPython's slots, where its own will not do.
    pub(super) fn make_with(
        name: &'static CStr,
        doc: &'static CStr,
        base: &Bound<'_, PyType>,
        methods: &'static mut [ffi::PyMethodDef],
        functions: &[ffi::PyType_Slot],
    ) -> PyResult<Self> {
        const { assert!(!mem::needs_drop::<F>(), "CPython frees the memory without telling us") };
        // SAFETY: a type object is valid while `base` holds it.
        let offset = unsafe { (*base.as_type_ptr()).tp_basicsize };
        if offset % align_of::<F>().cast_signed() != 0 {
            return Err(PyImportError::new_err("tulipa does not support this Python: a base is laid out unevenly"));
        }
        let size = offset + size_of::<F>().cast_signed();
        let class = make_type(name, doc, base, &Layout { size, offset, members: F::MEMBERS }, methods, functions)?;
        Ok(Self { class: class.unbind(), offset, fields: PhantomData })
    }

    pub(crate) fn class<'py>(&self, py: Python<'py>) -> &Bound<'py, PyType> {
        self.class.bind(py)
    }

    /// Where the fields lie in an instance, in bytes.
    pub(super) const fn offset(&self) -> isize {
        self.offset
    }

    /// A new instance of `class`, which is this type or inherits it, with all fields empty.
    ///
    /// # Errors
    /// `TypeError` if it is another type, `MemoryError`.
    #[inline]
    pub(crate) fn alloc<'py>(&self, class: &Bound<'py, PyType>) -> PyResult<Bound<'py, PyAny>> {
        let py = class.py();
        // SAFETY: both types are alive. `class` shares our type's layout up to the end of our fields, as a subtype; it
        // is a heap type, for which generic allocation is right; that zeroes the memory, which is a valid state of
        // CPython's slots and, by `Fields`, of ours.
        unsafe {
            let class = class.as_type_ptr();
            if ffi::PyType_IsSubtype(class, self.class.bind(py).as_type_ptr()) == 0 {
                return Err(PyTypeError::new_err("not a transport or handle class of tulipa's"));
            }
            let object = match (*class).tp_alloc {
                Some(alloc) => alloc(class, 0),
                None => ffi::PyType_GenericAlloc(class, 0),
            };
            Bound::from_owned_ptr_or_err(py, object)
        }
    }

    /// The fields of `object`, if it is an instance.
    #[inline]
    pub(crate) fn fields<'a>(&self, object: &'a Bound<'_, PyAny>) -> Option<&'a F> {
        // SAFETY: the check says that our fields lie there; they live as long as the object, which `object` holds for
        // `'a`, and are only ever reached by shared reference.
        unsafe {
            let pointer = object.as_ptr();
            (ffi::PyObject_TypeCheck(pointer, self.class.as_ptr().cast()) != 0)
                .then(|| &*pointer.byte_offset(self.offset).cast::<F>())
        }
    }

    /// Whether `object` is of exactly this type.
    #[inline]
    pub(crate) fn is_exactly(&self, object: &Bound<'_, PyAny>) -> bool {
        object.get_type_ptr() == self.class.as_ptr().cast()
    }
}

/// Makes a type without fields of its own over `base`.
pub(crate) fn make_plain<'py>(
    name: &'static CStr,
    doc: &'static CStr,
    base: &Bound<'py, PyType>,
    methods: &'static mut [ffi::PyMethodDef],
) -> PyResult<Bound<'py, PyType>> {
    make_type(name, doc, base, &Layout { size: 0, offset: 0, members: &[] }, methods, &[])
}

/// How an instance is laid out: its size in bytes, or zero for the base's; where our fields begin, and those of them that
/// hold objects.
struct Layout {
    size: isize,
    offset: isize,
    members: &'static [(&'static CStr, usize)],
}

fn make_type<'py>(
    name: &'static CStr,
    doc: &'static CStr,
    base: &Bound<'py, PyType>,
    layout: &Layout,
    methods: &'static mut [ffi::PyMethodDef],
    functions: &[ffi::PyType_Slot],
) -> PyResult<Bound<'py, PyType>> {
    let mut members: Vec<ffi::PyMemberDef> = layout
        .members
        .iter()
        .map(|(name, within)| ffi::PyMemberDef {
            name: name.as_ptr(),
            type_code: ffi::Py_T_OBJECT_EX,
            offset: layout.offset + within.cast_signed(),
            flags: 0,
            doc: ptr::null(),
        })
        .collect();
    members.push(ffi::PyMemberDef::default());
    let slot = |slot: c_int, pfunc: *mut c_void| ffi::PyType_Slot { slot, pfunc };
    let mut slots = vec![
        slot(ffi::Py_tp_doc, doc.as_ptr().cast_mut().cast()),
        slot(ffi::Py_tp_methods, methods.as_mut_ptr().cast()),
        slot(ffi::Py_tp_members, members.as_mut_ptr().cast()),
    ];
    slots.extend_from_slice(functions);
    slots.push(slot(0, ptr::null_mut()));
    #[expect(
        clippy::cast_possible_truncation,
        reason = "an instance has a few hundred bytes, and flags fit their field"
    )]
    let mut spec = ffi::PyType_Spec {
        name: name.as_ptr(),
        basicsize: layout.size as c_int,
        itemsize: 0,
        // Not Py_TPFLAGS_HAVE_GC: without it, and without functions of its own, a type inherits the flag together with
        // the base's traversal, which knows the members of all heap types on its way.
        flags: (ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_BASETYPE) as _,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: the spec, its slots and its members are alive during the call, which copies them; names, docs and method
    // tables are static. Members lie within the instance, by `Fields`.
    let made = unsafe {
        let made = ffi::PyType_FromSpecWithBases(&raw mut spec, base.as_ptr());
        Bound::from_owned_ptr_or_err(base.py(), made)?
    };
    Ok(made.cast_into::<PyType>()?)
}

/// The offset of a field, for [`Fields::MEMBERS`].
macro_rules! members {
    ($fields:ty: $($name:literal = $field:ident),* $(,)?) => {
        &[$(($name, std::mem::offset_of!($fields, $field))),*]
    };
}
pub(crate) use members;
