//! The program's own descriptors: `add_reader`, `add_writer`, and the operations behind `sock_*`.

use pyo3::exceptions::{PyAttributeError, PyOSError, PyOverflowError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyInt, PyTuple};
use tulipa_core::{Code, Direction, Remains, Token};
use tulipa_sys::Source;

use crate::error::{is_exit, os_error_about, would_block};
use crate::event_loop::{LoopCore, State, Watched, direction};
use crate::ffi::call::method0;
use crate::ffi::object::Obj;
use crate::ffi::raw::{Arguments, Parsed, method};
use crate::handle;
use crate::host::PyHost;
use crate::sharing;
use crate::sockets;

/// EBADF.
const BAD_DESCRIPTOR: i32 = 9;

pub(crate) fn methods() -> Vec<pyo3::ffi::PyMethodDef> {
    vec![
        method!(
            c"add_reader",
            vector,
            add_reader,
            c"add_reader($self, fd, callback, *args)\n--\n\nCall back whenever a descriptor is readable; see asyncio."
        ),
        method!(
            c"add_writer",
            vector,
            add_writer,
            c"add_writer($self, fd, callback, *args)\n--\n\nCall back whenever a descriptor is writable; see asyncio."
        ),
        method!(
            c"remove_reader",
            vector,
            remove_reader,
            c"remove_reader($self, fd)\n--\n\nStop watching for readability; whether that was watched."
        ),
        method!(
            c"remove_writer",
            vector,
            remove_writer,
            c"remove_writer($self, fd)\n--\n\nStop watching for writability; whether that was watched."
        ),
        method!(c"_add_reader", vector, add_own_reader, c"add_reader() without asking who owns the descriptor."),
        method!(c"_add_writer", vector, add_own_writer, c"add_writer() without asking who owns the descriptor."),
        method!(c"_remove_reader", onearg, remove_own_reader, c"remove_reader() without asking who owns it."),
        method!(c"_remove_writer", onearg, remove_own_writer, c"remove_writer() without asking who owns it."),
        method!(c"_ensure_fd_no_transport", onearg, ensure_no_transport, c"Raise if a transport owns the descriptor."),
        method!(
            c"_ensure_unread",
            onearg,
            ensure_unread,
            c"Raise if a transport owns the descriptor or reads its socket."
        ),
        method!(c"_has_waiters", vector, has_waiters, c"Whether operations wait already: (socket, fd, write)."),
        method!(
            c"_may_try",
            vector,
            may_try,
            c"Check the socket; whether an operation (socket, write) may be tried at once. Raise if a transport is in the way."
        ),
        method!(
            c"_enqueue",
            vector,
            enqueue,
            c"Queue an operation: (socket, fd, write, attempt, future); the waiter to give to _dequeue()."
        ),
        method!(c"_dequeue", onearg, dequeue, c"Forget an operation that is over or was cancelled."),
    ]
}

/// An operation that waits for a descriptor: retried, in its turn, until it no longer would block.
#[pyclass(frozen, module = "tulipa._native")]
pub(crate) struct Waiter {
    socket: Py<PyAny>,
    attempt: Py<PyAny>,
    future: Py<PyAny>,
    fd: i32,
    write: bool,
}

#[pymethods]
impl Waiter {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.socket)?;
        visit.call(&self.attempt)?;
        visit.call(&self.future)
    }
}

impl Waiter {
    /// Whether the socket still is what the operation waits for. One that does not say is taken for open.
    fn is_open(&self, py: Python<'_>) -> PyResult<bool> {
        match method0(self.socket.bind(py), intern!(py, "fileno")).and_then(|fd| fd.extract::<i32>()) {
            Ok(fd) => Ok(fd == self.fd),
            Err(error) if is_exit(py, &error) => Err(error),
            // As files do that are closed.
            Err(error) => Ok(!error.is_instance_of::<PyValueError>(py)),
        }
    }
}

/// The number of a descriptor, given as such or as an object with `fileno()` (T44).
fn number(descriptor: &Bound<'_, PyAny>) -> PyResult<i32> {
    let py = descriptor.py();
    let fd = if descriptor.is_instance_of::<PyInt>() {
        descriptor.extract::<i32>()?
    } else {
        let given = descriptor.call_method0(intern!(py, "fileno")).and_then(|fd| fd.extract::<i32>());
        given.map_err(|error| {
            // What a broken `fileno` raises of its own is its own.
            let said = error.is_instance_of::<PyAttributeError>(py)
                || error.is_instance_of::<PyTypeError>(py)
                || error.is_instance_of::<PyValueError>(py);
            if !said {
                return error;
            }
            let message = format!(
                "Invalid file object: {}; give a descriptor number or an object with fileno()",
                descriptor.repr().map_or_else(|_| "?".to_owned(), |text| text.to_string())
            );
            let refused = PyValueError::new_err(message);
            refused.set_cause(py, Some(error));
            refused
        })?
    };
    if fd < 0 {
        return Err(PyValueError::new_err(format!(
            "Invalid file descriptor: {fd}; the file or socket is closed, or never was open"
        )));
    }
    Ok(fd)
}

fn check_no_transport(event_loop: &Bound<'_, LoopCore>, fd: i32) -> PyResult<()> {
    let py = event_loop.py();
    let owner = event_loop.get().with(py, |state| match state.owners.get(&fd) {
        Some(token) if !state.core.is_closing(*token) => {
            state.core.transport(*token).map(|owner| owner.object().clone())
        }
        _ => None,
    });
    let Some(owner) = owner else { return Ok(()) };
    let owner = owner.into_bound(py);
    Err(PyRuntimeError::new_err(format!("File descriptor {fd} is used by transport {}", owner.repr()?)))
}

fn ensure_no_transport<'py>(object: &Bound<'py, PyAny>, descriptor: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    check_no_transport(LoopCore::of(object)?, number(descriptor)?)?;
    Ok(object.py().None().into_bound(object.py()))
}

fn ensure_unread<'py>(object: &Bound<'py, PyAny>, descriptor: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let fd = number(descriptor)?;
    let event_loop = LoopCore::of(object)?;
    check_no_transport(event_loop, fd)?;
    sharing::check_reading(event_loop, fd)?;
    Ok(object.py().None().into_bound(object.py()))
}

/// What was taken out of the state, to be dropped outside it.
type Removed = (Option<Remains<PyHost>>, Option<Watched>);

/// The watch of a descriptor, made if there is none.
fn watched(state: &mut State, fd: i32) -> Result<Token, tulipa_core::Code> {
    match state.watches.get(&fd) {
        Some(watched) => Ok(watched.token),
        _ => {
            let token = state.core.watch(Source::watched(fd)?);
            state.watches.insert(fd, Watched { token, socket: None, object: None });
            Ok(token)
        }
    }
}

/// Ends a watch that nobody waits on, so that its number is free for whoever gets it next.
fn forget_if_idle(state: &mut State, fd: i32, token: Token) -> Removed {
    if !state.core.is_idle(token) {
        return (None, None);
    }
    (state.core.unwatch(token), state.watches.remove(&fd))
}

fn set(object: &Bound<'_, PyAny>, args: Arguments<'_, '_>, direction: Direction, mine: bool) -> PyResult<Py<PyAny>> {
    let py = object.py();
    let event_loop = LoopCore::of(object)?;
    let name = if direction == Direction::Read { "add_reader" } else { "add_writer" };
    let Parsed { named: [descriptor, callback], rest, .. } = args.parse(name, ["fd", "callback"], None)?;
    let fd = number(descriptor)?;
    event_loop.get().check_usable()?;
    if event_loop.get().is_debug() {
        event_loop.call_method1(intern!(py, "_check_callback"), (callback, name))?;
    }
    if !mine {
        check_no_transport(event_loop, fd)?;
        if direction == Direction::Read {
            sharing::claim_reading(event_loop, fd)?;
        }
    }
    let handle = handle::new_handle(event_loop, callback, PyTuple::new(py, rest)?, None)?;
    handle::track(&handle);
    let entry = Obj::from(handle.clone());
    let given = (!descriptor.is_instance_of::<PyInt>()).then(|| Obj::from(descriptor.clone()));
    let mut former = None;
    let result = event_loop.get().with(py, |state| {
        let token = watched(state, fd).map_err(|code| (code, None, (None, None)))?;
        let before = state.core.set_callback(token, direction, Some(entry)).map_err(|(code, refused)| {
            // A refused registration leaves no trace (T19).
            (code, refused, forget_if_idle(state, fd, token))
        })?;
        if let Some(watched) = state.watches.get_mut(&fd) {
            former = std::mem::replace(&mut watched.object, given);
        }
        Ok(before)
    });
    drop(former);
    match result {
        Ok(None) => {}
        Ok(Some(replaced)) => {
            let replaced = replaced.into_bound(py);
            if event_loop.get().is_debug() {
                event_loop.call_method1(intern!(py, "_warn_replaced"), (name, fd, &replaced))?;
            }
            replaced.call_method0(intern!(py, "cancel"))?;
        }
        Err((code, refused, removed)) => {
            drop((refused, removed));
            return Err(os_error_about(py, code, &format!("file descriptor {fd} cannot be watched")));
        }
    }
    Ok(handle.unbind())
}

/// The number that an object had when it was given to `add_reader` or `add_writer`, if it is still watched under it. It
/// may be closed by now, and anyio, among others, removes it afterwards.
fn known_as(event_loop: &Bound<'_, LoopCore>, object: &Bound<'_, PyAny>) -> Option<i32> {
    event_loop.get().with(object.py(), |state| {
        let known = |watched: &Watched| watched.object.as_ref().is_some_and(|given| given.is(object));
        state.watches.iter().find(|(_, watched)| known(watched)).map(|(fd, _)| *fd)
    })
}

fn clear<'py>(
    object: &Bound<'py, PyAny>,
    descriptor: &Bound<'py, PyAny>,
    direction: Direction,
    mine: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    let event_loop = LoopCore::of(object)?;
    let fd = match number(descriptor) {
        // No descriptor has such a number, so none is watched.
        Err(error) if error.is_instance_of::<PyOverflowError>(py) => {
            return Ok(PyBool::new(py, false).to_owned().into_any());
        }
        Err(error) => match known_as(event_loop, descriptor) {
            Some(fd) => fd,
            None => return Err(error),
        },
        Ok(fd) => fd,
    };
    if !mine {
        check_no_transport(event_loop, fd)?;
    }
    if event_loop.get().is_closed() {
        return Ok(PyBool::new(py, false).to_owned().into_any());
    }
    let (removed, released) = event_loop.get().with(py, |state| match state.watches.get(&fd) {
        Some(watched) => {
            let token = watched.token;
            // Where the driver refuses, the descriptor was closed before: nothing reports on it any more.
            let removed = state.core.set_callback(token, direction, None);
            let removed = match removed {
                Ok(removed) => removed,
                Err(_) => {
                    return (state.core.callback(token, direction).cloned(), {
                        (state.core.unwatch(token), state.watches.remove(&fd))
                    });
                }
            };
            (removed, forget_if_idle(state, fd, token))
        }
        _ => (None, (None, None)),
    });
    drop(released);
    let was_watched = removed.is_some();
    if let Some(handle) = removed {
        handle.into_bound(py).call_method0(intern!(py, "cancel"))?;
    }
    Ok(PyBool::new(py, was_watched).to_owned().into_any())
}

fn add_reader<'py>(object: &Bound<'py, PyAny>, args: Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    set(object, args, Direction::Read, false).map(|handle| handle.into_bound(object.py()))
}

fn add_writer<'py>(object: &Bound<'py, PyAny>, args: Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    set(object, args, Direction::Write, false).map(|handle| handle.into_bound(object.py()))
}

fn add_own_reader<'py>(object: &Bound<'py, PyAny>, args: Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    set(object, args, Direction::Read, true).map(|handle| handle.into_bound(object.py()))
}

fn add_own_writer<'py>(object: &Bound<'py, PyAny>, args: Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    set(object, args, Direction::Write, true).map(|handle| handle.into_bound(object.py()))
}

fn remove_reader<'py>(object: &Bound<'py, PyAny>, args: Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    let [descriptor] = args.exactly("remove_reader", ["fd"])?;
    clear(object, descriptor, Direction::Read, false)
}

fn remove_writer<'py>(object: &Bound<'py, PyAny>, args: Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    let [descriptor] = args.exactly("remove_writer", ["fd"])?;
    clear(object, descriptor, Direction::Write, false)
}

fn remove_own_reader<'py>(object: &Bound<'py, PyAny>, descriptor: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    clear(object, descriptor, Direction::Read, true)
}

fn remove_own_writer<'py>(object: &Bound<'py, PyAny>, descriptor: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    clear(object, descriptor, Direction::Write, true)
}

fn has_waiters<'py>(object: &Bound<'py, PyAny>, args: Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    let [socket, fd, write] = args.positional else {
        return Err(PyTypeError::new_err("_has_waiters() takes a socket, its descriptor and a direction"));
    };
    let waits = waits(LoopCore::of(object)?, socket, fd.extract()?, direction(write.is_truthy()?))?;
    Ok(PyBool::new(py, waits).to_owned().into_any())
}

/// What has no number is tried, too: it says best what is wrong with it.
fn may_try<'py>(object: &Bound<'py, PyAny>, args: Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    let [socket, write] = args.positional else {
        return Err(PyTypeError::new_err("_may_try() takes a socket and a direction"));
    };
    let event_loop = LoopCore::of(object)?;
    sockets::check(event_loop, socket)?;
    let direction = direction(write.is_truthy()?);
    let fd: i32 = method0(socket, intern!(py, "fileno"))?.extract()?;
    let mut free = true;
    if fd >= 0 {
        check_no_transport(event_loop, fd)?;
        if direction == Direction::Read {
            sharing::check_reading(event_loop, fd)?;
        }
        free = !waits(event_loop, socket, fd, direction)?;
    }
    Ok(PyBool::new(py, free).to_owned().into_any())
}

/// Whether operations of this socket wait already, in this direction.
fn waits(event_loop: &Bound<'_, LoopCore>, socket: &Bound<'_, PyAny>, fd: i32, direction: Direction) -> PyResult<bool> {
    let (any, this) = event_loop.get().with(event_loop.py(), |state| match state.watches.get(&fd) {
        Some(Watched { token, .. }) => {
            let this = state.core.has_waiters(*token, direction);
            (
                this || state.core.has_waiters(*token, Direction::Read)
                    || state.core.has_waiters(*token, Direction::Write),
                this,
            )
        }
        _ => (false, false),
    });
    if any && is_stale(event_loop, fd, socket)? {
        evict(event_loop, fd)?;
        return Ok(false);
    }
    Ok(this)
}

/// Whether the socket object that operations on `fd` came with is another one than `socket`, and is gone.
fn is_stale(event_loop: &Bound<'_, LoopCore>, fd: i32, socket: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = event_loop.py();
    let known = event_loop.get().with(py, |state| match state.watches.get(&fd) {
        Some(watched) => watched.socket.clone(),
        _ => None,
    });
    let Some(known) = known else { return Ok(false) };
    let known = known.into_bound(py).call0()?;
    if known.is(socket) {
        return Ok(false);
    }
    if known.is_none() {
        return Ok(true);
    }
    // Two objects may share a descriptor; one that no longer names it does not. A closed file says so by an error.
    match known.call_method0(intern!(py, "fileno")).and_then(|number| number.extract::<i32>()) {
        Ok(number) => Ok(number != fd),
        Err(error) if error.is_instance_of::<PyValueError>(py) => Ok(true),
        Err(error) => Err(error),
    }
}

fn enqueue<'py>(object: &Bound<'py, PyAny>, args: Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    let event_loop = LoopCore::of(object)?;
    event_loop.get().check_usable()?;
    let [socket, fd, write, attempt, future] = args.positional else {
        return Err(PyTypeError::new_err("_enqueue() takes five arguments"));
    };
    let (fd, write) = (fd.extract::<i32>()?, write.is_truthy()?);
    if is_stale(event_loop, fd, socket)? {
        evict(event_loop, fd)?;
    }
    if !write && !event_loop.get().with(py, |state| state.watches.contains_key(&fd)) {
        sharing::claim_reading(event_loop, fd)?;
    }
    let known = py.import("weakref")?.getattr("ref")?.call1((socket,)).ok().map(Obj::from);
    let waiter = Waiter {
        socket: socket.clone().unbind(),
        attempt: attempt.clone().unbind(),
        future: future.clone().unbind(),
        fd,
        write,
    };
    let waiter = Bound::new(py, waiter)?.into_any();
    let entry = Obj::from(waiter.clone());
    let result = event_loop.get().with(py, |state| {
        let token = watched(state, fd).map_err(|code| (code, None, (None, None)))?;
        let former = match state.watches.get_mut(&fd) {
            Some(watched) if watched.socket.is_none() => std::mem::replace(&mut watched.socket, known),
            _ => known,
        };
        match state.core.wait(token, direction(write), entry) {
            Ok(()) => Ok(former),
            Err((code, refused)) => Err((code, Some((refused, former)), forget_if_idle(state, fd, token))),
        }
    });
    match result {
        Ok(former) => drop(former),
        Err((code, refused, removed)) => {
            drop((refused, removed));
            return Err(os_error_about(py, code, &format!("file descriptor {fd} cannot be waited for")));
        }
    }
    Ok(waiter)
}

/// Ends the watch of a descriptor that is no longer what it was: closed behind our back with its number in use again (R6),
/// or given up by its transport. Whoever still waits for the former file hears of it.
pub(crate) fn evict(event_loop: &Bound<'_, LoopCore>, fd: i32) -> PyResult<()> {
    let py = event_loop.py();
    let (remains, used) = event_loop.get().with(py, |state| match state.watches.get(&fd) {
        Some(watched) => {
            let token = watched.token;
            (state.core.unwatch(token), state.watches.remove(&fd))
        }
        _ => (None, None),
    });
    drop(used);
    let Some(remains) = remains else { return Ok(()) };
    fail_all(py, fd, remains.waiters)?;
    // A last call: what it finds is that the descriptor is gone.
    event_loop
        .get()
        .with(py, |state| remains.callbacks.into_iter().for_each(|callback| state.core.call_soon(callback)));
    Ok(())
}

/// Ends operations whose descriptor was closed.
fn fail_all(py: Python<'_>, fd: i32, waiters: Vec<Obj>) -> PyResult<()> {
    for waiter in waiters {
        let waiter = waiter.into_bound(py);
        let message = format!("file descriptor {fd} was closed while an operation waited for it");
        fail(waiter.cast::<Waiter>()?.get().future.bind(py), PyOSError::new_err((BAD_DESCRIPTOR, message)))?;
    }
    Ok(())
}

fn fail(future: &Bound<'_, PyAny>, error: PyErr) -> PyResult<()> {
    let py = future.py();
    if !future.call_method0(intern!(py, "done"))?.is_truthy()? {
        future.call_method1(intern!(py, "set_exception"), (error,))?;
    }
    Ok(())
}

/// Ends operations whose socket the program has closed meanwhile: no report would ever come (R6, T35).
#[cold]
pub(crate) fn make_rounds(event_loop: &Bound<'_, LoopCore>) -> PyResult<()> {
    let py = event_loop.py();
    let core = event_loop.get();
    while let Some((token, waiter)) = core.with(py, |state| state.core.next_on_rounds()) {
        let waiter = waiter.into_bound(py);
        let waiter = waiter.cast::<Waiter>()?.get();
        if waiter.is_open(py)? {
            continue;
        }
        let (waiters, removed) = core.with(py, |state| {
            let waiters = state.core.abandon(token);
            (waiters, forget_if_idle(state, waiter.fd, token))
        });
        drop(removed);
        fail_all(py, waiter.fd, waiters)?;
    }
    Ok(())
}

fn dequeue<'py>(object: &Bound<'py, PyAny>, waiter: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    let event_loop = LoopCore::of(object)?;
    let own = waiter.cast::<Waiter>()?.get();
    let served = event_loop.get().with(py, |state| match state.watches.get(&own.fd) {
        Some(watched) => state.core.served(watched.token, direction(own.write), |other| other.is(waiter)),
        _ => None,
    });
    drop(served);
    Ok(py.None().into_bound(py))
}

/// The system refuses to report on a descriptor any longer: its callbacks and operations hear of it.
pub(crate) fn failed(
    event_loop: &Bound<'_, LoopCore>,
    token: Token,
    remains: Remains<PyHost>,
    code: Code,
) -> PyResult<()> {
    let py = event_loop.py();
    let known = event_loop.get().with(py, |state| {
        let fd = state.watches.iter().find_map(|(fd, watched)| (watched.token == token).then_some(*fd))?;
        state.watches.remove(&fd).map(|watched| (fd, watched))
    });
    let Some((fd, watched)) = known else { return Ok(()) };
    drop(watched);
    let error = |py| os_error_about(py, code, &format!("file descriptor {fd} can be watched no longer"));
    for waiter in remains.waiters {
        let waiter = waiter.into_bound(py);
        fail(waiter.cast::<Waiter>()?.get().future.bind(py), error(py))?;
    }
    for callback in remains.callbacks {
        event_loop.call_method1(intern!(py, "_watch_failed"), (callback.into_bound(py), error(py)))?;
    }
    Ok(())
}

/// The first waiter of a direction may try again.
pub(crate) fn retry(
    event_loop: &Bound<'_, LoopCore>,
    token: Token,
    direction: Direction,
    object: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let py = event_loop.py();
    let waiter = object.cast::<Waiter>()?.get();
    let future = waiter.future.bind(py);
    let done = |py| future.call_method0(intern!(py, "done")).and_then(|done| done.is_truthy());
    let result = if done(py)? { None } else { Some(waiter.attempt.bind(py).call0()) };
    if let Some(Err(error)) = &result
        && would_block(py, error)
    {
        event_loop.get().with(py, |state| state.core.still_waits(token, direction));
        return Ok(());
    }
    let served = event_loop.get().with(py, |state| state.core.served(token, direction, |other| other.is(object)));
    drop(served);
    match result {
        None => Ok(()),
        Some(Err(error)) if is_exit(py, &error) => Err(error),
        // The attempt may have run code that ended the future.
        Some(_) if done(py)? => Ok(()),
        Some(Ok(value)) => future.call_method1(intern!(py, "set_result"), (value,)).map(drop),
        Some(Err(error)) => future.call_method1(intern!(py, "set_exception"), (error,)).map(drop),
    }
}
