//! Servers' listening sockets: accepting connections and making their transports.

use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::exceptions::PyTypeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyType;
use tulipa_core::{Ends, Token};
use tulipa_sys::{Address, Descriptor, Source, socket};

use crate::error::{is_exit, os_error};
use crate::event_loop::LoopCore;
use crate::ffi::call::{copy_context, copy_current_context, in_context};
use crate::ffi::object::Obj;
use crate::ffi::raw::{Arguments, method};
use crate::host::Owner;
use crate::packed_names;
use crate::transport::open::{self, Extra};
use crate::transport::{self, TransportFields};

/// One listening socket of a server.
#[pyclass(frozen, module = "tulipa._native")]
pub(crate) struct Listener {
    /// The Python socket, which the server closes.
    #[pyo3(get)]
    socket: Py<PyAny>,
    factory: Py<PyAny>,
    server: Option<Py<PyAny>>,
    /// The class of the transports.
    class: Py<PyType>,
    /// What the server was made in; each connection gets a copy (T18).
    context: Py<PyAny>,
    /// How many connections one turn accepts at most.
    backlog: u32,
    token: AtomicU64,
}

#[pymethods]
impl Listener {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.socket)?;
        visit.call(&self.factory)?;
        visit.call(&self.server)?;
        visit.call(&self.class)?;
        visit.call(&self.context)
    }
}

pub(crate) fn methods() -> Vec<pyo3::ffi::PyMethodDef> {
    vec![
        method!(c"_listen", vector, listen, c"Accept connections: (socket, factory, server, class, secure, backlog)."),
        method!(c"_stop_listening", onearg, stop_listening, c"Stop accepting on a socket, and close it."),
        method!(c"_pause_accepting", vector, pause_accepting, c"Stop or go on accepting: (listener, paused)."),
    ]
}

fn listen<'py>(object: &Bound<'py, PyAny>, args: Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    let event_loop = LoopCore::of(object)?;
    event_loop.get().check_usable()?;
    let [listening, factory, server, class, backlog] = args.positional else {
        return Err(PyTypeError::new_err("_listen() takes five arguments"));
    };
    let fd: i32 = listening.call_method0(intern!(py, "fileno"))?.extract()?;
    open::claim(event_loop, fd)?;
    let source = Source::listener(Descriptor::Lent(fd)).map_err(|code| os_error(py, code))?;
    // Connections inherit it, which saves a call for each. A socket that knows no such option needs none.
    socket::set_nodelay(fd).map_err(|code| os_error(py, code))?;
    let some = |value: &Bound<'py, PyAny>| (!value.is_none()).then(|| value.clone().unbind());
    let listener = Bound::new(
        py,
        Listener {
            socket: listening.clone().unbind(),
            factory: factory.clone().unbind(),
            server: some(server),
            class: class.clone().cast_into::<PyType>()?.unbind(),
            context: copy_current_context(py)?.unbind(),
            backlog: backlog.extract::<u32>()?.max(1),
            token: AtomicU64::new(0),
        },
    )?;
    let owner = Owner::Listener(Obj::from(listener.clone().into_any()));
    let token = event_loop.get().with(py, |state| {
        let token = state.core.listen(source, owner)?;
        state.owners.insert(fd, token);
        Ok(token)
    });
    let token = token.map_err(|code| os_error(py, code))?;
    listener.get().token.store(token.to_bits(), Ordering::Relaxed);
    Ok(listener.into_any())
}

fn stop_listening<'py>(object: &Bound<'py, PyAny>, listening: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    let event_loop = LoopCore::of(object)?;
    let fd: i32 = listening.call_method0(intern!(py, "fileno"))?.extract()?;
    let remains = event_loop.get().with(py, |state| match state.owners.get(&fd) {
        Some(token) if state.core.is_listener(*token) => {
            let remains = state.core.release(*token);
            state.owners.remove(&fd);
            remains
        }
        _ => None,
    });
    drop(remains);
    listening.call_method0(intern!(py, "close"))?;
    Ok(py.None().into_bound(py))
}

fn pause_accepting<'py>(object: &Bound<'py, PyAny>, args: Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    let event_loop = LoopCore::of(object)?;
    let [listener, paused] = args.positional else {
        return Err(PyTypeError::new_err("_pause_accepting() takes a listener and whether to pause"));
    };
    let token = Token::from_bits(listener.cast::<Listener>()?.get().token.load(Ordering::Relaxed));
    let paused = paused.is_truthy()?;
    let result = event_loop.get().with(py, |state| state.core.pause_accepting(token, paused));
    result.map_err(|code| os_error(py, code))?;
    Ok(py.None().into_bound(py))
}

/// Connections wait to be accepted.
pub(crate) fn acceptable(event_loop: &Bound<'_, LoopCore>, token: Token, owner: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = event_loop.py();
    let listener = owner.cast::<Listener>()?;
    for _ in 0..listener.get().backlog {
        match event_loop.get().with(py, |state| state.core.accept(token)) {
            Ok(Some((source, peer))) => connected(event_loop, listener, source, &peer)?,
            Ok(None) => break,
            Err(code) => {
                event_loop.call_method1(intern!(py, "_accept_failed"), (listener, os_error(py, code)))?;
                break;
            }
        }
    }
    Ok(())
}

/// Makes the transport of a new connection; what fails concerns this connection alone.
fn connected(
    event_loop: &Bound<'_, LoopCore>,
    listener: &Bound<'_, Listener>,
    source: Source,
    peer: &Address,
) -> PyResult<()> {
    match connect(event_loop, listener, source, peer) {
        Ok(()) => Ok(()),
        Err(error) => failed(event_loop, error),
    }
}

fn failed(event_loop: &Bound<'_, LoopCore>, error: PyErr) -> PyResult<()> {
    let py = event_loop.py();
    if is_exit(py, &error) {
        return Err(error);
    }
    event_loop.call_method1(intern!(py, "_connection_failed"), (error,))?;
    Ok(())
}

/// Makes the protocol of a connection that was accepted, right before it is told, and says whether there is one.
///
/// Not when it is accepted: each object of a class that is made before the ones before it have all their attributes
/// takes away from what CPython lets the objects of that class share, and when hundreds of connections come at once
/// nothing of it is left.
///
/// # Errors
/// What asks the program to end. Any other failure concerns this connection alone, which is closed.
pub(crate) fn introduce(
    event_loop: &Bound<'_, LoopCore>,
    token: Token,
    listener: &Bound<'_, Listener>,
    transport: &Bound<'_, PyAny>,
) -> PyResult<bool> {
    let own = transport::fields(transport)?;
    match make_protocol(listener, own) {
        Ok(()) => Ok(true),
        Err(error) => {
            let released = transport::release(event_loop, token, transport, own);
            failed(event_loop, error).and(released)?;
            Ok(false)
        }
    }
}

fn make_protocol(listener: &Bound<'_, Listener>, own: &TransportFields) -> PyResult<()> {
    let py = listener.py();
    let context = own.context.get(py);
    open::set_protocol(own, in_context(py, context.as_ref(), || listener.get().factory.bind(py).call0())?)
}

fn connect(
    event_loop: &Bound<'_, LoopCore>,
    listening: &Bound<'_, Listener>,
    source: Source,
    peer: &Address,
) -> PyResult<()> {
    let py = event_loop.py();
    let listener = listening.get();
    let fd = source.number();
    let context = copy_context(listener.context.bind(py))?;
    let names = packed_names::pack(py, peer, socket::local_address(fd).ok().as_ref());
    let server = listener.server.as_ref().map(|server| server.bind(py).clone());
    let waiter = Some(listening.clone().into_any());
    let parts = open::Parts { protocol: None, server: None, waiter, context, extra: Extra::Names(names) };
    let transport = open::prepare(event_loop, listener.class.bind(py), parts)?;
    let own = transport::fields(&transport)?;
    if let Some(server) = server {
        open::attach(&server, &transport)?;
        own.server.set(server);
    }
    open::launch(event_loop, &transport, own, fd, source, Some(Ends::Both));
    Ok(())
}
