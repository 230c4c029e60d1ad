//! What streams and datagram sockets have in common: their fields, their callbacks, their end. The methods that a program
//! calls are in `methods`.
//!
//! The Python classes in `tulipa._transports` inherit the types made here; they hold what runs once per connection.
//! Nothing of the core's is borrowed while a protocol's method runs (R2), and whatever that method did to the
//! transport is found by asking the core again (R3).

pub(crate) mod datagram;
mod methods;
pub(crate) mod open;
pub(crate) mod stream;

use std::cell::Cell;
use std::ffi::CStr;

use pyo3::exceptions::{PyConnectionError, PyRuntimeError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyString, PyType};
use tulipa_core::{Code, Token};

use crate::error::{is_exit, os_error};
use crate::event_loop::{LoopCore, State};
use crate::ffi::buffer;
use crate::ffi::call::{in_context, method0, method1};
use crate::ffi::native_type::{Fields, NativeClass, make_plain, members};
use crate::ffi::object::SharedBytes;
use crate::ffi::raw::table;
use crate::ffi::slot::Slot;
use crate::host::Chunk;
use crate::listener::{self, Listener};
use crate::tls::TlsCore;
use crate::watch;

/// How many protocols in a row may replace themselves when they are asked for a buffer.
pub(crate) const PROTOCOLS_MAX: usize = 16;

/// The native fields of every transport.
#[repr(C)]
pub(crate) struct TransportFields {
    event_loop: Slot,
    pub(crate) protocol: Slot,
    pub(crate) server: Slot,
    /// The Python object that owns the descriptor, if one does: a socket or a file.
    pub(crate) file: Slot,
    /// The context that the protocol's methods run in (T18).
    pub(crate) context: Slot,
    /// What `connection_lost` is to be given, if it is not an error of the driver's.
    exception: Slot,
    /// To be resolved after `connection_made`. Of a connection that was just accepted, the listener, which has its
    /// protocol made.
    pub(crate) waiter: Slot,
    /// To be resolved when the buffer is empty.
    drained: Slot,
    /// The address that a datagram transport was connected to.
    pub(crate) address: Slot,
    /// What the ends of the connection are called, until somebody asks; see [`packed_names`](crate::packed_names).
    names: Slot,
    /// [`Token::to_bits`]; zero resolves to nothing.
    token: Cell<u64>,
    fd: Cell<i32>,
    /// The protocol is an `asyncio.BufferedProtocol`.
    pub(crate) buffered: Cell<bool>,
    /// The protocol is TLS of ours, and takes bytes without an object made of them.
    tls: Cell<bool>,
    /// `write_eof` was called.
    pub(crate) eof: Cell<bool>,
    /// Between opening and the end of `connection_lost`.
    open: Cell<bool>,
    /// Reading's end always closes: a pipe has no other direction to stay open for.
    pub(crate) one_way: Cell<bool>,
    /// Its server has counted it in.
    counted: Cell<bool>,
    /// How much the last read has brought, in KiB.
    last_read: Cell<u16>,
    /// How many writes were dropped after the connection was lost.
    pub(crate) dropped: Cell<u32>,
    /// Low- and high-water mark of a transport that has ended; before that the core has them.
    last_marks: Cell<(usize, usize)>,
}

// SAFETY: `repr(C)`; null slots, zero numbers and false are valid; no drop; all slots are named.
unsafe impl Fields for TransportFields {
    const MEMBERS: &'static [(&'static CStr, usize)] = members!(TransportFields:
        c"_loop" = event_loop,
        c"_protocol" = protocol,
        c"_server" = server,
        c"_file" = file,
        c"_context" = context,
        c"_exception" = exception,
        c"_waiter" = waiter,
        c"_empty_waiter" = drained,
        c"_address" = address,
        c"_packed_names" = names,
    );
}

struct TransportTypes {
    common: NativeClass<TransportFields>,
    buffered_protocol: Py<PyAny>,
}

static TYPES: PyOnceLock<TransportTypes> = PyOnceLock::new();

/// Makes the types and adds them to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let types = TYPES.get_or_try_init(py, || {
        let base = py.import("asyncio.transports")?.getattr("_FlowControlMixin")?.cast_into::<PyType>()?;
        // asyncio asks for this base before it sends a file over a transport by reading and writing.
        let common = NativeClass::make(
            c"tulipa._native.TransportCore",
            c"What all transports of tulipa's have in common.",
            &base,
            table(methods::methods()),
        )?;
        let buffered_protocol = py.import("asyncio.protocols")?.getattr("BufferedProtocol")?.unbind();
        PyResult::Ok(TransportTypes { common, buffered_protocol })
    })?;
    let common = types.common.class(py);
    module.add("TransportCore", common)?;
    let stream = make_plain(
        c"tulipa._native.StreamCore",
        c"The native half of stream transports.",
        common,
        table(stream::methods()),
    )?;
    module.add("StreamCore", stream)?;
    let datagram = make_plain(
        c"tulipa._native.DatagramCore",
        c"The native half of datagram transports.",
        common,
        table(datagram::methods()),
    )?;
    module.add("DatagramCore", datagram)
}

/// The fields of a transport.
#[inline]
pub(crate) fn fields<'a>(transport: &'a Bound<'_, PyAny>) -> PyResult<&'a TransportFields> {
    TYPES
        .get(transport.py())
        .and_then(|types| types.common.fields(transport))
        .ok_or_else(|| PyTypeError::new_err("not a transport of tulipa's"))
}

impl TransportFields {
    #[inline]
    pub(crate) fn token(&self) -> Token {
        Token::from_bits(self.token.get())
    }

    /// The transport's loop.
    ///
    /// # Errors
    /// `RuntimeError` for a transport that no loop made.
    #[inline]
    pub(crate) fn event_loop<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, LoopCore>> {
        self.event_loop
            .get(py)
            .and_then(|object| object.cast_into::<LoopCore>().ok())
            .ok_or_else(|| PyRuntimeError::new_err("this transport was not made by an event loop; connect to get one"))
    }

    /// Runs a short section on the core, with the transport's token.
    #[inline]
    pub(crate) fn with<R>(&self, py: Python<'_>, section: impl FnOnce(&mut State, Token) -> R) -> PyResult<R> {
        let event_loop = self.event_loop(py)?;
        let token = self.token();
        Ok(event_loop.get().with(py, |state| section(state, token)))
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open.get()
    }

    /// Fills the slots that CPython left empty, for code that looks at them.
    pub(crate) fn fill_empty(&self, py: Python<'_>) {
        let slots = [
            &self.event_loop,
            &self.protocol,
            &self.server,
            &self.file,
            &self.context,
            &self.exception,
            &self.waiter,
            &self.drained,
            &self.address,
            &self.names,
        ];
        for slot in slots {
            slot.fill_empty(py);
        }
    }

    fn set_protocol(&self, protocol: Bound<'_, PyAny>) -> PyResult<()> {
        let py = protocol.py();
        if let Some(types) = TYPES.get(py) {
            self.buffered.set(protocol.is_instance(types.buffered_protocol.bind(py))?);
        }
        self.tls.set(protocol.is_instance_of::<TlsCore>());
        self.protocol.set(protocol);
        Ok(())
    }
}

/// Runs `protocol.name(argument)` in the transport's context; `None` if there is no protocol any more.
#[inline]
pub(crate) fn tell<'py>(
    fields: &TransportFields,
    name: &Bound<'py, PyString>,
    argument: Option<&Bound<'py, PyAny>>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = name.py();
    let Some(protocol) = fields.protocol.get(py) else { return Ok(None) };
    let context = fields.context.get(py);
    in_context(py, context.as_ref(), || match argument {
        Some(argument) => method1(&protocol, name, argument),
        None => method0(&protocol, name),
    })
    .map(Some)
}

/// Reports what a protocol's method raised, and ends the transport with it, as asyncio's `_fatal_error` does.
///
/// # Errors
/// `error` itself if it asks the program to end.
#[cold]
pub(crate) fn failed(
    event_loop: &Bound<'_, LoopCore>,
    transport: &Bound<'_, PyAny>,
    error: PyErr,
    message: &str,
) -> PyResult<()> {
    if is_exit(event_loop.py(), &error) {
        return Err(error);
    }
    event_loop.call_method1(intern!(event_loop.py(), "_transport_failed"), (transport, error, message))?;
    Ok(())
}

/// Reports what a protocol's method raised; the transport goes on.
///
/// # Errors
/// `error` itself if it asks the program to end.
#[cold]
pub(crate) fn complain(
    event_loop: &Bound<'_, LoopCore>,
    transport: &Bound<'_, PyAny>,
    error: PyErr,
    message: &str,
) -> PyResult<()> {
    if is_exit(event_loop.py(), &error) {
        return Err(error);
    }
    event_loop.call_method1(intern!(event_loop.py(), "_protocol_failed"), (transport, error, message))?;
    Ok(())
}

/// A transport was just made: `connection_made`, then reading, then the waiter.
pub(crate) fn started(event_loop: &Bound<'_, LoopCore>, token: Token, transport: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = event_loop.py();
    let fields = fields(transport)?;
    let waiter = fields.waiter.take(py);
    let waiter = match waiter.map(Bound::cast_into::<Listener>) {
        Some(Ok(listener)) => {
            if !listener::introduce(event_loop, token, &listener, transport)? {
                return Ok(());
            }
            None
        }
        Some(Err(waiter)) => Some(waiter.into_inner()),
        None => None,
    };
    let made = match tell(fields, intern!(py, "connection_made"), Some(transport)) {
        Ok(_) => Ok(()),
        Err(error) => complain(event_loop, transport, error, "Exception in callback protocol.connection_made()"),
    };
    // Reading begins whatever `connection_made` did, as on asyncio; unless it has closed the transport.
    let begun = event_loop.get().with(py, |state| state.core.begin(token));
    if let Some(waiter) = waiter
        && !waiter.call_method0(intern!(py, "done"))?.is_truthy()?
    {
        match begun {
            Ok(()) => waiter.call_method1(intern!(py, "set_result"), (py.None(),))?,
            Err(code) => waiter.call_method1(intern!(py, "set_exception"), (os_error(py, code),))?,
        };
    }
    made
}

/// Something has arrived, or an end.
pub(crate) fn readable(event_loop: &Bound<'_, LoopCore>, token: Token, transport: &Bound<'_, PyAny>) -> PyResult<()> {
    let fields = fields(transport)?;
    if datagram::is_datagram(event_loop, token) {
        return datagram::readable(event_loop, token, transport, fields);
    }
    if fields.tls.get() {
        return stream::readable_secure(event_loop, token, transport, fields);
    }
    for _ in 0..PROTOCOLS_MAX {
        if !fields.buffered.get() {
            return stream::readable(event_loop, token, transport, fields);
        }
        if stream::readable_into(event_loop, token, transport, fields)? {
            return Ok(());
        }
    }
    let error = PyRuntimeError::new_err("get_buffer() replaces the protocol again and again; replace it once");
    failed(event_loop, transport, error, "Fatal error: protocol.get_buffer() call failed.")
}

/// The buffer has passed its high-water mark.
#[cold]
pub(crate) fn pause_writing(transport: &Bound<'_, PyAny>, fields: &TransportFields) -> PyResult<()> {
    let py = transport.py();
    let Some(protocol) = fields.protocol.get(py) else { return Ok(()) };
    // Called from `write`, in the writer's own context.
    match method0(&protocol, intern!(py, "pause_writing")) {
        Ok(_) => Ok(()),
        Err(error) => complain(&fields.event_loop(py)?, transport, error, "protocol.pause_writing() failed"),
    }
}

/// The buffer has fallen to its low-water mark.
pub(crate) fn resume_writing(event_loop: &Bound<'_, LoopCore>, transport: &Bound<'_, PyAny>) -> PyResult<()> {
    match tell(fields(transport)?, intern!(event_loop.py(), "resume_writing"), None) {
        Ok(_) => Ok(()),
        Err(error) => complain(event_loop, transport, error, "protocol.resume_writing() failed"),
    }
}

/// The buffer is empty, and somebody waits for that.
pub(crate) fn drained(event_loop: &Bound<'_, LoopCore>, transport: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = event_loop.py();
    if let Some(waiter) = fields(transport)?.drained.get(py)
        && !waiter.call_method0(intern!(py, "done"))?.is_truthy()?
    {
        waiter.call_method1(intern!(py, "set_result"), (py.None(),))?;
    }
    Ok(())
}

/// The transport is over: `connection_lost`, then everything it held is released, whatever that raised.
pub(crate) fn lost(
    event_loop: &Bound<'_, LoopCore>,
    token: Token,
    transport: &Bound<'_, PyAny>,
    code: Option<Code>,
) -> PyResult<()> {
    let py = event_loop.py();
    let fields = fields(transport)?;
    let reason = match (fields.exception.get(py), code) {
        (Some(exception), _) => exception,
        (None, Some(code)) => os_error(py, code).into_value(py).into_bound(py).into_any(),
        (None, None) => py.None().into_bound(py),
    };
    let told = match tell(fields, intern!(py, "connection_lost"), Some(&reason)) {
        Ok(_) => Ok(()),
        Err(error) => complain(event_loop, transport, error, "Exception in callback protocol.connection_lost()"),
    };
    let released = release(event_loop, token, transport, fields);
    told.and(released)
}

/// Gives up everything that a transport holds, and closes its descriptor.
pub(crate) fn release(
    event_loop: &Bound<'_, LoopCore>,
    token: Token,
    transport: &Bound<'_, PyAny>,
    fields: &TransportFields,
) -> PyResult<()> {
    let py = event_loop.py();
    fields.open.set(false);
    let fd = fields.fd.replace(-1);
    let remains = event_loop.get().with(py, |state| {
        if state.owners.get(&fd) == Some(&token) {
            state.owners.remove(&fd);
        }
        fields.last_marks.set(state.core.marks(token));
        state.core.release(token)
    });
    let file = fields.file.take(py);
    // A file that was closed behind the transport's back has left its number to somebody else (R6).
    let number = |file: &Bound<'_, PyAny>| file.call_method0(intern!(py, "fileno"))?.extract::<i32>();
    let still_ours = file.as_ref().is_none_or(|file| number(file).is_ok_and(|number| number == fd));
    let evicted = if still_ours { watch::evict(event_loop, fd) } else { Ok(()) };
    drop(remains);
    let server = fields.server.take(py);
    drop(fields.protocol.take(py));
    drop(fields.exception.take(py));
    drop(fields.context.take(py));
    let closed = match file {
        Some(file) => file.call_method0(intern!(py, "close")).map(drop),
        None => Ok(()),
    };
    if let Some(waiter) = fields.waiter.take(py)
        && !waiter.is_instance_of::<Listener>()
        && !waiter.call_method0(intern!(py, "done"))?.is_truthy()?
    {
        waiter.call_method0(intern!(py, "cancel"))?;
    }
    if let Some(drained) = fields.drained.get(py)
        && !drained.call_method0(intern!(py, "done"))?.is_truthy()?
    {
        let error = PyConnectionError::new_err("Connection is closed by peer");
        drained.call_method1(intern!(py, "set_exception"), (error,))?;
    }
    if let Some(server) = server {
        open::detach(&server, transport)?;
    }
    closed.and(evicted)
}

/// What `write` was given, as a chunk: by reference where nobody can change it, else a copy (T14).
#[inline]
pub(crate) fn chunk(data: &Bound<'_, PyAny>) -> PyResult<Chunk> {
    if let Ok(bytes) = data.cast_exact::<PyBytes>() {
        return Ok(Chunk::Shared(SharedBytes::new(bytes.clone())));
    }
    let bytes_like = data.is_instance_of::<PyBytes>()
        || data.is_instance_of::<pyo3::types::PyByteArray>()
        || data.is_instance_of::<pyo3::types::PyMemoryView>();
    if !bytes_like {
        return Err(PyTypeError::new_err(format!(
            "data argument must be a bytes-like object, not '{}'",
            data.get_type().name()?
        )));
    }
    Ok(Chunk::Copied(buffer::Held::readable(data)?.copy()))
}
