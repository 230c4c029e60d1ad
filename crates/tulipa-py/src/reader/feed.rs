//! Taking bytes in: what `StreamReaderProtocol.data_received` and `StreamReader.feed_data` do.

use pyo3::exceptions::PyNotImplementedError;
use pyo3::exceptions::asyncio::InvalidStateError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyWeakrefMethods, PyWeakrefReference};

use super::{CLASSES, Classes, Served};
use crate::ffi::bytearray::append;
use crate::ffi::call::method1;
use crate::ffi::instance::Attributes;

/// Makes a reader a served one.
#[cold]
fn adopt(classes: &Classes, reader: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = reader.py();
    // Another class parts the attributes from the instance, and leaves them in a dictionary of a kind that CPython 3.13's
    // interpreter finds nothing in quickly; one that was filled name by name is of the other kind.
    let attributes = PyDict::new(py);
    for (name, value) in Attributes::of(reader)?.dict() {
        attributes.set_item(name, value)?;
    }
    reader.setattr(intern!(py, "__class__"), classes.served.class(py))?;
    reader.setattr(intern!(py, "__dict__"), attributes)
}

/// Where bytes for a protocol can go without an object made of them.
pub(crate) struct Sink<'py>(Served<'py>);

impl<'py> Sink<'py> {
    /// The reader behind a protocol. `None` if the protocol's `data_received` must be called.
    ///
    /// # Errors
    /// What a change of the reader's class raises.
    #[inline]
    pub(crate) fn of(protocol: &Bound<'py, PyAny>) -> PyResult<Option<Self>> {
        match CLASSES.get(protocol.py()) {
            Some(classes) if classes.protocol.is_class_of(protocol) => Self::find(classes, protocol),
            _ => Ok(None),
        }
    }

    #[inline(never)]
    fn find(classes: &Classes, protocol: &Bound<'py, PyAny>) -> PyResult<Option<Self>> {
        let py = protocol.py();
        if !classes.are_unchanged(&classes.protocol, py)? {
            return Ok(None);
        }
        let own = Attributes::of(protocol)?;
        if own.has(intern!(py, "data_received")) {
            return Ok(None);
        }
        let Some(reference) = own.get(intern!(py, "_stream_reader_wr")) else { return Ok(None) };
        let reader = reference.cast_exact::<PyWeakrefReference>().ok().and_then(PyWeakrefMethods::upgrade);
        let Some(reader) = reader else { return Ok(None) };
        if reader.get_type_ptr() == classes.plain.as_ptr().cast() {
            if !classes.are_unchanged(&classes.served, py)? {
                return Ok(None);
            }
            adopt(classes, &reader)?;
        }
        let Some(served) = Served::new(classes, &reader)? else { return Ok(None) };
        // Bytes after the end are a mistake that asyncio complains about.
        let open = served.is(intern!(py, "_eof"), PyBool::new(py, false).as_any());
        Ok(open.then_some(Self(served)))
    }

    /// Whether nothing is left of what the reader was given before.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.buffer.is_empty()
    }

    /// Whether the reader does not stop its transport for so many bytes.
    pub(crate) fn has_room_for(&self, count: usize) -> bool {
        self.0.limit().is_ok_and(|limit| limit.is_none_or(|limit| count <= limit.saturating_mul(2)))
    }

    /// Puts bytes into the reader's buffer. Runs no Python code.
    ///
    /// # Errors
    /// `BufferError` while somebody holds the buffer's memory, `MemoryError`.
    #[inline]
    pub(crate) fn append(&self, data: &[u8]) -> PyResult<()> {
        append(&self.0.buffer, data)
    }

    /// Wakes up who waits for bytes, and stops the transport if there are too many.
    ///
    /// # Errors
    /// What the waiter or the transport raises.
    pub(crate) fn tell(&self) -> PyResult<()> {
        let reader = &self.0;
        let py = reader.py();
        if let Some(waiter) = reader.attributes.get(intern!(py, "_waiter")) {
            let none = py.None().into_bound(py);
            reader.attributes.set(intern!(py, "_waiter"), &none)?;
            // Asking first whether it was cancelled costs more than finding out.
            if let Err(error) = method1(&waiter, intern!(py, "set_result"), &none)
                && !(error.is_instance_of::<InvalidStateError>(py)
                    && waiter.call_method0(intern!(py, "cancelled"))?.is_truthy()?)
            {
                return Err(error);
            }
        }
        match reader.limit()? {
            Some(limit) if reader.buffer.len() > limit.saturating_mul(2) => self.pause(),
            _ => Ok(()),
        }
    }

    #[cold]
    fn pause(&self) -> PyResult<()> {
        let reader = &self.0;
        let py = reader.py();
        let flag = |value| PyBool::new(py, value).to_owned().into_any();
        let Some(transport) = reader.attributes.get(intern!(py, "_transport")) else { return Ok(()) };
        if !reader.is(intern!(py, "_paused"), &flag(false)) {
            return Ok(());
        }
        match transport.call_method0(intern!(py, "pause_reading")) {
            Ok(_) => reader.attributes.set(intern!(py, "_paused"), &flag(true)),
            // It cannot be stopped; whatever comes is kept, and it is not asked again.
            Err(error) if error.is_instance_of::<PyNotImplementedError>(py) => {
                reader.attributes.set(intern!(py, "_transport"), py.None().bind(py))
            }
            Err(error) => Err(error),
        }
    }
}
