//! Streams: reading into protocols, and writing.

use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tulipa_core::{Read, Token, Written};
use tulipa_tls::Buffer;

use super::methods::none;
use super::{TransportFields, chunk, failed, fields, pause_writing, tell};
use crate::event_loop::{LoopCore, READ_MAX};
use crate::ffi::buffer::Held;
use crate::ffi::bytes;
use crate::ffi::call::{address, in_context, is_bound_native};
use crate::ffi::raw::{Arguments, method};
use crate::host::Chunk;
use crate::reader::Sink;
use crate::tls::{self, TlsCore};

/// The address of the C function behind `write`, to see whether somebody has put another in its place.
static WRITE: AtomicUsize = AtomicUsize::new(0);

/// How many writes after the end go by in silence; asyncio's number.
const DROPPED_IN_SILENCE: u32 = 5;

pub(crate) fn methods() -> Vec<pyo3::ffi::PyMethodDef> {
    let write = method!(
        c"write",
        vector,
        write,
        c"write($self, data)\n--\n\nWrite bytes; returns at once, and what is written in one turn leaves together."
    );
    WRITE.store(address(&write), Ordering::Relaxed);
    vec![
        write,
        method!(
            c"writelines",
            vector,
            writelines,
            c"writelines($self, list_of_data)\n--\n\nWrite an iterable of bytes-like objects."
        ),
        method!(c"write_eof", noargs, write_eof, c"Close the writing half once everything is written."),
    ]
}

/// From so many KiB in one read on, the next is taken for one that would not fit below what glibc maps on its own.
const MUCH: u16 = 112;

/// What a read takes at most, in bytes, if it goes straight into an object of its own; `None` if it goes into the loop's
/// memory first, and is copied from there, which is cheaper for less than 16 KiB. The read before is taken for a hint.
///
/// glibc maps and unmaps a block of 128 KiB or more each time, until it has seen one of that size freed. So these are asked
/// for only where that much will come, and the next read finds that the allocator has learned; where less comes, it would
/// see a smaller one freed each time, and never learn.
const fn room_after(kibibytes: u16) -> Option<usize> {
    match kibibytes {
        16..MUCH => Some(120 * 1024),
        0..256 => None,
        _ => Some(256 * 1024),
    }
}

fn kibibytes(count: usize) -> u16 {
    u16::try_from(count / 1024).unwrap_or(u16::MAX)
}

/// How many bytes a stream reader that has none is fed at a time. Its buffer then stays below what glibc may map anew each
/// time; and with more, asyncio's default limit would stop the transport every time. A reader that has a greater limit, and
/// to which that much comes, is fed what a read may take; so is one that has bytes left, since somebody waits for more.
const FEED_MAX: usize = 120 * 1024;

enum Taken<'py> {
    Data(Bound<'py, PyBytes>),
    Eof,
    Nothing,
}

pub(super) fn readable(
    event_loop: &Bound<'_, LoopCore>,
    token: Token,
    transport: &Bound<'_, PyAny>,
    fields: &TransportFields,
) -> PyResult<()> {
    let py = event_loop.py();
    let core = event_loop.get();
    if let Some(protocol) = fields.protocol.get(py)
        && let Some(sink) = Sink::of(&protocol)?
    {
        return feed(event_loop, token, transport, fields, &sink);
    }
    let taken = if let Some(room) = room_after(fields.last_read.get()) {
        match bytes::read(py, core, token, room) {
            Ok((_, Some(data))) => Taken::Data(data),
            Ok((Read::Eof, None)) => Taken::Eof,
            Ok((_, None)) => Taken::Nothing,
            Err(error) => return failed(event_loop, transport, error, "Fatal error: read failed."),
        }
    } else {
        core.with_scratch(py, |scratch| match core.with(py, |state| state.core.read(token, scratch)) {
            Read::Data(count) => Taken::Data(PyBytes::new(py, &scratch[..count])),
            Read::Eof => Taken::Eof,
            Read::Nothing | Read::Failed(_) => Taken::Nothing,
        })
    };
    if let Taken::Data(data) = &taken {
        fields.last_read.set(kibibytes(data.as_bytes().len()));
    }
    match taken {
        Taken::Data(data) => match tell(fields, intern!(py, "data_received"), Some(data.as_any())) {
            Ok(_) => Ok(()),
            Err(error) => failed(event_loop, transport, error, "Fatal error: protocol.data_received() call failed."),
        },
        Taken::Eof => eof(event_loop, token, transport, fields),
        Taken::Nothing => Ok(()),
    }
}

/// Reads into a stream reader's buffer.
#[inline(never)]
fn feed(
    event_loop: &Bound<'_, LoopCore>,
    token: Token,
    transport: &Bound<'_, PyAny>,
    fields: &TransportFields,
    sink: &Sink<'_>,
) -> PyResult<()> {
    let py = event_loop.py();
    let core = event_loop.get();
    let much_comes = fields.last_read.get() >= MUCH;
    let room = if sink.is_empty() && !(much_comes && sink.has_room_for(READ_MAX)) { FEED_MAX } else { READ_MAX };
    let (read, put) = core.with_scratch(py, |scratch| {
        let scratch = &mut scratch[..room];
        let read = core.with(py, |state| state.core.read(token, scratch));
        if let Read::Data(count) = read {
            fields.last_read.set(kibibytes(count));
        }
        let put = if let Read::Data(count) = read { sink.append(&scratch[..count]) } else { Ok(()) };
        (read, put)
    });
    match read {
        Read::Data(_) => match put.and_then(|()| sink.tell()) {
            Ok(()) => Ok(()),
            Err(error) => failed(event_loop, transport, error, "Fatal error: protocol.data_received() call failed."),
        },
        Read::Eof => eof(event_loop, token, transport, fields),
        Read::Nothing | Read::Failed(_) => Ok(()),
    }
}

/// Reads into the protocol's own buffer. `false` if asking for it has replaced the protocol (R3): nothing was read then.
pub(super) fn readable_into(
    event_loop: &Bound<'_, LoopCore>,
    token: Token,
    transport: &Bound<'_, PyAny>,
    fields: &TransportFields,
) -> PyResult<bool> {
    let py = event_loop.py();
    let core = event_loop.get();
    let asked = fields.protocol.get(py);
    let hint = (-1_i32).into_pyobject(py)?.into_any();
    let buffer = tell(fields, intern!(py, "get_buffer"), Some(&hint)).and_then(|buffer| {
        let Some(buffer) = buffer else { return Ok(None) };
        let held = Held::writable(&buffer)?;
        if held.len() == 0 {
            return Err(PyRuntimeError::new_err("get_buffer() returned an empty buffer"));
        }
        Ok(Some(held))
    });
    let mut held = match buffer {
        Ok(Some(held)) => held,
        Ok(None) => return Ok(true),
        Err(error) => {
            let message = "Fatal error: protocol.get_buffer() call failed.";
            return failed(event_loop, transport, error, message).map(|()| true);
        }
    };
    let same = match (&asked, fields.protocol.get(py)) {
        (Some(asked), Some(present)) => asked.is(&present),
        _ => false,
    };
    if !same {
        return Ok(false);
    }
    let read = held.fill(|into| core.with(py, |state| state.core.read(token, into)));
    // The protocol may resize its buffer in `buffer_updated`, so nobody holds it by then.
    drop(held);
    match read {
        Read::Data(count) => {
            let count = count.into_pyobject(py)?.into_any();
            if let Err(error) = tell(fields, intern!(py, "buffer_updated"), Some(&count)) {
                failed(event_loop, transport, error, "Fatal error: protocol.buffer_updated() call failed.")?;
            }
        }
        Read::Eof => eof(event_loop, token, transport, fields)?,
        Read::Nothing | Read::Failed(_) => {}
    }
    Ok(true)
}

/// Reads ciphertext for TLS of ours.
pub(super) fn readable_secure(
    event_loop: &Bound<'_, LoopCore>,
    token: Token,
    transport: &Bound<'_, PyAny>,
    fields: &TransportFields,
) -> PyResult<()> {
    let py = event_loop.py();
    let Some(Ok(protocol)) = fields.protocol.get(py).map(Bound::cast_into::<TlsCore>) else { return Ok(()) };
    let mut buffer = Buffer::borrow();
    match event_loop.get().with(py, |state| state.core.read(token, buffer.room())) {
        Read::Data(count) => {
            buffer.filled(count);
            let context = fields.context.get(py);
            match in_context(py, context.as_ref(), || tls::arrived(&protocol, buffer)) {
                Ok(()) => Ok(()),
                Err(error) => {
                    failed(event_loop, transport, error, "Fatal error: protocol.data_received() call failed.")
                }
            }
        }
        Read::Eof => eof(event_loop, token, transport, fields),
        Read::Nothing | Read::Failed(_) => Ok(()),
    }
}

fn eof(
    event_loop: &Bound<'_, LoopCore>,
    token: Token,
    transport: &Bound<'_, PyAny>,
    fields: &TransportFields,
) -> PyResult<()> {
    let py = event_loop.py();
    let answer = tell(fields, intern!(py, "eof_received"), None)
        .and_then(|answer| answer.map_or(Ok(false), |answer| answer.is_truthy()));
    match answer {
        Ok(keep_open) => {
            let keep_open = keep_open && !fields.one_way.get();
            event_loop.get().with(py, |state| state.core.eof_answered(token, keep_open));
            Ok(())
        }
        Err(error) => failed(event_loop, transport, error, "Fatal error: protocol.eof_received() call failed."),
    }
}

fn check_writable(fields: &TransportFields, py: Python<'_>, method: &str) -> PyResult<()> {
    if fields.eof.get() {
        return Err(PyRuntimeError::new_err(format!("Cannot call {method}() after write_eof()")));
    }
    if fields.drained.get(py).is_some() {
        return Err(PyRuntimeError::new_err(format!("unable to {method}; sendfile is in progress")));
    }
    Ok(())
}

fn write<'py>(transport: &Bound<'py, PyAny>, args: Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    let py = transport.py();
    let [data] = args.exactly("write", ["data"])?;
    let fields = fields(transport)?;
    let chunk = chunk(data)?;
    check_writable(fields, py, "write")?;
    if chunk.as_ref().is_empty() {
        return none(py);
    }
    write_chunk(transport, fields, chunk)?;
    none(py)
}

/// Whether `transport` is a stream of ours whose `write` is still our own (T39).
pub(crate) fn is_plain(transport: &Bound<'_, PyAny>) -> PyResult<bool> {
    if fields(transport).is_err() {
        return Ok(false);
    }
    let write = transport.getattr(intern!(transport.py(), "write"))?;
    Ok(is_bound_native(&write, transport, WRITE.load(Ordering::Relaxed)))
}

/// Queues bytes, and does what that asks for.
pub(crate) fn write_chunk(transport: &Bound<'_, PyAny>, fields: &TransportFields, chunk: Chunk) -> PyResult<()> {
    let written = fields.with(transport.py(), |state, token| state.core.write(token, chunk))?;
    answered(transport, fields, written)
}

fn writelines<'py>(transport: &Bound<'py, PyAny>, args: Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    let py = transport.py();
    let [lines] = args.exactly("writelines", ["list_of_data"])?;
    let fields = fields(transport)?;
    check_writable(fields, py, "writelines")?;
    // All of them are looked at before the first is queued: a bad one in the middle must not leave half a message.
    let chunks = lines.try_iter()?.map(|line| chunk(&line?)).collect::<PyResult<Vec<_>>>()?;
    // The iterable may have run code that closed the transport or its writing half.
    check_writable(fields, py, "writelines")?;
    let written = fields.with(py, |state, token| {
        let mut result = Written::Queued;
        for chunk in chunks {
            if !chunk.as_ref().is_empty() {
                match state.core.write(token, chunk) {
                    Written::Queued => {}
                    other => result = other,
                }
            }
        }
        result
    })?;
    answered(transport, fields, written)?;
    none(py)
}

/// Does what the outcome of a write asks for.
fn answered(transport: &Bound<'_, PyAny>, fields: &TransportFields, written: Written) -> PyResult<()> {
    match written {
        Written::Queued => Ok(()),
        Written::Pause => pause_writing(transport, fields),
        Written::Dropped => {
            let dropped = fields.dropped.get().saturating_add(1);
            fields.dropped.set(dropped);
            if dropped >= DROPPED_IN_SILENCE {
                warn_dropped(transport)?;
            }
            Ok(())
        }
    }
}

#[cold]
pub(super) fn warn_dropped(transport: &Bound<'_, PyAny>) -> PyResult<()> {
    let logger = transport.py().import("asyncio.log")?.getattr("logger")?;
    logger.call_method1("warning", ("socket.send() raised exception.",))?;
    Ok(())
}

fn write_eof<'py>(transport: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = transport.py();
    let fields = fields(transport)?;
    let closing = fields.with(py, |state, token| {
        let closing = state.core.is_closing(token);
        state.core.write_eof(token);
        closing
    })?;
    if !closing {
        fields.eof.set(true);
    }
    none(py)
}
