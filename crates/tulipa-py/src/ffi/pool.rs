//! Types whose instances are used again.
//!
//! Each scheduled call is an object that lives for a moment. CPython's own way to make and end one (a block of memory, a
//! walk over the type's bases to find the slots, the collector's counters) costs as much as the call. So ended ones are
//! parked instead, empty and untracked, and taken out again: of each type as many as [`PARKED_MAX`], which for handles is
//! 1.8 MB and serves a thread that schedules ten thousand calls in a go.
//!
//! 1. Only instances of exactly the type are parked; those of subclasses end in CPython's way.
//! 2. What is parked holds nothing: all slots are empty, weak references are cleared, and the reference to the type is
//!    given back.
//! 3. The pool is touched by threads that hold the global interpreter lock. Without one, nothing is parked.
//! 4. An instance begins untracked: the collector neither sees it nor spends time on it. What it refers to then counts as
//!    alive, which is right as long as whoever keeps the instance is. [`track`] ends that.

use std::cell::Cell;
use std::ffi::{CStr, c_void};
use std::ptr;
use std::sync::OnceLock;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyType};

use super::native_type::{Fields, NativeClass};

/// How many are parked at most.
const PARKED_MAX: usize = 16 * 1024;

/// Fields of a type whose instances are used again.
pub(crate) trait Pooled: Fields + 'static {
    /// The pool of this type, and of no other.
    fn pool() -> &'static Pool;
}

/// Gives a type of fields its pool.
macro_rules! pooled {
    ($fields:ty) => {
        impl $crate::ffi::pool::Pooled for $fields {
            fn pool() -> &'static $crate::ffi::pool::Pool {
                static POOL: $crate::ffi::pool::Pool = $crate::ffi::pool::Pool::new();
                &POOL
            }
        }
    };
}
pub(crate) use pooled;

/// See the top of this file.
pub(crate) struct Pool {
    parked: [Cell<*mut ffi::PyObject>; PARKED_MAX],
    count: Cell<usize>,
    layout: OnceLock<Layout>,
}

// SAFETY: rule 3; `layout` is synchronised by itself.
unsafe impl Sync for Pool {}

/// Where an instance keeps what has to be emptied.
struct Layout {
    class: TypePointer,
    slots: Vec<isize>,
}

#[derive(PartialEq, Eq)]
struct TypePointer(*mut ffi::PyTypeObject);

// SAFETY: the pointer is compared, and followed by attached threads only.
unsafe impl Send for TypePointer {}
// SAFETY: the same.
unsafe impl Sync for TypePointer {}

impl Pool {
    pub(crate) const fn new() -> Self {
        Self {
            parked: [const { Cell::new(ptr::null_mut()) }; PARKED_MAX],
            count: Cell::new(0),
            layout: OnceLock::new(),
        }
    }

    /// Takes an instance out, or null.
    #[inline]
    fn take(&self, _py: Python<'_>) -> *mut ffi::PyObject {
        let Some(index) = self.count.get().checked_sub(1) else { return ptr::null_mut() };
        self.count.set(index);
        self.parked.get(index).map_or(ptr::null_mut(), Cell::get)
    }

    /// Keeps an empty instance; `false` if there is no room.
    #[inline]
    fn park(&self, object: *mut ffi::PyObject) -> bool {
        let count = self.count.get();
        match self.parked.get(count) {
            Some(place) if cfg!(not(Py_GIL_DISABLED)) => {
                place.set(object);
                self.count.set(count + 1);
                true
            }
            _ => false,
        }
    }
}

/// A [`NativeClass`] with a pool.
pub(crate) struct PooledClass<F> {
    class: NativeClass<F>,
}

impl<F: Pooled> PooledClass<F> {
    /// Makes the type `name` over `base`, whose instances have nothing but slots. `methods` ends in zeroes, see
    /// [`raw::table`](super::raw::table).
    pub(crate) fn make(
        name: &'static CStr,
        doc: &'static CStr,
        base: &Bound<'_, PyType>,
        methods: &'static mut [ffi::PyMethodDef],
    ) -> PyResult<Self> {
        Self::make_with(name, doc, base, methods, &[])
    }

    /// The same; `functions` are for CPython's slots.
    pub(super) fn make_with(
        name: &'static CStr,
        doc: &'static CStr,
        base: &Bound<'_, PyType>,
        methods: &'static mut [ffi::PyMethodDef],
        functions: &[ffi::PyType_Slot],
    ) -> PyResult<Self> {
        const { assert!(F::MEMBERS.is_empty(), "only the base's slots are emptied") };
        let slots = all_slots(base)?;
        // What is laid out otherwise than we know is ended by CPython, which knows.
        let dealloc: ffi::destructor = dealloc::<F>;
        let dealloc = ffi::PyType_Slot { slot: ffi::Py_tp_dealloc, pfunc: dealloc as *mut c_void };
        let functions: Vec<_> = functions.iter().copied().chain(slots.is_some().then_some(dealloc)).collect();
        let class = NativeClass::make_with(name, doc, base, methods, &functions)?;
        if let Some(slots) = slots {
            let class_pointer = TypePointer(class.class(base.py()).as_type_ptr());
            // A second type of these fields would end its instances as CPython does.
            let _ = F::pool().layout.set(Layout { class: class_pointer, slots });
        }
        Ok(Self { class })
    }

    pub(crate) const fn class(&self) -> &NativeClass<F> {
        &self.class
    }

    /// A new instance with all slots and fields empty, untracked (rule 4).
    ///
    /// # Errors
    /// `MemoryError`.
    #[inline]
    pub(crate) fn alloc<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let class = self.class.class(py);
        let parked = F::pool().take(py);
        if parked.is_null() {
            let made = self.class.alloc(class)?;
            // SAFETY: a new instance is tracked.
            unsafe { ffi::PyObject_GC_UnTrack(made.as_ptr().cast()) };
            return Ok(made);
        }
        // SAFETY: a parked object is memory of an instance of exactly this type (rule 1), with empty slots (rule 2), which
        // are a valid state of it, and so are zeroes for the fields behind them, by `Fields`.
        unsafe {
            ffi::PyObject_Init(parked, class.as_type_ptr());
            ptr::write_bytes(parked.byte_offset(self.class.offset()).cast::<F>(), 0, 1);
            Ok(Bound::from_owned_ptr(py, parked))
        }
    }
}

/// Lets the collector see an object that it may not have seen so far. Runs no Python code.
#[inline]
pub(crate) fn track(object: &Bound<'_, PyAny>) {
    // SAFETY: attached; an object of a type that the collector knows, or of another, which is left alone.
    unsafe {
        let object = object.as_ptr();
        if ffi::PyObject_IS_GC(object) != 0 && ffi::PyObject_GC_IsTracked(object) == 0 {
            ffi::PyObject_GC_Track(object.cast());
        }
    }
}

/// Whether nobody else has a reference to the object.
#[inline]
pub(crate) fn is_ours_alone(object: &Bound<'_, PyAny>) -> bool {
    // Without a global lock a count says little.
    // SAFETY: attached.
    cfg!(not(Py_GIL_DISABLED)) && unsafe { ffi::Py_REFCNT(object.as_ptr()) } == 1
}

/// The offsets of all slots of a class whose instances have nothing else; nothing if they do.
fn all_slots(class: &Bound<'_, PyType>) -> PyResult<Option<Vec<isize>>> {
    let mut offsets = Vec::new();
    for base in class.mro() {
        let Ok(names) = base.getattr("__dict__")?.get_item("__slots__") else { continue };
        // A tuple or a list, and asyncio has both; a string would be one name.
        if names.is_instance_of::<PyString>() {
            return Ok(None);
        }
        for name in names.try_iter()? {
            let name: String = name?.extract()?;
            if name != "__weakref__" {
                offsets.push(super::slot::find_slot(base.cast::<PyType>()?, &name)?);
            }
        }
    }
    let pointer = size_of::<*mut ffi::PyObject>();
    // SAFETY: the type is alive.
    let (size, weak) = unsafe { ((*class.as_type_ptr()).tp_basicsize, (*class.as_type_ptr()).tp_weaklistoffset) };
    let known = size_of::<ffi::PyObject>() + (offsets.len() + usize::from(weak > 0)) * pointer;
    Ok((usize::try_from(size) == Ok(known)).then_some(offsets))
}

/// Ends an instance of the class, or of one that inherits it.
unsafe extern "C" fn dealloc<F: Pooled>(object: *mut ffi::PyObject) {
    let pool = F::pool();
    // SAFETY: CPython calls this once the last reference is gone, attached, with an instance of our class. `layout`
    // holds for all of these (`NativeClass` lays out subclasses behind it), and was set before the first was made.
    unsafe {
        let class = ffi::Py_TYPE(object);
        if (*class).tp_finalize.is_some() && ffi::PyObject_CallFinalizerFromDealloc(object) < 0 {
            return;
        }
        ffi::PyObject_GC_UnTrack(object.cast());
        let weak = (*class).tp_weaklistoffset;
        if weak != 0 && !(*object.byte_offset(weak).cast::<*mut ffi::PyObject>()).is_null() {
            ffi::PyObject_ClearWeakRefs(object);
        }
        let mut parked = false;
        if let Some(layout) = pool.layout.get() {
            for offset in &layout.slots {
                let slot = object.byte_offset(*offset).cast::<*mut ffi::PyObject>();
                ffi::Py_XDECREF(ptr::replace(slot, ptr::null_mut()));
            }
            parked = layout.class.0 == class && (*class).tp_finalize.is_none() && pool.park(object);
        }
        if !parked && let Some(free) = (*class).tp_free {
            free(object.cast());
        }
        ffi::Py_DECREF(class.cast());
    }
}
