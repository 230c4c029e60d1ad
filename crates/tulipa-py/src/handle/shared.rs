//! The handles that `call_soon_threadsafe` returns from 3.14 on: `cancel()` waits while the call runs.
//!
//! asyncio's hold a lock each, and run with it held. Here the lock is made when a call begins that somebody else has the
//! handle of, or that Python code runs; from then on asyncio's own methods, which take it, are called. Of a handle that only
//! the queue has, nobody can ask anything.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyTuple, PyType};

use super::{CANCELLED, HANDLE_SLOTS, cancel, is_true, make, new_handle, types};
use crate::event_loop::LoopCore;
use crate::ffi::native_type::Fields;
use crate::ffi::pool::{PooledClass, is_ours_alone, pooled};
use crate::ffi::raw::{method, table};
use crate::ffi::slot::{SlotTable, Slots};

/// They have nothing but asyncio's slots.
#[repr(C)]
struct SharedFields;

// SAFETY: there are no fields.
unsafe impl Fields for SharedFields {
    const MEMBERS: &'static [(&'static std::ffi::CStr, usize)] = &[];
}

pooled!(SharedFields);

/// See the top of this file.
pub(super) struct SharedHandles {
    class: PooledClass<SharedFields>,
    slots: SlotTable<7>,
    lock: SlotTable<1>,
    /// asyncio's class.
    base: Py<PyType>,
    new_lock: Py<PyAny>,
}

impl SharedHandles {
    /// Nothing before 3.14, and nothing where there is no global lock to make the above true.
    pub(super) fn find(py: Python<'_>) -> PyResult<Option<Self>> {
        let Some(base) = py.import("asyncio.events")?.getattr_opt("_ThreadSafeHandle")? else { return Ok(None) };
        if cfg!(Py_GIL_DISABLED) {
            return Ok(None);
        }
        let base = base.cast_into::<PyType>()?;
        let class = PooledClass::make(
            c"tulipa.ThreadSafeHandle",
            c"A call scheduled from any thread; see asyncio.Handle.",
            &base,
            table(vec![
                method!(c"cancel", noargs, cancel_shared, c"Cancel the call, or wait for its end."),
                method!(c"cancelled", noargs, is_cancelled, c"Whether the call was cancelled."),
            ]),
        )?;
        Ok(Some(Self {
            slots: SlotTable::find(class.class().class(py), HANDLE_SLOTS)?,
            lock: SlotTable::find(class.class().class(py), ["_lock"])?,
            class,
            base: base.unbind(),
            new_lock: py.import("threading")?.getattr("RLock")?.unbind(),
        }))
    }

    /// The slots that all handles have, if it is one of these.
    pub(super) fn slots<'a>(&'a self, handle: &'a Bound<'_, PyAny>) -> Option<Slots<'a, 7>> {
        self.slots.of(handle)
    }

    /// The same of one that may run without a lock.
    #[inline]
    pub(super) fn slots_of_ours_alone<'a>(&'a self, handle: &'a Bound<'_, PyAny>) -> Option<Slots<'a, 7>> {
        let alone = self.class.class().is_exactly(handle) && is_ours_alone(handle);
        if alone { self.slots.of(handle) } else { None }
    }

    fn is_locked(&self, handle: &Bound<'_, PyAny>) -> bool {
        self.lock.of(handle).is_some_and(|lock| lock.at(0).get(handle.py()).is_some())
    }
}

/// Makes a handle of a call from any thread, as [`new_handle`]. Before 3.14 that is a handle as any other.
pub(crate) fn new_shared_handle<'py>(
    event_loop: &Bound<'py, LoopCore>,
    callback: &Bound<'py, PyAny>,
    args: Bound<'py, PyTuple>,
    context: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    match &types(event_loop.py())?.shared {
        Some(shared) => make(&shared.class, &shared.slots, event_loop, callback, args, context),
        None => new_handle(event_loop, callback, args, context),
    }
}

/// Gives a handle the lock that asyncio's methods take, if it is one that has such.
///
/// # Errors
/// `MemoryError`.
pub(crate) fn lock_up(handle: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = handle.py();
    if let Some(shared) = &types(py)?.shared
        && let Some(lock) = shared.lock.of(handle)
        && lock.at(0).get(py).is_none()
    {
        let new = shared.new_lock.bind(py).call0()?;
        // Making one may have let another thread in.
        if lock.at(0).get(py).is_none() {
            lock.at(0).set(new);
        }
    }
    Ok(())
}

fn cancel_shared<'py>(handle: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = handle.py();
    match &types(py)?.shared {
        Some(shared) if shared.is_locked(handle) => shared.base.bind(py).call_method1(intern!(py, "cancel"), (handle,)),
        _ => cancel(handle),
    }
}

fn is_cancelled<'py>(handle: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = handle.py();
    let types = types(py)?;
    match &types.shared {
        Some(shared) if shared.is_locked(handle) => {
            shared.base.bind(py).call_method1(intern!(py, "cancelled"), (handle,))
        }
        _ => {
            let cancelled = types.slots(handle).is_some_and(|slots| is_true(slots.at(CANCELLED), py));
            Ok(PyBool::new(py, cancelled).to_owned().into_any())
        }
    }
}
