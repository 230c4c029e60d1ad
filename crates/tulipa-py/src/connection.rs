//! Connections that the loop makes: a socket from its making until a transport has it, without a Python socket object.
//!
//! Whoever asks a transport for its socket gets one made then, as from a connection that was accepted. Where a program has
//! put something of its own in the way of sockets, asyncio's way is gone instead: see `_connecting.py`.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::{PyBlockingIOError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyBytesMethods, PyDict, PyInt, PyModule, PyString, PyTuple, PyType};
use tulipa_core::{Attempt, Code, Ends};
use tulipa_sys::address::INET6;
use tulipa_sys::{Address, Endpoint, Source, socket};

use crate::address;
use crate::error::os_error;
use crate::event_loop::LoopCore;
use crate::ffi::audit;
use crate::ffi::call::copy_current_context;
use crate::ffi::cell::StateCell;
use crate::ffi::raw::{Arguments, method};
use crate::packed_names;
use crate::sockets::connect_failed;
use crate::transport::{self, open};

/// EBADF.
const BAD_DESCRIPTOR: Code = Code(9);

pub(crate) fn methods() -> Vec<pyo3::ffi::PyMethodDef> {
    vec![
        method!(
            c"_connect_plainly",
            vector,
            connect_plainly,
            c"Begin to connect to (host, port), if there is nothing to look up and nothing in the way; else None."
        ),
        method!(
            c"_begin_connection",
            vector,
            begin_connection,
            c"Begin to connect to a numeric address (family, protocol, address); None if it is no such address."
        ),
        method!(
            c"_connect_to_path",
            onearg,
            connect_to_path,
            c"Connect to the Unix socket at a path; None if only the socket itself can."
        ),
        method!(
            c"_open_connection",
            vector,
            open_connection,
            c"Make a transport of a connection: (class, connection, protocol, waiter, extra, server, context)."
        ),
    ]
}

/// A socket that is to be connected, or is. Closed when nobody has it any more, if no transport has taken it over.
#[pyclass(frozen, module = "tulipa._native")]
pub(crate) struct Connection {
    /// Until it is taken over, or closed.
    socket: StateCell<Option<OwnedFd>>,
    to: Address,
    /// As the program names it.
    address: Py<PyAny>,
    #[pyo3(get)]
    family: i32,
    #[pyo3(get)]
    proto: i32,
    pending: AtomicBool,
}

#[pymethods]
impl Connection {
    /// As of a socket object: -1 once it is closed.
    fn fileno(&self, py: Python<'_>) -> i32 {
        self.socket.with(py, |socket| socket.as_ref().map_or(-1, AsRawFd::as_raw_fd))
    }

    #[getter]
    #[expect(clippy::unused_self, reason = "a property")]
    const fn r#type(&self) -> i32 {
        socket::STREAM
    }

    /// Whether it is still on its way.
    #[getter]
    fn pending(&self) -> bool {
        self.pending.load(Ordering::Relaxed)
    }

    fn close(&self, py: Python<'_>) {
        drop(self.socket.with(py, Option::take));
    }

    /// Raises `BlockingIOError` as long as it is on its way, and `OSError` if it has failed.
    fn finish(&self, py: Python<'_>) -> PyResult<()> {
        match self.ask(py) {
            Ok(Attempt::Done(())) => Ok(()),
            Ok(Attempt::Pending) => Err(PyBlockingIOError::new_err("the connection is still on its way")),
            Err(code) => Err(connect_failed(code, self.address.bind(py))),
        }
    }
}

impl Connection {
    fn ask(&self, py: Python<'_>) -> Result<Attempt<()>, Code> {
        let result = self.socket.with(py, |socket| match socket {
            Some(socket) => socket::connect(socket.as_raw_fd(), &self.to),
            None => Err(BAD_DESCRIPTOR),
        });
        self.pending.store(result == Ok(Attempt::Pending), Ordering::Relaxed);
        result
    }
}

fn connect_plainly<'py>(object: &Bound<'py, PyAny>, args: Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    /// IPPROTO_TCP.
    const TCP: i32 = 6;
    let py = object.py();
    let event_loop = LoopCore::of(object)?;
    let [host, port] = args.positional else {
        return Err(PyTypeError::new_err("_connect_plainly() takes a host and a port"));
    };
    let ordinary = host.is_exact_instance_of::<PyString>() && port.is_exact_instance_of::<PyInt>();
    if !ordinary || event_loop.get().is_debug() || !connects_itself(event_loop)? {
        return Ok(py.None().into_bound(py));
    }
    let given = PyTuple::new(py, [host, port])?;
    begin(event_loop, 0, TCP, given.as_any())
}

fn begin_connection<'py>(object: &Bound<'py, PyAny>, args: Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    let event_loop = LoopCore::of(object)?;
    let [family, protocol, address] = args.positional else {
        return Err(PyTypeError::new_err("_begin_connection() takes a family, a protocol and an address"));
    };
    if !connects_itself(event_loop)? {
        return Ok(py.None().into_bound(py));
    }
    begin(event_loop, family.extract()?, protocol.extract()?, address)
}

/// A connection that is on its way to an address, or there already: what is near answers within the call. Nothing if the
/// address is not a numeric one, of that family unless it is 0.
fn begin<'py>(
    event_loop: &Bound<'py, LoopCore>,
    family: i32,
    protocol: i32,
    given: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = event_loop.py();
    event_loop.get().check_usable()?;
    let Some(to) = address::numeric(given).filter(|to| family == 0 || family == to.family()) else {
        return Ok(py.None().into_bound(py));
    };
    let family = to.family();
    let named = match given.cast::<PyTuple>() {
        // As asyncio completes it.
        Ok(pair) if family == INET6 && pair.len() == 2 => {
            (pair.get_item(0)?, pair.get_item(1)?, 0, 0).into_pyobject(py)?.into_any()
        }
        _ => given.clone(),
    };
    begin_to(py, to, &named, protocol)
}

/// Abstract names, and what has to be encoded in a way that only Python knows, are left to the socket.
fn connect_to_path<'py>(object: &Bound<'py, PyAny>, path: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    let event_loop = LoopCore::of(object)?;
    event_loop.get().check_usable()?;
    let text = path.cast_exact::<PyString>().ok().and_then(|path| path.to_str().ok()).filter(|path| path.is_ascii());
    let bytes = text.map(str::as_bytes).or_else(|| path.cast_exact::<PyBytes>().ok().map(PyBytesMethods::as_bytes));
    let to = bytes
        .filter(|bytes| bytes.first().is_some_and(|first| *first != 0))
        .and_then(|bytes| Address::new(&Endpoint::Unix(bytes)).ok());
    match to {
        Some(to) if connects_itself(event_loop)? => begin_to(py, to, path, 0),
        _ => Ok(py.None().into_bound(py)),
    }
}

/// A connection to an address, which the program knows as `named`.
fn begin_to<'py>(
    py: Python<'py>,
    to: Address,
    named: &Bound<'py, PyAny>,
    protocol: i32,
) -> PyResult<Bound<'py, PyAny>> {
    let family = to.family();
    let socket = socket::stream(family, protocol).map_err(|code| os_error(py, code))?;
    let connection = Connection {
        socket: StateCell::new(Some(socket)),
        to,
        address: named.clone().unbind(),
        family,
        proto: protocol,
        pending: AtomicBool::new(true),
    };
    let connection = Bound::new(py, connection)?;
    audit::socket_made(&connection, family, socket::STREAM, protocol)?;
    audit::socket_connects(&connection, named)?;
    let own = connection.get();
    if own.ask(py).map_err(|code| os_error(py, code))? == Attempt::Pending {
        own.ask(py).map_err(|code| connect_failed(code, named))?;
    }
    Ok(connection.into_any())
}

/// Whether nobody has put anything in the way of the loop's own connecting: a `sock_connect` in a class of his own or on
/// this loop, or a class of sockets that is not Python's.
fn connects_itself(event_loop: &Bound<'_, LoopCore>) -> PyResult<bool> {
    let py = event_loop.py();
    let known = &event_loop.get().own_sock_connect;
    if !known.holds(event_loop, intern!(py, "sock_connect")) {
        if !event_loop.call_method0(intern!(py, "_sock_connect_is_own"))?.is_truthy()? {
            return Ok(false);
        }
        known.remember(event_loop);
    }
    sockets_are_pythons_own(py)
}

/// Python's class of sockets, and where asyncio finds it.
struct OwnSockets {
    asyncios: Py<PyModule>,
    module: Py<PyModule>,
    class: Py<PyAny>,
    connect: Py<PyAny>,
}

impl OwnSockets {
    fn find(py: Python<'_>) -> PyResult<Self> {
        let module = py.import("socket")?;
        Ok(Self {
            asyncios: py.import("asyncio.base_events")?.unbind(),
            class: module.getattr("socket")?.unbind(),
            connect: py.import("_socket")?.getattr("socket")?.getattr("connect")?.unbind(),
            module: module.unbind(),
        })
    }
}

/// Whether a socket that asyncio made would be one of Python's own, and would connect as that does.
///
/// Tests and tools replace the class, or its method, to keep a program from the network or to see where it goes.
#[pyfunction]
pub(crate) fn sockets_are_pythons_own(py: Python<'_>) -> PyResult<bool> {
    static OWN: PyOnceLock<OwnSockets> = PyOnceLock::new();
    let name = intern!(py, "socket");
    let own = match OWN.get(py) {
        Some(own) => own,
        None => {
            let found = OwnSockets::find(py)?;
            // Replaced before anybody has asked.
            if !found.class.bind(py).getattr(intern!(py, "__module__"))?.eq(name)? {
                return Ok(false);
            }
            OWN.get_or_init(py, || found)
        }
    };
    let module = own.module.bind(py);
    let Some(found) = own.asyncios.bind(py).dict().get_item(name)? else { return Ok(false) };
    let Some(class) = module.dict().get_item(name)? else { return Ok(false) };
    Ok(found.is(module) && class.is(&own.class) && class.getattr(intern!(py, "connect"))?.is(&own.connect))
}

fn open_connection<'py>(object: &Bound<'py, PyAny>, args: Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    let event_loop = LoopCore::of(object)?;
    event_loop.get().check_usable()?;
    let [class, connection, protocol, waiter, extra, server, context] = args.positional else {
        return Err(PyTypeError::new_err("_open_connection() takes seven arguments"));
    };
    let connection = connection.cast::<Connection>()?.get();
    let fd = connection.fileno(py);
    open::claim(event_loop, fd)?;
    let (local, peer) = (socket::local_address(fd).ok(), socket::peer_address(fd).ok());
    let extra = match &peer {
        Some(peer) if extra.is_none() => open::Extra::Names(packed_names::pack(py, peer, local.as_ref())),
        _ => {
            let info = if extra.is_none() { PyDict::new(py) } else { extra.cast::<PyDict>()?.copy()? };
            info.set_item(intern!(py, "sockname"), address::to_python(py, local.as_ref())?)?;
            if !info.contains(intern!(py, "peername"))? {
                info.set_item(intern!(py, "peername"), address::to_python(py, peer.as_ref())?)?;
            }
            open::Extra::Info(info.into_any())
        }
    };
    let some = |value: &Bound<'py, PyAny>| (!value.is_none()).then(|| value.clone());
    let parts = open::Parts {
        protocol: Some(protocol.clone()),
        server: some(server),
        waiter: some(waiter),
        context: some(context).map_or_else(|| copy_current_context(py), Ok)?,
        extra,
    };
    let transport = open::prepare(event_loop, class.cast::<PyType>()?, parts)?;
    let own = transport::fields(&transport)?;
    let Some(socket) = connection.socket.with(py, Option::take) else {
        return Err(os_error(py, BAD_DESCRIPTOR));
    };
    if let Some(server) = own.server.get(py) {
        open::attach(&server, &transport)?;
    }
    open::launch(event_loop, &transport, own, fd, Source::connected(socket, connection.family), Some(Ends::Both));
    Ok(transport)
}
