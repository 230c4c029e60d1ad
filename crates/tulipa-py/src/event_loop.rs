//! The native half of `tulipa.Loop`: its state and its life.
//!
//! `tulipa.Loop` inherits this class and `asyncio.BaseEventLoop`. The turn itself is in [`turn`](crate::turn);
//! scheduling, descriptors, transports and listeners add their methods from their own files.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use pyo3::exceptions::PyValueError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};
use tulipa_core::{Direction, Held, Inbox, Loop, Remains, TimerId, Token};
use tulipa_sys::{OpenError, SystemDriver, Waker};

use crate::address::Familiar;
use crate::by_number::ByNumber;
use crate::error;
use crate::ffi::cell::StateCell;
use crate::ffi::known::{FirstHeir, KnownMethod};
use crate::ffi::object::Obj;
use crate::ffi::wakeup;
use crate::file::{self, FileThreads};
use crate::handle;
use crate::host::PyHost;
use crate::resolve::{self, Resolver};
use crate::sharing::Sharing;

/// asyncio's limit for one read, in bytes.
pub(crate) const READ_MAX: usize = 256 * 1024;

/// Where the loop's memory for reads begins is a multiple of this, in bytes.
///
/// Some processors (measured on AMD's Zen 4) copy six times as slowly to where lies 1 to 15 bytes behind where it comes from,
/// by the places in their pages. The kernel packs what is sent into pages from their beginnings on, and large blocks of
/// glibc's begin at the 16th byte: a message behind one of a few bytes would meet that each time.
const PAGE: usize = 4096;

/// A descriptor of the program's own that is watched for it.
pub(crate) struct Watched {
    pub(crate) token: Token,
    /// A weak reference to the socket object that the operations came with, to tell it from a later one with the same
    /// number.
    pub(crate) socket: Option<Obj>,
    /// What `add_reader` or `add_writer` was given, if it was no number. It is known again when it has none any more.
    pub(crate) object: Option<Obj>,
}

/// What is touched in short sections only.
pub(crate) struct State {
    pub(crate) core: Loop<SystemDriver, PyHost>,
    /// Transports and listeners by the number of the descriptor that they own (R6).
    pub(crate) owners: ByNumber<Token>,
    /// What is watched for the program, by number. A number may be in both, while the program waits for a transport's
    /// descriptor with the transport's consent, as `sendfile` does.
    pub(crate) watches: ByNumber<Watched>,
    pub(crate) sharing: Sharing,
}

/// See the top of this file.
///
/// The dictionary is the class's own, so that it lies where the core can see whether there is one.
#[pyclass(frozen, subclass, dict, module = "tulipa._native")]
pub(crate) struct LoopCore {
    pub(crate) state: StateCell<State>,
    /// Where reads end whose bytes are then copied into an object of their own size.
    scratch: StateCell<Vec<u8>>,
    pub(crate) familiar: StateCell<Familiar>,
    inbox: Arc<Inbox<Obj>>,
    /// Gone when the loop is closed.
    waker: StateCell<Option<Waker>>,
    resolver: Resolver,
    files: FileThreads,
    /// The name of the driver that the loop waits with.
    #[pyo3(get, name = "driver")]
    driver_name: String,
    closed: AtomicBool,
    forked: AtomicBool,
    stopping: AtomicBool,
    running: AtomicBool,
    debug: AtomicBool,
    /// The wake-up descriptor of somebody else's that the last wait found in place, and left there; or -1.
    pub(crate) foreign_wakeup_fd: AtomicI32,
    /// `asyncio.Handle._run` was replaced when the loop began to run.
    pub(crate) run_replaced: AtomicBool,
    /// `time` is our own.
    pub(crate) own_time: KnownMethod,
    /// `sock_connect` is our own.
    pub(crate) own_sock_connect: KnownMethod,
    /// `create_future` is our own.
    pub(crate) own_create_future: KnownMethod,
    /// The arguments that futures of this loop are made with, once there was one.
    pub(crate) future_options: StateCell<Option<Obj>>,
}

impl LoopCore {
    /// The loop that a native method was called of.
    ///
    /// # Errors
    /// `TypeError` if the object is none of ours.
    #[inline]
    pub(crate) fn of<'a, 'py>(object: &'a Bound<'py, PyAny>) -> PyResult<&'a Bound<'py, Self>> {
        static CLASS: FirstHeir<LoopCore> = FirstHeir::new();
        CLASS.cast(object)
    }

    /// Runs `section` on the state; see [`StateCell::with`].
    #[inline]
    pub(crate) fn with<R>(&self, py: Python<'_>, section: impl FnOnce(&mut State) -> R) -> R {
        self.state.with(py, section)
    }

    /// Runs `section` on [`READ_MAX`] bytes of memory where reads end whose bytes are then copied. They are there from the
    /// first read on: many loops of a test suite never read anything.
    #[inline]
    pub(crate) fn with_scratch<R>(&self, py: Python<'_>, section: impl FnOnce(&mut [u8]) -> R) -> R {
        self.scratch.with(py, |scratch| {
            if scratch.is_empty() {
                *scratch = vec![0; PAGE + READ_MAX];
            }
            let start = scratch.as_ptr().addr().wrapping_neg() % PAGE;
            section(&mut scratch[start..start + READ_MAX])
        })
    }

    #[inline]
    pub(crate) fn is_debug(&self) -> bool {
        self.debug.load(Ordering::Relaxed)
    }

    /// Whether turns are being run, by a caller that holds the loop.
    #[inline]
    pub(crate) fn is_running(&self) -> bool {
        self.running.load(Ordering::Relaxed)
    }

    /// Ends a run. What is left in the queue may become garbage together with the loop from here on, and the collector must
    /// see it (R9).
    pub(crate) fn run_ends(&self, py: Python<'_>) {
        self.running.store(false, Ordering::Relaxed);
        self.with(py, |state| {
            state.core.take_in();
            state.core.ready_calls().for_each(|handle| handle::track(handle.as_py().bind(py)));
        });
    }

    pub(crate) fn run_begins(&self) {
        self.running.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    pub(crate) fn set_stopping(&self, stopping: bool) {
        self.stopping.store(stopping, Ordering::Relaxed);
    }

    pub(crate) fn inbox(&self) -> &Inbox<Obj> {
        &self.inbox
    }

    /// Must not be touched by a fork's child, where its threads are not, nor what they had locked free.
    pub(crate) const fn resolver(&self) -> &Resolver {
        &self.resolver
    }

    /// As [`resolver`](Self::resolver).
    pub(crate) const fn files(&self) -> &FileThreads {
        &self.files
    }

    /// Hands a call over from any thread, and wakes the loop if it sleeps. In a fork's child, where the waker would wake
    /// the parent, it stays with the calls that never run.
    ///
    /// With a global interpreter lock, whoever calls may touch the queue itself: the loop sleeps with nothing borrowed, and
    /// from its last look at the queue until it sleeps it keeps the lock. Without one, the call goes through the inbox.
    pub(crate) fn push(&self, py: Python<'_>, handle: &Bound<'_, PyAny>) {
        let entry = Obj::from(handle.clone());
        if cfg!(not(Py_GIL_DISABLED)) || self.is_forked() {
            self.with(py, |state| state.core.call_soon(entry));
            self.rouse(py);
        } else {
            self.waker.with(py, |waker| waker.as_ref().map(|waker| self.inbox.push(entry, waker)));
        }
    }

    /// Wakes the loop if it sleeps, unless it is a fork's copy, whose waker would wake the parent.
    fn rouse(&self, py: Python<'_>) {
        if !self.is_forked() && self.inbox.is_asleep() {
            self.waker.with(py, |waker| waker.as_ref().map(|waker| self.inbox.rouse(waker)));
        }
    }

    /// What whoever schedules a call asks. In a fork's child that is allowed, and the call never runs: tasks and futures
    /// that were copied do so when they are cancelled, as cleaning up does.
    ///
    /// # Errors
    /// `RuntimeError` if the loop was closed.
    #[inline]
    pub(crate) fn check_open(&self) -> PyResult<()> {
        if self.is_closed() { Err(error::closed()) } else { Ok(()) }
    }

    /// What whoever runs the loop, or touches anything outside it, asks (R10).
    ///
    /// # Errors
    /// `RuntimeError` if the loop was closed, or belongs to another process.
    #[inline]
    pub(crate) fn check_usable(&self) -> PyResult<()> {
        self.check_open()?;
        if self.is_forked() { Err(error::forked()) } else { Ok(()) }
    }

    /// Whether this process is the child of a fork, and the loop its parent's.
    #[inline]
    pub(crate) fn is_forked(&self) -> bool {
        self.forked.load(Ordering::Relaxed)
    }

    pub(crate) fn cancel_timer(&self, py: Python<'_>, id: TimerId) {
        let handle = self.with(py, |state| state.core.cancel_timer(id));
        drop(handle);
    }

    /// In debug mode, where a handle is being made: what its `_source_traceback` is to be.
    pub(crate) fn creation_stack<'py>(&self, event_loop: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        if !self.is_debug() {
            return Ok(None);
        }
        event_loop.call_method0(intern!(event_loop.py(), "_creation_stack")).map(Some)
    }

    fn drop_all(&self, py: Python<'_>) {
        // It holds the loop, which would need the collector to end.
        drop(self.future_options.with(py, Option::take));
        // First, so that nothing comes into the inbox any more.
        let (lookups, file_calls) = (self.resolver.close(), self.files.close());
        let remains: (Vec<Remains<PyHost>>, _) = self.with(py, |state| {
            state.owners.clear();
            let watches = std::mem::take(&mut state.watches);
            let remains = state.core.clear();
            state.core.driver().shut();
            (remains, watches)
        });
        drop((remains, lookups, file_calls));
        self.waker.with(py, Option::take);
    }
}

#[pymethods]
impl LoopCore {
    /// A loop on the driver of that name.
    #[new]
    #[pyo3(signature = (*_args, driver = "epoll", **_kwargs))]
    fn new(
        py: Python<'_>,
        _args: &Bound<'_, PyTuple>,
        driver: &str,
        _kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let (system, waker) = SystemDriver::open(driver).map_err(|refused| match refused {
            OpenError::Unknown { .. } => PyValueError::new_err(refused.to_string()),
            OpenError::Refused { code, .. } => error::os_error_about(py, code, &refused.to_string()),
        })?;
        let inbox = Arc::new(Inbox::default());
        let core = Loop::new(system, Arc::clone(&inbox));
        Ok(Self {
            state: StateCell::new(State {
                core,
                owners: ByNumber::default(),
                watches: ByNumber::default(),
                sharing: Sharing::default(),
            }),
            scratch: StateCell::new(Vec::new()),
            familiar: StateCell::new(Familiar::new()),
            resolver: resolve::resolver(Arc::clone(&inbox), waker.clone()),
            files: file::threads(Arc::clone(&inbox), waker.clone()),
            inbox,
            waker: StateCell::new(Some(waker)),
            driver_name: driver.to_owned(),
            closed: AtomicBool::new(false),
            forked: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            running: AtomicBool::new(false),
            debug: AtomicBool::new(false),
            foreign_wakeup_fd: AtomicI32::new(wakeup::NONE),
            run_replaced: AtomicBool::new(false),
            own_time: KnownMethod::new(),
            own_sock_connect: KnownMethod::new(),
            own_create_future: KnownMethod::new(),
            future_options: StateCell::new(None),
        })
    }

    /// Whether the loop is in debug mode, under the name that `asyncio.BaseEventLoop` sets and programs look at (T9).
    #[getter]
    fn _debug(&self) -> bool {
        self.is_debug()
    }

    #[setter(_debug)]
    fn set_debug(&self, debug: &Bound<'_, PyAny>) -> PyResult<()> {
        self.debug.store(debug.is_truthy()?, Ordering::Relaxed);
        Ok(())
    }

    /// Runs turns until `stop()`.
    fn _run_turns(slf: &Bound<'_, Self>) -> PyResult<()> {
        crate::turn::run(slf)
    }

    /// Runs one turn, which waits for the first thing to happen if nothing is due.
    fn _run_once(slf: &Bound<'_, Self>) -> PyResult<()> {
        crate::turn::once(slf)
    }

    /// As `asyncio.BaseEventLoop._check_closed`, which everything asks that runs the loop or begins something on it.
    fn _check_closed(&self) -> PyResult<()> {
        self.check_usable()
    }

    /// Stop the loop when the turn that runs now, or the next one, has finished its callbacks.
    fn stop(&self) {
        self.set_stopping(true);
    }

    /// Whether `stop()` was called, which is then forgotten.
    fn _take_stopping(&self) -> bool {
        self.stopping.swap(false, Ordering::Relaxed)
    }

    fn _write_to_self(&self, py: Python<'_>) {
        self.rouse(py);
    }

    /// See the field.
    #[getter]
    fn _foreign_wakeup_fd(&self) -> i32 {
        self.foreign_wakeup_fd.load(Ordering::Relaxed)
    }

    /// Drops every handle and transport and refuses all further use.
    fn _close_core(&self, py: Python<'_>) {
        self.closed.store(true, Ordering::Relaxed);
        if !self.is_forked() {
            self.drop_all(py);
        }
    }

    /// In the child of a fork: what the loop watches is shared with the parent, and must not be touched any more (T24).
    fn _forked(&self) {
        self.forked.store(true, Ordering::Relaxed);
    }

    /// How many calls are ready, timers are set, and transports, servers and watched descriptors are open.
    fn _load(&self, py: Python<'_>) -> (usize, usize, usize) {
        let load = self.with(py, |state| state.core.load());
        (load.ready, load.timers, load.open)
    }

    /// The handles in the ready queue, in order: a copy, to look at.
    fn _ready_handles<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let handles: Vec<Obj> = self.with(py, |state| state.core.ready_calls().cloned().collect());
        PyList::new(py, handles.into_iter().map(|handle| handle.into_bound(py)))
    }

    /// `asyncio.BaseEventLoop` makes and clears a heap of its own; nobody looks at it.
    #[setter(_scheduled)]
    #[expect(clippy::unused_self, reason = "a property's setter")]
    fn set_scheduled(&self, _scheduled: &Bound<'_, PyAny>) {}

    /// The timer handles that are set, in no order: a copy, to look at.
    #[getter]
    fn _scheduled<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let handles: Vec<Obj> = self.with(py, |state| state.core.timer_calls().cloned().collect());
        PyList::new(py, handles.into_iter().map(|handle| handle.into_bound(py)))
    }

    /// The transports that are open, by descriptor number: a copy, to look at.
    #[getter]
    fn _transports<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let open: Vec<(i32, Obj)> = self.with(py, |state| {
            let State { core, owners, .. } = state;
            owners
                .iter()
                .filter_map(|(fd, token)| core.transport(*token).map(|owner| (*fd, owner.object().clone())))
                .collect()
        });
        let transports = PyDict::new(py);
        for (fd, transport) in open {
            transports.set_item(fd, transport.into_bound(py))?;
        }
        Ok(transports)
    }

    #[getter]
    fn _clock_resolution(&self, py: Python<'_>) -> f64 {
        use tulipa_core::Driver as _;
        self.with(py, |state| state.core.driver().resolution())
    }

    /// `asyncio.BaseEventLoop` measures it too, with the same result.
    #[setter(_clock_resolution)]
    #[expect(clippy::unused_self, reason = "a property's setter")]
    fn set_clock_resolution(&self, _resolution: f64) {}

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let looked = self.state.peek(|state| {
            let mut result = Ok(());
            let mut one = |object: &Obj| {
                if result.is_ok() {
                    result = visit.call(object.as_py());
                }
            };
            state.watches.values().filter_map(|watched| watched.object.as_ref()).for_each(&mut one);
            state.core.held(&mut |held| match held {
                Held::Callback(object) | Held::Waiter(object) => one(object),
                Held::Owner(owner) => one(owner.object()),
            });
            result
        });
        looked.unwrap_or(Ok(()))?;
        let options =
            self.future_options.peek(|options| options.as_ref().map_or(Ok(()), |held| visit.call(held.as_py())));
        options.unwrap_or(Ok(()))
    }

    fn __clear__(&self) {
        Python::attach(|py| {
            self._close_core(py);
            // A future may have been made after the loop was closed.
            drop(self.future_options.with(py, Option::take));
        });
    }
}

/// The direction that a flag of the Python half names.
pub(crate) const fn direction(write: bool) -> Direction {
    if write { Direction::Write } else { Direction::Read }
}
