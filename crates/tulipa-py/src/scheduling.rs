//! Scheduling: `call_soon` and its like, timers, and the clock.

use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyInt};
use tulipa_core::Instant;

use crate::event_loop::LoopCore;
use crate::ffi::call::{address, is_bound_native, tuple};
use crate::ffi::object::Obj;
use crate::ffi::raw::{Arguments, Parsed, method};
use crate::handle;

/// Where the code of `time` is, to tell it from a replacement.
static TIME: AtomicUsize = AtomicUsize::new(0);

impl LoopCore {
    #[inline]
    fn check_call(&self, event_loop: &Bound<'_, Self>, callback: &Bound<'_, PyAny>, method: &str) -> PyResult<()> {
        self.check_open()?;
        if self.is_debug() {
            event_loop.call_method1(intern!(event_loop.py(), "_check_call"), (callback, method))?;
        }
        Ok(())
    }

    /// The program's own clock, if it brought one: a subclass or a test has replaced `time` (T17).
    pub(crate) fn foreign_now(&self, event_loop: &Bound<'_, Self>) -> PyResult<Option<Instant>> {
        let py = event_loop.py();
        let name = intern!(py, "time");
        if self.own_time.holds(event_loop, name) {
            return Ok(None);
        }
        let time = event_loop.getattr(name)?;
        if is_bound_native(&time, event_loop, TIME.load(Ordering::Relaxed)) {
            self.own_time.remember(event_loop);
            return Ok(None);
        }
        Ok(Some(Instant::from_secs(time.call0()?.extract()?)))
    }

    fn new_timer<'py>(
        &self,
        event_loop: &Bound<'py, Self>,
        deadline: Instant,
        when: Bound<'py, PyAny>,
        callback: &Bound<'py, PyAny>,
        args: &[Bound<'py, PyAny>],
        context: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = event_loop.py();
        let args = tuple(py, args)?;
        let timer = handle::new_timer_handle(event_loop, when, callback, args, context)?;
        let entry = Obj::from(timer.clone());
        let id = self.with(py, |state| state.core.call_at(deadline, entry));
        handle::set_timer(&timer, id)?;
        Ok(timer)
    }
}

/// The methods that run once per callback, to be installed raw.
pub(crate) fn methods() -> Vec<pyo3::ffi::PyMethodDef> {
    let clock = method!(
        c"time",
        noargs,
        time,
        c"time($self)\n--\n\nSeconds on the monotonic clock, as time.monotonic(); see asyncio.loop.time."
    );
    TIME.store(address(&clock), Ordering::Relaxed);
    vec![
        clock,
        method!(c"call_soon", vector, call_soon, c"call_soon($self, callback, *args, context=None)\n--\n\nSchedule a call for the next turn; see asyncio.loop.call_soon."),
        method!(
            c"call_later",
            vector,
            call_later,
            c"call_later($self, delay, callback, *args, context=None)\n--\n\nSchedule a call after a delay in seconds; see asyncio.loop.call_later."
        ),
        method!(
            c"call_at",
            vector,
            call_at,
            c"call_at($self, when, callback, *args, context=None)\n--\n\nSchedule a call for a moment of time(), in seconds; see asyncio.loop.call_at."
        ),
        method!(
            c"call_soon_threadsafe",
            vector,
            call_soon_threadsafe,
            c"call_soon_threadsafe($self, callback, *args, context=None)\n--\n\nSchedule a call from any thread; see asyncio.loop.call_soon_threadsafe."
        ),
        method!(
            c"_add_callback_threadsafe",
            onearg,
            add_handle_threadsafe,
            c"Append a handle to the ready queue from any thread."
        ),
        method!(c"_add_callback", onearg, add_handle, c"Append a handle to the ready queue."),
        method!(
            c"_timer_handle_cancelled",
            onearg,
            timer_handle_cancelled,
            c"Take note that a timer handle was cancelled."
        ),
        method!(c"time", noargs, time, c"time($self)\n--\n\nSeconds on the monotonic clock, as time.monotonic(); see asyncio.loop.time."),
    ]
}

fn call_soon<'py>(object: &Bound<'py, PyAny>, args: Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    let event_loop = LoopCore::of(object)?;
    let Parsed { named: [callback], rest, option: context } = args.parse("call_soon", ["callback"], Some("context"))?;
    let core = event_loop.get();
    core.check_call(event_loop, callback, "call_soon")?;
    let handle = handle::new_handle(event_loop, callback, tuple(object.py(), rest)?, context)?;
    let entry = Obj::from(handle.clone());
    core.with(object.py(), |state| state.core.call_soon(entry));
    Ok(handle)
}

fn call_soon_threadsafe<'py>(object: &Bound<'py, PyAny>, args: Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    let event_loop = LoopCore::of(object)?;
    let Parsed { named: [callback], rest, option: context } =
        args.parse("call_soon_threadsafe", ["callback"], Some("context"))?;
    let core = event_loop.get();
    core.check_open()?;
    if core.is_debug() {
        let name = "call_soon_threadsafe";
        event_loop.call_method1(intern!(object.py(), "_check_callback"), (callback, name))?;
    }
    let handle = handle::new_shared_handle(event_loop, callback, tuple(object.py(), rest)?, context)?;
    core.push(object.py(), &handle);
    Ok(handle)
}

fn add_handle<'py>(object: &Bound<'py, PyAny>, handle: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let core = LoopCore::of(object)?.get();
    core.check_open()?;
    let entry = Obj::from(handle.clone());
    core.with(object.py(), |state| state.core.call_soon(entry));
    Ok(object.py().None().into_bound(object.py()))
}

fn add_handle_threadsafe<'py>(object: &Bound<'py, PyAny>, handle: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let core = LoopCore::of(object)?.get();
    core.check_open()?;
    core.push(object.py(), handle);
    Ok(object.py().None().into_bound(object.py()))
}

fn call_later<'py>(object: &Bound<'py, PyAny>, args: Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    let event_loop = LoopCore::of(object)?;
    let Parsed { named: [delay, callback], rest, option: context } =
        args.parse("call_later", ["delay", "callback"], Some("context"))?;
    if delay.is_none() {
        return Err(PyTypeError::new_err("delay must not be None"));
    }
    let core = event_loop.get();
    core.check_call(event_loop, callback, "call_later")?;
    let py = object.py();
    let now = match core.foreign_now(event_loop)? {
        Some(now) => now,
        None => core.with(py, |state| state.core.now()),
    };
    // Python's own addition, but for the sake of speed where it is known what that does: what cannot be added to a float is
    // refused as asyncio refuses it.
    if delay.is_exact_instance_of::<PyFloat>() || delay.is_exact_instance_of::<PyInt>() {
        let deadline = comparable(now.as_secs() + seconds(delay, "delay")?, "delay")?;
        let when = PyFloat::new(py, deadline).into_any();
        return core.new_timer(event_loop, Instant::from_secs(deadline), when, callback, rest, context);
    }
    let when = PyFloat::new(py, now.as_secs()).add(delay)?;
    let deadline = Instant::from_secs(seconds(&when, "delay")?);
    core.new_timer(event_loop, deadline, when, callback, rest, context)
}

fn call_at<'py>(object: &Bound<'py, PyAny>, args: Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    let event_loop = LoopCore::of(object)?;
    let Parsed { named: [when, callback], rest, option: context } =
        args.parse("call_at", ["when", "callback"], Some("context"))?;
    if when.is_none() {
        return Err(PyTypeError::new_err("when cannot be None"));
    }
    let core = event_loop.get();
    core.check_call(event_loop, callback, "call_at")?;
    let deadline = Instant::from_secs(seconds(when, "when")?);
    core.new_timer(event_loop, deadline, when.clone(), callback, rest, context)
}

/// A number of seconds that can be compared.
#[inline]
fn seconds(value: &Bound<'_, PyAny>, name: &str) -> PyResult<f64> {
    // Reading an `int` as what it is takes a third of what a float of it would.
    let whole = value.cast_exact::<PyInt>().ok().and_then(|value| value.extract::<i32>().ok());
    match whole {
        Some(whole) => Ok(f64::from(whole)),
        None => comparable(value.extract()?, name),
    }
}

#[inline]
fn comparable(seconds: f64, name: &str) -> PyResult<f64> {
    if seconds.is_nan() {
        return Err(PyValueError::new_err(format!("{name} is NaN, which is no moment; give a number of seconds")));
    }
    Ok(seconds)
}

fn timer_handle_cancelled<'py>(object: &Bound<'py, PyAny>, timer: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    if let Some(id) = handle::take_timer(timer)? {
        LoopCore::of(object)?.get().cancel_timer(py, id);
    }
    Ok(py.None().into_bound(py))
}

fn time<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    let now = LoopCore::of(object)?.get().with(py, |state| state.core.now());
    Ok(PyFloat::new(py, now.as_secs()).into_any())
}
