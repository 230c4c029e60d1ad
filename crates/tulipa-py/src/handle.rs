//! `asyncio.Handle` and `asyncio.TimerHandle`, made and run natively.
//!
//! A scheduled call is a real `asyncio.Handle`: its attributes, its comparisons and its `repr` are asyncio's own (T5).
//! What is native is making one, running one, and cancelling one.

use std::cell::Cell;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyTuple, PyType};
use tulipa_core::TimerId;

use crate::event_loop::LoopCore;
use crate::ffi::call::{call_tuple, copy_current_context, in_context};
use crate::ffi::native_type::Fields;
pub(crate) use crate::ffi::pool::track;
use crate::ffi::pool::{Pool, Pooled, PooledClass, is_ours_alone};
use crate::ffi::raw::{method, table};
use crate::ffi::slot::{Slot, SlotTable, Slots};

const HANDLE_SLOTS: [&str; 7] = ["_callback", "_args", "_cancelled", "_loop", "_source_traceback", "_repr", "_context"];
const CALLBACK: usize = 0;
const ARGS: usize = 1;
const CANCELLED: usize = 2;
const LOOP: usize = 3;
const SOURCE_TRACEBACK: usize = 4;
const REPR: usize = 5;
const CONTEXT: usize = 6;

const TIMER_SLOTS: [&str; 2] = ["_scheduled", "_when"];
const SCHEDULED: usize = 0;
const WHEN: usize = 1;

/// A handle has nothing but asyncio's slots.
#[repr(C)]
struct HandleFields;

// SAFETY: nothing.
unsafe impl Fields for HandleFields {
    const MEMBERS: &'static [(&'static std::ffi::CStr, usize)] = &[];
}

impl Pooled for HandleFields {
    fn pool() -> &'static Pool {
        static POOL: Pool = Pool::new();
        &POOL
    }
}

/// What a timer handle knows of its timer.
#[repr(C)]
struct TimerFields {
    /// Index and serial of the [`TimerId`]; serials start at one, so zeroes mean none.
    id: Cell<(usize, u64)>,
}

// SAFETY: plain data, of which zeroes are valid; no slots.
unsafe impl Fields for TimerFields {
    const MEMBERS: &'static [(&'static std::ffi::CStr, usize)] = &[];
}

impl Pooled for TimerFields {
    fn pool() -> &'static Pool {
        static POOL: Pool = Pool::new();
        &POOL
    }
}

/// What handles of calls from other threads have: nothing but asyncio's slots.
#[repr(C)]
struct SharedFields;

// SAFETY: nothing.
unsafe impl Fields for SharedFields {
    const MEMBERS: &'static [(&'static std::ffi::CStr, usize)] = &[];
}

impl Pooled for SharedFields {
    fn pool() -> &'static Pool {
        static POOL: Pool = Pool::new();
        &POOL
    }
}

/// The handles that `call_soon_threadsafe` returns since 3.14: `cancel()` waits while the call runs.
///
/// asyncio's hold a lock each, and run with it held. Here the lock is made when a call begins that somebody else has the
/// handle of; of a handle that only the queue has, nobody can ask anything.
struct SharedHandles {
    class: PooledClass<SharedFields>,
    slots: SlotTable<7>,
    lock: SlotTable<1>,
    base: Py<PyType>,
    new_lock: Py<PyAny>,
}

impl SharedHandles {
    /// Nothing before 3.14, and nothing where there is no global lock to make the above true.
    fn find(py: Python<'_>) -> PyResult<Option<Self>> {
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
                method!(c"cancelled", noargs, shared_is_cancelled, c"Whether the call was cancelled."),
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
}

struct HandleTypes {
    handle: PooledClass<HandleFields>,
    timer: PooledClass<TimerFields>,
    shared: Option<SharedHandles>,
    handle_slots: SlotTable<7>,
    /// The same slots, in timer handles.
    timer_slots: SlotTable<7>,
    own_timer_slots: SlotTable<2>,
    /// `Handle._run` as it was at import: tools that measure callbacks replace it (T5).
    run: Py<PyAny>,
}

impl HandleTypes {
    /// The slots of a handle of ours, of either kind.
    #[inline]
    fn slots<'a>(&'a self, handle: &'a Bound<'_, PyAny>) -> Option<Slots<'a, 7>> {
        let shared = || self.shared.as_ref().and_then(|shared| shared.slots.of(handle));
        self.handle_slots.of(handle).or_else(|| self.timer_slots.of(handle)).or_else(shared)
    }
}

static TYPES: PyOnceLock<HandleTypes> = PyOnceLock::new();

fn types(py: Python<'_>) -> PyResult<&'static HandleTypes> {
    TYPES.get_or_try_init(py, || {
        let events = py.import("asyncio.events")?;
        let handle_base = events.getattr("Handle")?.cast_into::<PyType>()?;
        let timer_base = events.getattr("TimerHandle")?.cast_into::<PyType>()?;
        let handle = PooledClass::make(
            c"tulipa.Handle",
            c"A scheduled call; see asyncio.Handle.",
            &handle_base,
            table(vec![method!(c"cancel", noargs, cancel, c"Cancel the call. Cancelling twice is allowed.")]),
        )?;
        let timer = PooledClass::make(
            c"tulipa.TimerHandle",
            c"A call scheduled for a later time; see asyncio.TimerHandle.",
            &timer_base,
            table(vec![method!(c"cancel", noargs, cancel_timer, c"Cancel the call. Cancelling twice is allowed.")]),
        )?;
        Ok(HandleTypes {
            handle_slots: SlotTable::find(handle.class().class(py), HANDLE_SLOTS)?,
            timer_slots: SlotTable::find(timer.class().class(py), HANDLE_SLOTS)?,
            own_timer_slots: SlotTable::find(timer.class().class(py), TIMER_SLOTS)?,
            handle,
            timer,
            shared: SharedHandles::find(py)?,
            run: handle_base.getattr("_run")?.unbind(),
        })
    })
}

/// Makes the types and adds them to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let types = types(py)?;
    module.add("Handle", types.handle.class().class(py))?;
    module.add("TimerHandle", types.timer.class().class(py))
}

/// Whether somebody has replaced `asyncio.Handle._run`, and wants it called.
pub(crate) fn run_is_replaced(py: Python<'_>) -> PyResult<bool> {
    let present = py.import("asyncio.events")?.getattr("Handle")?.getattr("_run")?;
    Ok(!present.is(&types(py)?.run))
}

fn fill<'py>(
    slots: &Slots<'_, 7>,
    event_loop: &Bound<'py, LoopCore>,
    callback: &Bound<'py, PyAny>,
    args: Bound<'py, PyTuple>,
    context: Option<&Bound<'py, PyAny>>,
) -> PyResult<()> {
    let py = event_loop.py();
    let context = match context {
        Some(context) if !context.is_none() => context.clone(),
        _ => copy_current_context(py)?,
    };
    let traceback = event_loop.get().creation_stack(event_loop)?;
    let none = || py.None().into_bound(py);
    slots.at(CALLBACK).set(callback.clone());
    slots.at(ARGS).set(args.into_any());
    slots.at(CANCELLED).set(PyBool::new(py, false).to_owned().into_any());
    slots.at(LOOP).set(event_loop.clone().into_any());
    slots.at(SOURCE_TRACEBACK).set(traceback.unwrap_or_else(none));
    slots.at(REPR).set(none());
    slots.at(CONTEXT).set(context);
    Ok(())
}

/// Makes a handle; `context` defaults to a copy of the present one.
///
/// While its loop runs, a handle that waits in the loop's queue is alive, and so is all that it refers to; the collector
/// need not see it. Whoever lets such a handle outlive its place in the queue, or the loop's run, calls [`track`].
pub(crate) fn new_handle<'py>(
    event_loop: &Bound<'py, LoopCore>,
    callback: &Bound<'py, PyAny>,
    args: Bound<'py, PyTuple>,
    context: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = event_loop.py();
    let types = types(py)?;
    let handle = types.handle.alloc(py)?;
    if let Some(slots) = types.handle_slots.of(&handle) {
        fill(&slots, event_loop, callback, args, context)?;
    }
    if !event_loop.get().is_running() {
        track(&handle);
    }
    Ok(handle)
}

/// Makes a handle of a call from any thread, as [`new_handle`]. Before 3.14 that is a handle as any other.
pub(crate) fn new_shared_handle<'py>(
    event_loop: &Bound<'py, LoopCore>,
    callback: &Bound<'py, PyAny>,
    args: Bound<'py, PyTuple>,
    context: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = event_loop.py();
    let Some(shared) = &types(py)?.shared else { return new_handle(event_loop, callback, args, context) };
    let handle = shared.class.alloc(py)?;
    if let Some(slots) = shared.slots.of(&handle) {
        fill(&slots, event_loop, callback, args, context)?;
    }
    if !event_loop.get().is_running() {
        track(&handle);
    }
    Ok(handle)
}

/// Gives a handle the lock that asyncio's methods take, if it is one that has such.
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

/// Makes a timer handle that knows no timer yet; `when` is the deadline as the program gave it.
pub(crate) fn new_timer_handle<'py>(
    event_loop: &Bound<'py, LoopCore>,
    when: Bound<'py, PyAny>,
    callback: &Bound<'py, PyAny>,
    args: Bound<'py, PyTuple>,
    context: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = event_loop.py();
    let types = types(py)?;
    let handle = types.timer.alloc(py)?;
    if let (Some(slots), Some(own)) = (types.timer_slots.of(&handle), types.own_timer_slots.of(&handle)) {
        fill(&slots, event_loop, callback, args, context)?;
        own.at(WHEN).set(when);
        own.at(SCHEDULED).set(PyBool::new(py, true).to_owned().into_any());
    }
    track(&handle);
    Ok(handle)
}

/// Tells a timer handle its timer.
pub(crate) fn set_timer(handle: &Bound<'_, PyAny>, id: TimerId) -> PyResult<()> {
    if let Some(fields) = types(handle.py())?.timer.class().fields(handle) {
        fields.id.set(id.into_parts());
    }
    Ok(())
}

/// The timer of a timer handle, which it then forgets.
pub(crate) fn take_timer(handle: &Bound<'_, PyAny>) -> PyResult<Option<TimerId>> {
    let fields = types(handle.py())?.timer.class().fields(handle);
    Ok(fields.map(|fields| fields.id.replace((0, 0))).filter(|(_, serial)| *serial > 0).map(TimerId::from_parts))
}

/// What running a handle's callback came to.
pub(crate) enum Ran {
    /// It returned, or was cancelled and did not run.
    Done,
    /// It raised.
    Raised(PyErr),
    /// The handle is not one of ours: its own `_run` must be called.
    Foreign,
}

/// Runs a handle's callback in its context, unless the handle was cancelled.
#[inline]
pub(crate) fn run(handle: &Bound<'_, PyAny>) -> PyResult<Ran> {
    let py = handle.py();
    let types = types(py)?;
    let slots = if types.handle.class().is_exactly(handle) {
        types.handle_slots.of(handle)
    } else if types.timer.class().is_exactly(handle) {
        if let Some(own) = types.own_timer_slots.of(handle) {
            own.at(SCHEDULED).set(PyBool::new(py, false).to_owned().into_any());
        }
        types.timer_slots.of(handle)
    } else if let Some(shared) = &types.shared
        && shared.class.class().is_exactly(handle)
        && is_ours_alone(handle)
    {
        shared.slots.of(handle)
    } else {
        None
    };
    let Some(slots) = slots else { return Ok(Ran::Foreign) };
    if !is_ours_alone(handle) {
        track(handle);
    }
    if is_true(slots.at(CANCELLED), py) {
        return Ok(Ran::Done);
    }
    let callback = slots.at(CALLBACK).get(py).unwrap_or_else(|| py.None().into_bound(py));
    let Some(args) = slots.at(ARGS).get(py) else { return Ok(Ran::Foreign) };
    let Ok(args) = args.cast_into::<PyTuple>() else { return Ok(Ran::Foreign) };
    let context = slots.at(CONTEXT).get(py);
    Ok(match in_context(py, context.as_ref(), || call_tuple(&callback, &args)) {
        Ok(_) => Ran::Done,
        Err(error) => Ran::Raised(error),
    })
}

fn is_true(slot: &Slot, py: Python<'_>) -> bool {
    slot.get(py).is_some_and(|value| value.is(PyBool::new(py, true)))
}

fn cancel<'py>(handle: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = handle.py();
    let done = Ok(py.None().into_bound(py));
    let Some(slots) = types(py)?.slots(handle) else { return done };
    if is_true(slots.at(CANCELLED), py) {
        return done;
    }
    slots.at(CANCELLED).set(PyBool::new(py, true).to_owned().into_any());
    let event_loop = slots.at(LOOP).get(py);
    let debug = event_loop
        .as_ref()
        .and_then(|event_loop| event_loop.cast::<LoopCore>().ok())
        .is_some_and(|event_loop| event_loop.get().is_debug());
    if debug {
        // Slow-callback reports must be able to say what was cancelled.
        slots.at(REPR).set(handle.repr()?.into_any());
    }
    drop(slots.at(CALLBACK).take(py));
    drop(slots.at(ARGS).take(py));
    done
}

fn cancel_timer<'py>(handle: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = handle.py();
    if let Some(id) = take_timer(handle)? {
        let types = types(py)?;
        if let Some(own) = types.own_timer_slots.of(handle) {
            own.at(SCHEDULED).set(PyBool::new(py, false).to_owned().into_any());
        }
        let event_loop = types.slots(handle).and_then(|slots| slots.at(LOOP).get(py));
        if let Some(event_loop) = event_loop.as_ref().and_then(|event_loop| event_loop.cast::<LoopCore>().ok()) {
            event_loop.get().cancel_timer(py, id);
        }
    }
    cancel(handle)
}

/// The lock of a handle, once it has one.
fn lock_of<'py>(shared: &SharedHandles, handle: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    shared.lock.of(handle)?.at(0).get(handle.py())
}

fn cancel_shared<'py>(handle: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = handle.py();
    match &types(py)?.shared {
        Some(shared) if lock_of(shared, handle).is_some() => {
            shared.base.bind(py).call_method1(intern!(py, "cancel"), (handle,))
        }
        _ => cancel(handle),
    }
}

fn shared_is_cancelled<'py>(handle: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = handle.py();
    let types = types(py)?;
    match &types.shared {
        Some(shared) if lock_of(shared, handle).is_some() => {
            shared.base.bind(py).call_method1(intern!(py, "cancelled"), (handle,))
        }
        _ => {
            let cancelled = types.slots(handle).is_some_and(|slots| is_true(slots.at(CANCELLED), py));
            Ok(PyBool::new(py, cancelled).to_owned().into_any())
        }
    }
}
