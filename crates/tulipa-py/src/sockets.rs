//! What `sock_recv`, `sock_sendall` and others do at once, without a detour over Python's socket object.
//!
//! `socket.recv(n)` makes an object of `n` bytes first and cuts it to what has come. For the sizes that programs ask for,
//! that is three system calls about memory beside the one that receives, and pages to be touched anew each time. Here
//! bytes come into the loop's own memory, and the object is made when its size is known.
//!
//! Only sockets whose methods are `socket.socket`'s own are served so; others answer for themselves.

use pyo3::exceptions::{PyBlockingIOError, PyOSError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyBytes, PyDict, PyInt, PyString, PyType};
use tulipa_core::{Attempt, Code, Direction};
use tulipa_sys::address::{INET, INET6};
use tulipa_sys::socket;

use crate::address;
use crate::error::os_error;
use crate::event_loop::{LoopCore, READ_MAX};
use crate::ffi::call::method0;
use crate::ffi::known::KnownMethod;
use crate::ffi::raw::{Arguments, method};
use crate::sharing;

pub(crate) fn methods() -> Vec<pyo3::ffi::PyMethodDef> {
    vec![
        method!(
            c"_receive_now",
            vector,
            receive_now,
            c"Check the socket, and receive (socket, size): bytes, or None if that would block, or False if only the socket itself can."
        ),
        method!(c"_receive", vector, receive, c"Receive (socket, size), as socket.recv(size) does."),
        method!(
            c"_send_now",
            vector,
            send_now,
            c"Check the socket, and send (socket, data): how many bytes were sent, or None if those were all."
        ),
        method!(
            c"_is_connected_by_now",
            vector,
            is_connected_by_now,
            c"Whether (socket, address), which is being connected, is there already; False if only waiting can tell."
        ),
        method!(
            c"_prepare_stream",
            vector,
            prepare_stream,
            c"Set TCP_NODELAY, add the names to a dictionary (socket, extra); False if only the socket itself can."
        ),
    ]
}

/// Whether the socket object's methods are those that every socket has. What it then does is known.
fn is_plain(socket: &Bound<'_, PyAny>) -> PyResult<bool> {
    /// The class of sockets that were found to be plain.
    static PLAIN: KnownMethod = KnownMethod::new();
    let py = socket.py();
    let names: [&Bound<'_, PyString>; 3] = [intern!(py, "recv"), intern!(py, "send"), intern!(py, "fileno")];
    if names.iter().all(|name| PLAIN.holds(socket, name)) {
        return Ok(true);
    }
    let native = py.import("_socket")?.getattr("socket")?;
    if !socket.is_instance(&native)? {
        return Ok(false);
    }
    let class = socket.get_type();
    for name in names {
        if !class.getattr(name)?.is(&native.getattr(name)?) {
            return Ok(false);
        }
    }
    PLAIN.remember(socket);
    // An instance that brings methods of its own is found out here.
    Ok(names.iter().all(|name| PLAIN.holds(socket, name)))
}

/// Makes sure that the loop may work with a socket as it is.
///
/// # Errors
/// As `_check_socket`: `TypeError` for one of TLS and, in debug mode, `ValueError` for one that blocks.
#[inline]
pub(crate) fn check(event_loop: &Bound<'_, LoopCore>, socket: &Bound<'_, PyAny>) -> PyResult<()> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let py = socket.py();
    // A program may have put something there that is no class.
    let plain = CLASS.import(py, "socket", "socket").is_ok_and(|class| socket.get_type_ptr() == class.as_type_ptr());
    if plain && !event_loop.get().is_debug() {
        return Ok(());
    }
    event_loop.call_method1(intern!(py, "_check_socket"), (socket,)).map(drop)
}

/// The number of a plain socket that is open.
fn plain_number(socket: &Bound<'_, PyAny>) -> PyResult<Option<i32>> {
    if !is_plain(socket)? {
        return Ok(None);
    }
    let fd: i32 = method0(socket, intern!(socket.py(), "fileno"))?.extract()?;
    Ok((fd >= 0).then_some(fd))
}

/// Whether nobody else uses the socket in this direction: no transport, and no operation that waits.
fn is_free(event_loop: &Bound<'_, LoopCore>, fd: i32, direction: Direction) -> bool {
    event_loop.get().with(event_loop.py(), |state| {
        let waits = state.watches.get(&fd).is_some_and(|watched| state.core.has_waiters(watched.token, direction));
        !waits && !state.owners.contains_key(&fd)
    })
}

fn receive_into_bytes<'py>(
    event_loop: &Bound<'py, LoopCore>,
    fd: i32,
    size: usize,
) -> PyResult<Option<Bound<'py, PyBytes>>> {
    let py = event_loop.py();
    let received = event_loop.get().with_scratch(py, |scratch| match socket::recv(fd, &mut scratch[..size]) {
        Ok(Attempt::Done(count)) => Ok(Some(PyBytes::new(py, &scratch[..count]))),
        Ok(Attempt::Pending) => Ok(None),
        Err(code) => Err(code),
    });
    received.map_err(|code| os_error(py, code))
}

/// A size for which the loop's own memory is large enough: a long datagram must not be cut by it.
fn size_of_read(size: &Bound<'_, PyAny>) -> Option<usize> {
    size.cast_exact::<PyInt>().ok()?.extract().ok().filter(|size| (1..=READ_MAX).contains(size))
}

fn receive_now<'py>(object: &Bound<'py, PyAny>, args: Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    let event_loop = LoopCore::of(object)?;
    let [socket, size] = args.exactly("_receive_now", ["socket", "size"])?;
    check(event_loop, socket)?;
    if let (Some(size), Some(fd)) = (size_of_read(size), plain_number(socket)?)
        && is_free(event_loop, fd, Direction::Read)
    {
        sharing::check_reading(event_loop, fd)?;
        let received = receive_into_bytes(event_loop, fd, size)?;
        return Ok(received.map_or_else(|| py.None().into_bound(py), Bound::into_any));
    }
    Ok(PyBool::new(py, false).to_owned().into_any())
}

fn receive<'py>(object: &Bound<'py, PyAny>, args: Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    let [socket, size] = args.exactly("_receive", ["socket", "size"])?;
    if let (Some(size), Some(fd)) = (size_of_read(size), plain_number(socket)?) {
        return match receive_into_bytes(LoopCore::of(object)?, fd, size)? {
            Some(bytes) => Ok(bytes.into_any()),
            None => Err(PyBlockingIOError::new_err("nothing has come yet")),
        };
    }
    socket.call_method1(intern!(py, "recv"), (size,))
}

fn send_now<'py>(object: &Bound<'py, PyAny>, args: Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    let event_loop = LoopCore::of(object)?;
    let [socket, data] = args.positional else {
        return Err(PyTypeError::new_err("_send_now() takes a socket and bytes"));
    };
    check(event_loop, socket)?;
    let mut sent = 0;
    if let Ok(bytes) = data.cast_exact::<PyBytes>()
        && !bytes.as_bytes().is_empty()
        && let Some(fd) = plain_number(socket)?
        && is_free(event_loop, fd, Direction::Write)
        && let Attempt::Done(count) = socket::send(fd, bytes.as_bytes()).map_err(|code| os_error(py, code))?
    {
        if count == bytes.as_bytes().len() {
            return Ok(py.None().into_bound(py));
        }
        sent = count;
    }
    Ok(sent.into_pyobject(py)?.into_any())
}

fn is_connected_by_now<'py>(object: &Bound<'py, PyAny>, args: Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    let [socket, to] = args.exactly("_is_connected_by_now", ["socket", "address"])?;
    let mut connected = false;
    if let (Some(fd), Some(address)) = (plain_number(socket)?, address::numeric(to)) {
        let attempt = socket::connect(fd, &address).map_err(|code| connect_failed(code, to))?;
        connected = attempt == Attempt::Done(());
    }
    Ok(PyBool::new(py, connected).to_owned().into_any())
}

/// What asyncio says of a connection that was under way.
#[cold]
pub(crate) fn connect_failed(code: Code, address: &Bound<'_, PyAny>) -> PyErr {
    match address.str() {
        Ok(address) => PyOSError::new_err((code.0, format!("Connect call failed {address}"))),
        Err(error) => error,
    }
}

fn prepare_stream<'py>(object: &Bound<'py, PyAny>, args: Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    let [socket, extra] = args.exactly("_prepare_stream", ["socket", "extra"])?;
    let extra = extra.cast::<PyDict>()?;
    let mut done = false;
    if let Some(fd) = plain_number(socket)?
        && let Ok(local) = socket::local_address(fd)
        && matches!(local.family(), INET | INET6)
    {
        // As asyncio, which lets no connection fail for this.
        let _ = socket::set_nodelay(fd);
        extra.set_item(intern!(py, "sockname"), address::to_python(py, Some(&local))?)?;
        if !extra.contains(intern!(py, "peername"))? {
            let peer = socket::peer_address(fd).ok();
            extra.set_item(intern!(py, "peername"), address::to_python(py, peer.as_ref())?)?;
        }
        done = true;
    }
    Ok(PyBool::new(py, done).to_owned().into_any())
}
