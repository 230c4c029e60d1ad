//! Datagram sockets: receiving into protocols, and sending.

use pyo3::exceptions::{PyOSError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tulipa_core::{Code, Sent, Token};

use super::methods::none;
use super::{TransportFields, chunk, complain, fields, pause_writing};
use crate::address;
use crate::error::os_error;
use crate::event_loop::LoopCore;
use crate::ffi::call::{in_context, method2};
use crate::ffi::raw::{Arguments, Parsed, method};

pub(crate) fn methods() -> Vec<pyo3::ffi::PyMethodDef> {
    vec![method!(c"sendto", vector, sendto, c"Send one datagram, to an address or to the connected peer.")]
}

pub(super) fn is_datagram(event_loop: &Bound<'_, LoopCore>, token: Token) -> bool {
    event_loop.get().with(event_loop.py(), |state| state.core.is_datagram(token))
}

/// Reports an error that concerns a datagram; if the protocol fails to take it, the transport goes on all the same.
fn error_received(
    event_loop: &Bound<'_, LoopCore>,
    transport: &Bound<'_, PyAny>,
    fields: &TransportFields,
    code: Code,
) -> PyResult<()> {
    let py = event_loop.py();
    let error = os_error(py, code).into_value(py).into_bound(py).into_any();
    match super::tell(fields, intern!(py, "error_received"), Some(&error)) {
        Ok(_) => Ok(()),
        Err(error) => complain(event_loop, transport, error, "protocol.error_received() failed"),
    }
}

pub(crate) fn send_failed(event_loop: &Bound<'_, LoopCore>, transport: &Bound<'_, PyAny>, code: Code) -> PyResult<()> {
    error_received(event_loop, transport, fields(transport)?, code)
}

/// Receives one datagram and delivers it; the core says whether another one follows within the turn.
pub(super) fn readable(
    event_loop: &Bound<'_, LoopCore>,
    token: Token,
    transport: &Bound<'_, PyAny>,
    fields: &TransportFields,
) -> PyResult<()> {
    if deliver(event_loop, token, transport, fields)? && !event_loop.get().is_stopping() {
        event_loop.get().with(event_loop.py(), |state| state.core.receive_on(token));
    }
    Ok(())
}

/// Receives one datagram and delivers it; `false` if there was none.
fn deliver(
    event_loop: &Bound<'_, LoopCore>,
    token: Token,
    transport: &Bound<'_, PyAny>,
    fields: &TransportFields,
) -> PyResult<bool> {
    let py = event_loop.py();
    let core = event_loop.get();
    let received = core.with_scratch(py, |scratch| {
        core.with(py, |state| state.core.receive(token, scratch))
            .map(|received| received.map(|(count, from)| (PyBytes::new(py, &scratch[..count]), from)))
    });
    let (data, from) = match received {
        Ok(Some(received)) => received,
        Ok(None) => return Ok(false),
        Err(code) => return error_received(event_loop, transport, fields, code).map(|()| true),
    };
    let Some(protocol) = fields.protocol.get(py) else { return Ok(false) };
    let from = address::sender(event_loop, from)?;
    let context = fields.context.get(py);
    let told =
        in_context(py, context.as_ref(), || method2(&protocol, intern!(py, "datagram_received"), data.as_any(), &from));
    match told {
        Ok(_) => Ok(true),
        // asyncio lets this reach the exception handler and keeps the transport.
        Err(error) => {
            complain(event_loop, transport, error, "Exception in callback protocol.datagram_received()").map(|()| true)
        }
    }
}

fn sendto<'py>(transport: &Bound<'py, PyAny>, args: Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    let py = transport.py();
    let fields = fields(transport)?;
    let Parsed { named: [data], rest, option } = args.parse("sendto", ["data"], Some("addr"))?;
    let to = match (rest, option) {
        ([], to) => to,
        ([to], None) => Some(to),
        _ => {
            return Err(PyTypeError::new_err(
                "sendto() takes the data and an optional address: sendto(data, addr=None)",
            ));
        }
    };
    let chunk = chunk(data)?;
    let to = to.filter(|to| !to.is_none());
    let connected = fields.address.get(py);
    if let (Some(connected), Some(to)) = (&connected, to)
        && !to.eq(connected)?
    {
        return Err(PyValueError::new_err(format!("Invalid address: must be None or {connected}")));
    }
    // A connected socket knows its peer; the kernel refuses a second word about it.
    let to = if connected.is_some() { None } else { to };
    let event_loop = fields.event_loop(py)?;
    let to = match to.map(|to| address::from_python(&event_loop, transport, to)).transpose() {
        Ok(to) => to,
        // As on asyncio: a name that cannot be resolved concerns one datagram, nonsense ends the transport.
        Err(error) if error.is_instance_of::<PyOSError>(py) => {
            if let Some(protocol) = fields.protocol.get(py) {
                protocol.call_method1(intern!(py, "error_received"), (error,))?;
            }
            return none(py);
        }
        Err(error) => {
            super::failed(&event_loop, transport, error, "Fatal write error on datagram transport")?;
            return none(py);
        }
    };
    match fields.with(py, |state, token| state.core.send(token, chunk, to))? {
        Sent::Accepted => {}
        Sent::Pause => pause_writing(transport, fields)?,
        Sent::Failed(code) => {
            let error = os_error(py, code).into_value(py).into_bound(py).into_any();
            if let Some(protocol) = fields.protocol.get(py) {
                protocol.call_method1(intern!(py, "error_received"), (error,))?;
            }
        }
        Sent::Dropped if connected.is_some() => {
            let dropped = fields.dropped.get().saturating_add(1);
            fields.dropped.set(dropped);
            if dropped >= 5 {
                super::stream::warn_dropped(transport)?;
            }
        }
        Sent::Dropped => {}
    }
    none(py)
}
