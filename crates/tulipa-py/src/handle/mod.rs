//! `asyncio.Handle` and `asyncio.TimerHandle`, made and run natively.
//!
//! A scheduled call is a real `asyncio.Handle`: its attributes, its comparisons and its `repr` are asyncio's own (T5).
//! What is native is making one, running one, and cancelling one. Those of calls from other threads are in `shared`.

mod shared;

use std::cell::Cell;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyTuple, PyType};
use tulipa_core::TimerId;

use self::shared::SharedHandles;
pub(crate) use self::shared::{lock_up, new_shared_handle};
use crate::event_loop::LoopCore;
use crate::ffi::call::{call_tuple, copy_current_context, in_context};
use crate::ffi::native_type::Fields;
pub(crate) use crate::ffi::pool::track;
use crate::ffi::pool::{Pooled, PooledClass, is_ours_alone, pooled};
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

// SAFETY: there are no fields.
unsafe impl Fields for HandleFields {
    const MEMBERS: &'static [(&'static std::ffi::CStr, usize)] = &[];
}

pooled!(HandleFields);

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

pooled!(TimerFields);

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
    /// The slots of a handle of ours, of any kind.
    #[inline]
    fn slots<'a>(&'a self, handle: &'a Bound<'_, PyAny>) -> Option<Slots<'a, 7>> {
        // What is exactly of the second class is asked for first: being of the first one otherwise is a long question.
        if self.timer.class().is_exactly(handle) {
            return self.timer_slots.of(handle);
        }
        let shared = || self.shared.as_ref().and_then(|shared| shared.slots(handle));
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
    let types = types(event_loop.py())?;
    make(&types.handle, &types.handle_slots, event_loop, callback, args, context)
}

/// Makes a handle that is no timer's.
fn make<'py, F: Pooled>(
    class: &PooledClass<F>,
    slots: &SlotTable<7>,
    event_loop: &Bound<'py, LoopCore>,
    callback: &Bound<'py, PyAny>,
    args: Bound<'py, PyTuple>,
    context: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let handle = class.alloc(event_loop.py())?;
    if let Some(slots) = slots.of(&handle) {
        fill(&slots, event_loop, callback, args, context)?;
    }
    if !event_loop.get().is_running() {
        track(&handle);
    }
    Ok(handle)
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
    } else {
        types.shared.as_ref().and_then(|shared| shared.slots_of_ours_alone(handle))
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

#[inline]
fn is_true(slot: &Slot, py: Python<'_>) -> bool {
    slot.get(py).is_some_and(|value| value.is(PyBool::new(py, true)))
}

fn cancel<'py>(handle: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = handle.py();
    if let Some(slots) = types(py)?.slots(handle) {
        let event_loop = slots.at(LOOP).get(py);
        let event_loop = event_loop.as_ref().and_then(|event_loop| LoopCore::of(event_loop).ok());
        cancel_with(handle, &slots, event_loop)?;
    }
    Ok(py.None().into_bound(py))
}

fn cancel_timer<'py>(handle: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = handle.py();
    let types = types(py)?;
    if let Some(slots) = types.slots(handle) {
        let event_loop = slots.at(LOOP).get(py);
        let event_loop = event_loop.as_ref().and_then(|event_loop| LoopCore::of(event_loop).ok());
        if let Some(id) = take_timer(handle)? {
            if let Some(own) = types.own_timer_slots.of(handle) {
                own.at(SCHEDULED).set(PyBool::new(py, false).to_owned().into_any());
            }
            if let Some(event_loop) = event_loop {
                event_loop.get().cancel_timer(py, id);
            }
        }
        cancel_with(handle, &slots, event_loop)?;
    }
    Ok(py.None().into_bound(py))
}

/// Cancels a handle whose slots and loop are known.
#[inline]
fn cancel_with<'py>(
    handle: &Bound<'py, PyAny>,
    slots: &Slots<'_, 7>,
    event_loop: Option<&Bound<'py, LoopCore>>,
) -> PyResult<()> {
    let py = handle.py();
    if is_true(slots.at(CANCELLED), py) {
        return Ok(());
    }
    slots.at(CANCELLED).set(PyBool::new(py, true).to_owned().into_any());
    if event_loop.is_some_and(|event_loop| event_loop.get().is_debug()) {
        // Slow-callback reports must be able to say what was cancelled.
        slots.at(REPR).set(handle.repr()?.into_any());
    }
    drop(slots.at(CALLBACK).take(py));
    drop(slots.at(ARGS).take(py));
    Ok(())
}
