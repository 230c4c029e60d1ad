//! What runs per record: from the transport below to the protocol, and back.

use pyo3::exceptions::{PyException, PyRuntimeError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tulipa_tls::Buffer;

use super::engine::Taken;
use super::{Phase, TlsCore, Waiting};
use crate::ffi::buffer::Held;
use crate::ffi::call::method1;
use crate::host::Chunk;
use crate::reader::Sink;
use crate::transport::PROTOCOLS_MAX;

/// How much is encrypted before we look again whether the transport below wants more, in bytes.
const PIECE: usize = 64 * 1024;

/// Ciphertext has arrived in a buffer of ours.
pub(crate) fn arrived(core: &Bound<'_, TlsCore>, buffer: Buffer) -> PyResult<()> {
    core.get().engine()?.arrive(core.py(), buffer)?;
    drive(core)
}

/// Deals with what has arrived. If that is under way further out (the program's code has made more arrive), it goes on
/// there.
pub(super) fn drive(core: &Bound<'_, TlsCore>) -> PyResult<()> {
    let py = core.py();
    let outermost = core.get().with(py, |state| {
        state.again = true;
        !std::mem::replace(&mut state.driving, true)
    });
    if !outermost {
        return Ok(());
    }
    let mut result = Ok(());
    while result.is_ok() && core.get().with(py, |state| std::mem::replace(&mut state.again, false)) {
        result = match core.get().with(py, |state| state.phase) {
            Phase::Unwrapped => Ok(()),
            Phase::Handshake => core.call_method0(intern!(py, "_do_handshake")).map(drop),
            Phase::Wrapped => read(core),
            Phase::Flushing => core.call_method0(intern!(py, "_do_flush")).map(drop),
            Phase::Shutdown => core.call_method0(intern!(py, "_do_shutdown")).map(drop),
        };
    }
    core.get().with(py, |state| state.driving = false);
    result
}

/// Gives the protocol what can be decrypted, then encrypts and sends what waits.
///
/// # Errors
/// What is no `Exception`; all else ends the connection.
pub(super) fn read(core: &Bound<'_, TlsCore>) -> PyResult<()> {
    match read_and_write(core) {
        Err(error) => fatal(core, error),
        Ok(()) => Ok(()),
    }
}

fn read_and_write(core: &Bound<'_, TlsCore>) -> PyResult<()> {
    let py = core.py();
    if is_readable(core) && deliver(core)? {
        core.call_method0(intern!(py, "_peer_closed"))?;
    }
    go_on_writing(core)?;
    control_reading(core)
}

fn is_readable(core: &Bound<'_, TlsCore>) -> bool {
    core.get().with(core.py(), |state| {
        matches!(state.phase, Phase::Wrapped | Phase::Flushing) && !state.app_reading_paused && state.app.is_some()
    })
}

/// Gives the protocol plaintext until there is none, or it wants no more. Whether the peer has ended its direction.
fn deliver(core: &Bound<'_, TlsCore>) -> PyResult<bool> {
    let py = core.py();
    let mut fruitless = 0;
    while core.get().engine()?.may_read(py)? && is_readable(core) {
        let end = if core.get().with(py, |state| state.buffered) { fill_buffer(core)? } else { fill_bytes(core)? };
        match end {
            Taken::Data(0) if fruitless == PROTOCOLS_MAX => {
                let message = "get_buffer() replaces the protocol again and again; replace it once";
                return Err(PyRuntimeError::new_err(message));
            }
            Taken::Data(0) => fruitless += 1,
            Taken::Data(_) => fruitless = 0,
            Taken::Blocked => return Ok(false),
            Taken::Closed => return Ok(true),
            Taken::Failed(error) => return Err(error),
        }
    }
    Ok(false)
}

/// Reads until `into` is full or nothing more is there, and says how much that was and why it ended.
fn take(core: &Bound<'_, TlsCore>, into: &mut Buffer, limit: usize) -> PyResult<Taken> {
    let py = core.py();
    let engine = core.get().engine()?;
    let Some(_busy) = core.get().use_session(py) else { return Ok(Taken::Blocked) };
    loop {
        let have = into.data().len();
        if have >= limit || into.room().is_empty() || !engine.may_read(py)? {
            return Ok(Taken::Data(have));
        }
        let room = into.room();
        let size = room.len().min(limit - have);
        match engine.read(py, &mut room[..size]) {
            Taken::Data(count) => into.filled(count),
            end => return Ok(end),
        }
    }
}

fn fill_bytes(core: &Bound<'_, TlsCore>) -> PyResult<Taken> {
    let py = core.py();
    let mut plaintext = Buffer::borrow();
    let end = take(core, &mut plaintext, usize::MAX)?;
    if !plaintext.data().is_empty()
        && let Some(app) = core.get().app(py)
    {
        if let Some(sink) = Sink::of(&app)? {
            sink.append(plaintext.data())?;
            drop(plaintext);
            sink.tell()?;
        } else {
            let data = PyBytes::new(py, plaintext.data());
            drop(plaintext);
            method1(&app, intern!(py, "data_received"), data.as_any())?;
        }
    }
    Ok(end)
}

fn fill_buffer(core: &Bound<'_, TlsCore>) -> PyResult<Taken> {
    let py = core.py();
    let Some(app) = core.get().app(py) else { return Ok(Taken::Blocked) };
    let hint = core.get().engine()?.arrived(py)?.into_pyobject(py)?.into_any();
    let buffer = method1(&app, intern!(py, "get_buffer"), &hint)?;
    let mut held = Held::writable(&buffer)?;
    if held.len() == 0 {
        return Err(PyRuntimeError::new_err("get_buffer() returned an empty buffer"));
    }
    // Asking may have changed anything (R3); the buffer is of use to the protocol that gave it.
    let same = core.get().app(py).is_some_and(|present| present.is(&app));
    if !same || !is_readable(core) {
        return Ok(Taken::Data(0));
    }
    let mut plaintext = Buffer::borrow();
    let end = take(core, &mut plaintext, held.len())?;
    let count = plaintext.data().len();
    held.fill(|into| into[..count].copy_from_slice(plaintext.data()));
    drop((held, plaintext));
    if count > 0 {
        method1(&app, intern!(py, "buffer_updated"), &count.into_pyobject(py)?.into_any())?;
    }
    Ok(end)
}

/// Encrypts and sends what waits, and tells the protocol how full it is.
pub(super) fn go_on_writing(core: &Bound<'_, TlsCore>) -> PyResult<()> {
    let phase = core.get().with(core.py(), |state| state.phase);
    if matches!(phase, Phase::Wrapped | Phase::Flushing)
        && let Err(error) = encrypt(core, false)
    {
        fatal(core, error)?;
    }
    send(core)?;
    control_writing(core)
}

/// What was given to `write` or `writelines`. `None` if it is not bytes-like.
pub(super) fn check(data: &Bound<'_, PyAny>) -> PyResult<Chunk> {
    crate::transport::chunk(data).map_err(|error| {
        if !error.is_instance_of::<PyTypeError>(data.py()) {
            return error;
        }
        let kind = data.get_type().name().map_or_else(|_| "?".to_owned(), |name| name.to_string());
        PyTypeError::new_err(format!("data: expecting a bytes-like instance, got {kind}"))
    })
}

/// Plaintext from the program. Whether it was taken; if not, the connection is closing or over.
pub(super) fn write(core: &Bound<'_, TlsCore>, chunks: impl IntoIterator<Item = Chunk>) -> PyResult<bool> {
    let py = core.py();
    let (taken, now) = core.get().with(py, |state| {
        if matches!(state.phase, Phase::Unwrapped | Phase::Flushing | Phase::Shutdown) {
            return (false, false);
        }
        for chunk in chunks {
            let size = chunk.as_ref().len();
            if size > 0 {
                state.waiting += size;
                state.backlog.push_back(Waiting { chunk, done: 0 });
            }
        }
        (true, state.phase == Phase::Wrapped)
    });
    if now {
        go_on_writing(core)?;
    } else if taken {
        control_writing(core)?;
    }
    Ok(taken)
}

/// Makes ciphertext of what waits, as long as the transport below wants it, or of `all`. Whether nothing waits any more.
///
/// # Errors
/// `ssl.SSLError`, and what the transport below raises.
pub(super) fn encrypt(core: &Bound<'_, TlsCore>, all: bool) -> PyResult<bool> {
    let py = core.py();
    let engine = core.get().engine()?;
    loop {
        let next = core.get().with(py, |state| {
            if state.busy || (state.lower_writing_paused && !all) {
                return None;
            }
            let waiting = state.backlog.pop_front();
            state.busy = waiting.is_some();
            waiting
        });
        let Some(mut waiting) = next else { break };
        let piece = waiting.rest();
        let size = piece.len().min(PIECE);
        let written = engine.write(py, &piece[..size]);
        let done = matches!(written, Ok(true));
        let left = core.get().with(py, |state| {
            state.busy = false;
            if done {
                waiting.done += size;
                state.waiting = state.waiting.saturating_sub(size);
            }
            if waiting.rest().is_empty() {
                return Some(waiting);
            }
            state.backlog.push_front(waiting);
            None
        });
        drop(left);
        if !written? {
            break;
        }
        send(core)?;
    }
    Ok(core.get().with(py, |state| state.backlog.is_empty()))
}

/// Hands the ciphertext that there is to the transport below.
pub(super) fn send(core: &Bound<'_, TlsCore>) -> PyResult<()> {
    let py = core.py();
    let Some(chunk) = core.get().engine()?.depart(py)? else { return Ok(()) };
    match core.get().with(py, |state| state.lower.clone()) {
        Some(lower) => lower.write(py, chunk),
        None => Ok(()),
    }
}

/// Tells the protocol when more waits than the high-water mark allows, and when little enough does again.
pub(super) fn control_writing(core: &Bound<'_, TlsCore>) -> PyResult<()> {
    let py = core.py();
    let departing = core.get().engine()?.departing(py)?;
    let name = core.get().with(py, |state| {
        let size = state.waiting + departing;
        if size > state.marks().write.high && !state.app_writing_paused {
            state.app_writing_paused = true;
            Some(intern!(py, "pause_writing"))
        } else if size <= state.marks().write.low && state.app_writing_paused {
            state.app_writing_paused = false;
            Some(intern!(py, "resume_writing"))
        } else {
            None
        }
    });
    if let Some(name) = name {
        core.call_method1(intern!(py, "_tell_writing"), (name,))?;
    }
    Ok(())
}

/// Stops the transport below when the protocol does not read, and lets it go on.
pub(super) fn control_reading(core: &Bound<'_, TlsCore>) -> PyResult<()> {
    let py = core.py();
    let arrived = core.get().engine()?.arrived(py)?;
    let change = core.get().with(py, |state| {
        let read = if arrived > state.marks().read.high && !state.lower_reading_paused {
            false
        } else if arrived <= state.marks().read.low && state.lower_reading_paused {
            true
        } else {
            return None;
        };
        state.lower_reading_paused = !read;
        state.lower.clone().map(|lower| (lower, read))
    });
    match change {
        Some((lower, read)) => lower.read(py, read),
        None => Ok(()),
    }
}

/// Ends the connection with an error.
///
/// # Errors
/// `error` itself if it is no `Exception`.
#[cold]
fn fatal(core: &Bound<'_, TlsCore>, error: PyErr) -> PyResult<()> {
    let py = core.py();
    if !error.is_instance_of::<PyException>(py) {
        return Err(error);
    }
    core.call_method1(intern!(py, "_fatal_error"), (error, "Fatal error on SSL protocol")).map(drop)
}
