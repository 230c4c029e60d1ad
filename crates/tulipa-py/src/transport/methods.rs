//! The methods that all transports have.

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use super::{fields, pause_writing};
use crate::ffi::raw::{Arguments, method};
use crate::packed_names;

pub(super) fn methods() -> Vec<pyo3::ffi::PyMethodDef> {
    vec![
        method!(c"close", noargs, close, c"Stop reading, write what is queued, then end; see asyncio."),
        method!(c"abort", noargs, abort, c"End now, without writing what is queued; see asyncio."),
        method!(c"_force_close", onearg, force_close, c"End now, with an exception for connection_lost()."),
        method!(c"is_closing", noargs, is_closing, c"Whether the transport is closing or closed."),
        method!(c"pause_reading", noargs, pause_reading, c"Stop receiving until resume_reading()."),
        method!(c"resume_reading", noargs, resume_reading, c"Receive again."),
        method!(c"is_reading", noargs, is_reading, c"Whether the transport is neither paused nor closing."),
        method!(c"set_protocol", vector, set_protocol, c"set_protocol($self, protocol)\n--\n\nReplace the protocol."),
        method!(c"get_protocol", noargs, get_protocol, c"The protocol; None after the connection was lost."),
        method!(c"get_write_buffer_size", noargs, buffer_size, c"Bytes that are still to be written."),
        method!(c"get_write_buffer_limits", noargs, marks, c"The low- and high-water marks, in bytes."),
        method!(c"_writing_paused", noargs, writing_paused, c"Whether the protocol was told to pause writing."),
        method!(c"_set_marks", vector, set_marks, c"Set the high- and low-water marks, in bytes."),
        method!(c"_make_empty_waiter", noargs, make_empty_waiter, c"A future that ends when all is written."),
        method!(c"_reset_empty_waiter", noargs, reset_empty_waiter, c"Allow writing again."),
        method!(c"_unpack_names", noargs, unpack_names, c"What get_extra_info() looks into at first."),
        method!(c"_count_in", noargs, count_in, c"Whether the transport was not counted among its server's before."),
        method!(c"_count_out", noargs, count_out, c"Whether it was, and is no longer."),
        method!(c"_fileno", noargs, fileno, c"The descriptor number, or -1 after the connection was lost."),
        method!(c"_lend", onearg, lend, c"Give the descriptor to a socket object, which closes it from now on."),
    ]
}

pub(super) fn none(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    Ok(py.None().into_bound(py))
}

fn bool_object(py: Python<'_>, value: bool) -> Bound<'_, PyAny> {
    pyo3::types::PyBool::new(py, value).to_owned().into_any()
}

fn close<'py>(transport: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let fields = fields(transport)?;
    if fields.is_open() {
        fields.with(transport.py(), |state, token| state.core.close(token))?;
    }
    none(transport.py())
}

fn abort<'py>(transport: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    force_close(transport, &none(transport.py())?)
}

fn force_close<'py>(transport: &Bound<'py, PyAny>, exception: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = transport.py();
    let fields = fields(transport)?;
    if fields.is_open() && fields.with(py, |state, token| state.core.abort(token))? {
        fields.exception.set(exception.clone());
    }
    none(py)
}

fn is_closing<'py>(transport: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = transport.py();
    let fields = fields(transport)?;
    let closing = !fields.is_open() || fields.with(py, |state, token| state.core.is_closing(token))?;
    Ok(bool_object(py, closing))
}

fn pause_reading<'py>(transport: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = transport.py();
    fields(transport)?.with(py, |state, token| state.core.pause_reading(token))?;
    none(py)
}

fn resume_reading<'py>(transport: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = transport.py();
    fields(transport)?.with(py, |state, token| state.core.resume_reading(token))?;
    none(py)
}

fn is_reading<'py>(transport: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = transport.py();
    let reading = fields(transport)?.with(py, |state, token| state.core.is_reading(token))?;
    Ok(bool_object(py, reading))
}

fn set_protocol<'py>(transport: &Bound<'py, PyAny>, args: Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    let [protocol] = args.exactly("set_protocol", ["protocol"])?;
    let fields = fields(transport)?;
    // What the former protocol wrote leaves before the next one can write.
    fields.with(transport.py(), |state, token| state.core.buffer_size(token))?;
    fields.set_protocol(protocol.clone())?;
    none(transport.py())
}

fn get_protocol<'py>(transport: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = transport.py();
    fields(transport)?.protocol.get(py).map_or_else(|| none(py), Ok)
}

fn buffer_size<'py>(transport: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = transport.py();
    let size = fields(transport)?.with(py, |state, token| state.core.buffer_size(token))?;
    Ok(size.into_pyobject(py)?.into_any())
}

fn marks<'py>(transport: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = transport.py();
    let fields = fields(transport)?;
    let marks = if fields.is_open() {
        fields.with(py, |state, token| state.core.marks(token))?
    } else {
        fields.last_marks.get()
    };
    Ok(marks.into_pyobject(py)?.into_any())
}

fn writing_paused<'py>(transport: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = transport.py();
    let paused = fields(transport)?.with(py, |state, token| state.core.is_writing_paused(token))?;
    Ok(bool_object(py, paused))
}

fn set_marks<'py>(transport: &Bound<'py, PyAny>, args: Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    let py = transport.py();
    let [high, low] = args.positional else {
        return Err(PyTypeError::new_err("_set_marks() takes the high- and the low-water mark"));
    };
    let (high, low) = (high.extract()?, low.extract()?);
    let fields = fields(transport)?;
    if !fields.is_open() {
        fields.last_marks.set((low, high));
    } else if fields.with(py, |state, token| state.core.set_marks(token, high, low))? {
        pause_writing(transport, fields)?;
    }
    none(py)
}

fn make_empty_waiter<'py>(transport: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = transport.py();
    let fields = fields(transport)?;
    if fields.drained.get(py).is_some() {
        return Err(PyRuntimeError::new_err("Empty waiter is already set"));
    }
    let waiter = fields.event_loop(py)?.call_method0(intern!(py, "create_future"))?;
    if fields.with(py, |state, token| state.core.tell_drained(token))? {
        waiter.call_method1(intern!(py, "set_result"), (py.None(),))?;
    }
    fields.drained.set(waiter.clone());
    Ok(waiter)
}

fn reset_empty_waiter<'py>(transport: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    drop(fields(transport)?.drained.take(transport.py()));
    none(transport.py())
}

fn fileno<'py>(transport: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let fields = fields(transport)?;
    let fd = if fields.is_open() { fields.fd.get() } else { -1 };
    Ok(fd.into_pyobject(transport.py())?.into_any())
}

fn unpack_names<'py>(transport: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = transport.py();
    match fields(transport)?.names.take(py).map(Bound::cast_into::<PyBytes>) {
        Some(Ok(packed)) => Ok(packed_names::unpack(&packed)?.into_any()),
        _ => Ok(PyDict::new(py).into_any()),
    }
}

fn count_in<'py>(transport: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let new = !fields(transport)?.counted.replace(true);
    Ok(bool_object(transport.py(), new))
}

fn count_out<'py>(transport: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let counted = fields(transport)?.counted.replace(false);
    Ok(bool_object(transport.py(), counted))
}

fn lend<'py>(transport: &Bound<'py, PyAny>, socket: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = transport.py();
    let fields = fields(transport)?;
    fields.with(py, |state, token| {
        if let Some(source) = state.core.source(token) {
            source.lend();
        }
    })?;
    fields.file.set(socket.clone());
    none(py)
}
