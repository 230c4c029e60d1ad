//! One turn, as the binding drives it. The order is the core's; see `docs/internals/turn.md`.

use std::sync::atomic::Ordering;

use pyo3::intern;
use pyo3::prelude::*;
use tulipa_core::{Nap, Step};

use crate::error::{self, is_exit, os_error_about};
use crate::event_loop::LoopCore;
use crate::ffi::call::{check_signals, method1};
use crate::ffi::wakeup::{self, Borrowed};
use crate::handle::{self, Ran};
use crate::host::{Owner, PyHost};
use crate::{listener, transport, watch};

/// Runs turns until the loop is told to stop.
pub(crate) fn run(event_loop: &Bound<'_, LoopCore>) -> PyResult<()> {
    let core = event_loop.get();
    core.run_replaced.store(handle::run_is_replaced(event_loop.py())?, Ordering::Relaxed);
    let mut alarm = Alarm::new(event_loop, wakeup::CHEAP)?;
    core.run_begins();
    let result = run_turns(event_loop, &mut alarm);
    core.run_ends(event_loop.py());
    result
}

fn run_turns(event_loop: &Bound<'_, LoopCore>, alarm: &mut Alarm) -> PyResult<()> {
    let core = event_loop.get();
    loop {
        let result = turn(event_loop, alarm);
        // A request to stop ends with the run that it ended, however that ended.
        if result.is_err() || core.is_stopping() {
            core.set_stopping(false);
            return result;
        }
    }
}

/// Runs one turn.
///
/// # Errors
/// What asks the program to end: `KeyboardInterrupt` and `SystemExit`, from a callback or a signal handler. What the
/// batch had left stays in the queue. Also `OSError` if the driver fails, and `RuntimeError` if the loop is closed.
pub(crate) fn once(event_loop: &Bound<'_, LoopCore>) -> PyResult<()> {
    turn(event_loop, &mut Alarm::new(event_loop, true)?)
}

fn turn(event_loop: &Bound<'_, LoopCore>, alarm: &mut Alarm) -> PyResult<()> {
    let py = event_loop.py();
    event_loop.get().check_usable()?;
    gather(event_loop, alarm)?;
    let result = run_batch(event_loop);
    // What a callback's fork has copied is the parent's to send.
    if !event_loop.get().is_forked() {
        event_loop.get().with(py, |state| state.core.flush());
    }
    result
}

/// How long a wait may be that signals do not end, in seconds, where they cannot be made to for nothing.
const UNWATCHED_MAX: f64 = 0.01;

/// How signals end the waits of a run.
struct Alarm {
    /// The writing end of the pipe by which they do. There is none outside the main thread of the main interpreter,
    /// where Python runs no signal handlers.
    pipe: Option<i32>,
    /// The next wait is worth the price of an alarm: it has none, or the last wait was long and in vain.
    idle: bool,
}

impl Alarm {
    fn new(event_loop: &Bound<'_, LoopCore>, idle: bool) -> PyResult<Self> {
        let py = event_loop.py();
        let pipe = if wakeup::is_main_interpreter(py) {
            event_loop.call_method0(intern!(py, "_own_wakeup_fd"))?.extract()?
        } else {
            None
        };
        Ok(Self { pipe, idle })
    }

    /// Has signals end the wait that comes next, until the answer is dropped. The answer is nothing where the wake-up
    /// descriptor is not the loop's to borrow.
    ///
    /// # Errors
    /// What a signal handler raises.
    fn set<'py>(&self, event_loop: &Bound<'py, LoopCore>) -> PyResult<Option<Borrowed<'py>>> {
        let py = event_loop.py();
        let Some(ours) = self.pipe else { return Ok(None) };
        let borrowed = Borrowed::new(py, ours);
        let foreign = borrowed.as_ref().err().copied().filter(|foreign| *foreign != ours);
        event_loop.get().foreign_wakeup_fd.store(foreign.unwrap_or(wakeup::NONE), Ordering::Relaxed);
        // Whatever comes from here on writes into the pipe; what came before is seen now.
        check_signals(py)?;
        Ok(borrowed.ok())
    }

    /// How long the wait may be.
    fn limit(&self, timeout: Option<f64>) -> Option<f64> {
        if self.idle { timeout } else { Some(timeout.map_or(UNWATCHED_MAX, |timeout| timeout.min(UNWATCHED_MAX))) }
    }

    /// Notes whether the wait was in vain.
    fn waited(&mut self, in_vain: bool) {
        self.idle = wakeup::CHEAP || in_vain;
    }
}

/// Waits as long as the turn may, and makes the batch.
fn gather(event_loop: &Bound<'_, LoopCore>, alarm: &mut Alarm) -> PyResult<()> {
    let py = event_loop.py();
    let core = event_loop.get();
    let (timed, waited) = core.with(py, |state| (state.core.has_timers(), state.core.rounds_are_due()));
    if waited {
        watch::make_rounds(event_loop)?;
    }
    let now = if timed { core.foreign_now(event_loop)? } else { None };
    let limit = || if core.is_stopping() { Some(0.0) } else { core.with(py, |state| state.core.timeout(now)) };
    let mut timeout = limit();
    let mut borrowed = None;
    if timeout != Some(0.0) {
        if alarm.idle {
            borrowed = alarm.set(event_loop)?;
        }
        // A signal handler may have left something to do.
        timeout = alarm.limit(limit());
    }
    let polled = if timeout == Some(0.0) || !core.inbox().falls_asleep() {
        core.with(py, |state| state.core.poll())
    } else {
        let mut nap = core.with(py, |state| state.core.nap());
        // The only place where the interpreter is released: nothing is borrowed, and other threads may call anything.
        let (slept, nap) = py.detach(move || (nap.sleep(timeout), nap));
        core.inbox().wakes_up();
        core.with(py, |state| state.core.woken(nap));
        slept
    };
    // Signal handlers and callbacks find the wake-up descriptor as the program left it.
    drop(borrowed);
    polled.map_err(|code| os_error_about(py, code, "the event loop cannot wait for its descriptors"))?;
    check_signals(py)?;
    // A program's own clock has gone on while the loop slept.
    let now = if now.is_some() { core.foreign_now(event_loop)? } else { None };
    let found = core.with(py, |state| state.core.collect(now));
    alarm.waited(found == 0);
    Ok(())
}

fn run_batch(event_loop: &Bound<'_, LoopCore>) -> PyResult<()> {
    let py = event_loop.py();
    let core = event_loop.get();
    while let Some(step) = core.with(py, |state| state.core.next()) {
        if core.is_debug() {
            run_step_timed(event_loop, step)?;
        } else {
            run_step(event_loop, step)?;
        }
        // The child of a fork has no part in what is left.
        if core.is_forked() {
            return Err(error::forked());
        }
    }
    Ok(())
}

/// Runs a step in debug mode, and reports a protocol's method that was slow. Handles are timed by `_run_watched`.
fn run_step_timed(event_loop: &Bound<'_, LoopCore>, step: Step<PyHost>) -> PyResult<()> {
    let py = event_loop.py();
    let owner = match &step {
        Step::Started(_, owner)
        | Step::Readable(_, owner)
        | Step::Acceptable(_, owner)
        | Step::Resume(_, owner)
        | Step::SendFailed(_, owner, _)
        | Step::Lost(_, owner, _) => Some(owner.object().clone().into_bound(py)),
        _ => None,
    };
    let Some(owner) = owner else { return run_step(event_loop, step) };
    let now = || event_loop.get().with(py, |state| state.core.now());
    let begun = now();
    let result = run_step(event_loop, step);
    let seconds = now().as_secs() - begun.as_secs();
    event_loop.call_method1(intern!(py, "_step_ran"), (owner, seconds))?;
    result
}

fn run_step(event_loop: &Bound<'_, LoopCore>, step: Step<PyHost>) -> PyResult<()> {
    let py = event_loop.py();
    match step {
        Step::Call(handle) => run_handle(event_loop, &handle.into_bound(py)),
        Step::Readable(token, Owner::Transport(owner)) => transport::readable(event_loop, token, &owner.into_bound(py)),
        Step::Started(token, Owner::Transport(owner)) => transport::started(event_loop, token, &owner.into_bound(py)),
        Step::Resume(_, Owner::Transport(owner)) => transport::resume_writing(event_loop, &owner.into_bound(py)),
        Step::Drained(_, Owner::Transport(owner)) => transport::drained(event_loop, &owner.into_bound(py)),
        Step::SendFailed(_, Owner::Transport(owner), code) => {
            transport::datagram::send_failed(event_loop, &owner.into_bound(py), code)
        }
        Step::Lost(token, Owner::Transport(owner), code) => {
            transport::lost(event_loop, token, &owner.into_bound(py), code)
        }
        Step::Acceptable(token, Owner::Listener(owner)) => {
            listener::acceptable(event_loop, token, &owner.into_bound(py))
        }
        Step::Retry(token, direction, waiter) => watch::retry(event_loop, token, direction, &waiter.into_bound(py)),
        Step::WatchFailed(token, remains, code) => watch::failed(event_loop, token, remains, code),
        // The core pairs listeners with connections and transports with all else.
        _ => Ok(()),
    }
}

fn run_handle(event_loop: &Bound<'_, LoopCore>, handle: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = event_loop.py();
    let core = event_loop.get();
    if core.is_debug() {
        handle::track(handle);
        handle::lock_up(handle)?;
        method1(event_loop, intern!(py, "_run_watched"), handle)?;
        return Ok(());
    }
    if core.run_replaced.load(Ordering::Relaxed) {
        handle::track(handle);
        handle::lock_up(handle)?;
        handle.call_method0(intern!(py, "_run"))?;
        return Ok(());
    }
    match handle::run(handle)? {
        Ran::Done => Ok(()),
        Ran::Raised(error) if is_exit(py, &error) => Err(error),
        Ran::Raised(error) => {
            handle::track(handle);
            event_loop.call_method1(intern!(py, "_callback_failed"), (handle, error))?;
            Ok(())
        }
        Ran::Foreign => {
            handle::track(handle);
            handle::lock_up(handle)?;
            handle.call_method0(intern!(py, "_run")).map(drop)
        }
    }
}
