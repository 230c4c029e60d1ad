//! The transport below: whatever carries the ciphertext.

use pyo3::exceptions::{PyAttributeError, PyNotImplementedError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::ffi::object::Obj;
use crate::host::Chunk;
use crate::transport::{self, stream};

/// A transport, ours or anybody's.
#[derive(Clone)]
pub(super) struct Lower {
    transport: Obj,
    /// One of ours, whose `write` nobody has replaced (T39).
    native: bool,
}

impl Lower {
    pub(super) fn new(transport: &Bound<'_, PyAny>) -> PyResult<Self> {
        let native = stream::is_plain(transport)?;
        Ok(Self { transport: Obj::from(transport.clone()), native })
    }

    pub(super) fn object(&self) -> &Obj {
        &self.transport
    }

    pub(super) fn write(self, py: Python<'_>, chunk: Chunk) -> PyResult<()> {
        let transport = self.transport.into_bound(py);
        if self.native {
            return stream::write_chunk(&transport, transport::fields(&transport)?, chunk);
        }
        let data = PyBytes::new(py, chunk.as_ref());
        transport.call_method1(intern!(py, "write"), (data,)).map(drop)
    }

    /// Stops or resumes the transport. One that cannot be stopped goes on, and what it brings is kept.
    pub(super) fn read(self, py: Python<'_>, read: bool) -> PyResult<()> {
        let name = if read { intern!(py, "resume_reading") } else { intern!(py, "pause_reading") };
        match self.transport.into_bound(py).call_method0(name) {
            Err(error)
                if error.is_instance_of::<PyNotImplementedError>(py)
                    || error.is_instance_of::<PyAttributeError>(py) =>
            {
                Ok(())
            }
            other => other.map(drop),
        }
    }
}
