//! What turns plaintext into ciphertext and back.

use std::path::Path;

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};
use tulipa_tls::{Buffer, Library, Read, Write};

use crate::ffi::buffer::Held;
use crate::ffi::ssl_session::NativeSession;
use crate::host::Chunk;

/// The names of the engines, the preferred one first.
pub(crate) const NAMES: [&str; 2] = ["openssl", "memorybio"];

/// What came of reading.
pub(super) enum Taken {
    Data(usize),
    /// More ciphertext is needed first.
    Blocked,
    /// The peer has ended its direction, in due form.
    Closed,
    Failed(PyErr),
}

/// A session of the program's `ssl.SSLContext`.
pub(super) enum Engine {
    /// Driven in OpenSSL itself.
    Native { session: NativeSession, object: Py<PyAny> },
    /// Driven by calls of Python's objects, which works on whatever Python is built on.
    MemoryBio { object: Py<PyAny>, incoming: Py<PyAny>, outgoing: Py<PyAny> },
}

/// The OpenSSL that Python's `ssl` uses.
///
/// # Errors
/// `RuntimeError` that says why it cannot be driven directly.
fn library(py: Python<'_>) -> PyResult<&'static Library> {
    let module = py.import("_ssl")?;
    // Without a file the module is a part of the program.
    let file = module.getattr("__file__").and_then(|file| file.extract::<String>()).ok();
    let found = Library::find(file.as_deref().map(Path::new));
    found.map_err(|refused| PyRuntimeError::new_err(format!("the TLS engine \"openssl\" is not available: {refused}")))
}

/// Which engine sessions get that are made without naming one: the first that works here.
pub(super) fn default_name(py: Python<'_>) -> &'static str {
    if cfg!(Py_GIL_DISABLED) || library(py).is_err() { NAMES[1] } else { NAMES[0] }
}

impl Engine {
    /// Makes a session of `context` (an `ssl.SSLContext`) on the engine of that name, and the `ssl.SSLObject` that
    /// shows it to the program.
    ///
    /// # Errors
    /// What `context.wrap_bio` raises; `ValueError` for an unknown name, `RuntimeError` if that engine cannot be had.
    pub(super) fn open<'py>(
        name: &str,
        context: &Bound<'py, PyAny>,
        server: bool,
        hostname: &Bound<'py, PyAny>,
    ) -> PyResult<(Self, Bound<'py, PyAny>)> {
        let py = context.py();
        let native = match NAMES.iter().position(|known| *known == name) {
            Some(0) => Some(library(py)?),
            Some(_) => None,
            None => {
                let known = NAMES.join(", ");
                return Err(PyValueError::new_err(format!("unknown TLS engine {name:?}; known engines: {known}")));
            }
        };
        let memory = py.import("ssl")?.getattr("MemoryBIO")?;
        let (incoming, outgoing) = (memory.call0()?, memory.call0()?);
        let make = || {
            let named = PyDict::new(py);
            named.set_item("server_side", server)?;
            named.set_item("server_hostname", hostname)?;
            context.call_method("wrap_bio", (&incoming, &outgoing), Some(&named))
        };
        let object = match native {
            Some(library) => {
                let (object, session) = NativeSession::open(library, server, make)?;
                if let Some(session) = session {
                    return Ok((Self::Native { session, object: object.clone().unbind() }, object));
                }
                // A context of somebody's own class that makes its sessions in a way of its own.
                object
            }
            None => make()?,
        };
        let (incoming, outgoing) = (incoming.unbind(), outgoing.unbind());
        Ok((Self::MemoryBio { object: object.clone().unbind(), incoming, outgoing }, object))
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Native { .. } => NAMES[0],
            Self::MemoryBio { .. } => NAMES[1],
        }
    }

    /// The `ssl.SSLObject`.
    pub(super) const fn object(&self) -> &Py<PyAny> {
        match self {
            Self::Native { object, .. } | Self::MemoryBio { object, .. } => object,
        }
    }

    pub(super) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self {
            Self::Native { object, .. } => visit.call(object),
            Self::MemoryBio { object, incoming, outgoing } => {
                visit.call(object)?;
                visit.call(incoming)?;
                visit.call(outgoing)
            }
        }
    }

    /// Ciphertext has arrived in a buffer of ours.
    pub(super) fn arrive(&self, py: Python<'_>, buffer: Buffer) -> PyResult<()> {
        match self {
            Self::Native { session, .. } => {
                session.get().wire().arrive(buffer);
                Ok(())
            }
            Self::MemoryBio { incoming, .. } => write_to(incoming.bind(py), PyBytes::new(py, buffer.data()).as_any()),
        }
    }

    /// Ciphertext has arrived in an object of somebody's.
    pub(super) fn arrive_object(&self, data: &Bound<'_, PyAny>) -> PyResult<()> {
        match self {
            Self::Native { session, .. } => {
                let copy = Held::readable(data)?.copy();
                session.get().wire().arrive_copied(&copy);
                Ok(())
            }
            Self::MemoryBio { incoming, .. } => write_to(incoming.bind(data.py()), data),
        }
    }

    /// Bytes of ciphertext that have arrived and were not read.
    pub(super) fn arrived(&self, py: Python<'_>) -> PyResult<usize> {
        match self {
            Self::Native { session, .. } => Ok(session.get().wire().arrived()),
            Self::MemoryBio { incoming, .. } => pending(incoming.bind(py)),
        }
    }

    /// Bytes of ciphertext that wait to be sent.
    pub(super) fn departing(&self, py: Python<'_>) -> PyResult<usize> {
        match self {
            Self::Native { session, .. } => Ok(session.get().wire().departing()),
            Self::MemoryBio { outgoing, .. } => pending(outgoing.bind(py)),
        }
    }

    /// The ciphertext that is to be sent, if there is any.
    pub(super) fn depart(&self, py: Python<'_>) -> PyResult<Option<Chunk>> {
        match self {
            Self::Native { session, .. } => {
                let data = session.get().wire().depart();
                Ok((!data.is_empty()).then_some(Chunk::Made(data)))
            }
            Self::MemoryBio { outgoing, .. } => {
                let outgoing = outgoing.bind(py);
                if pending(outgoing)? == 0 {
                    return Ok(None);
                }
                let data = outgoing.call_method0(intern!(py, "read"))?;
                Ok(Some(crate::transport::chunk(&data)?))
            }
        }
    }

    /// Drops what was not read and not sent.
    pub(super) fn clear(&self, py: Python<'_>) -> PyResult<()> {
        match self {
            Self::Native { session, .. } => session.get().wire().clear(),
            Self::MemoryBio { incoming, outgoing, .. } => {
                for end in [incoming, outgoing] {
                    end.bind(py).call_method0(intern!(py, "read"))?;
                }
            }
        }
        Ok(())
    }

    /// Whether reading can give anything: an attempt that finds nothing costs as much as one that does.
    pub(super) fn may_read(&self, py: Python<'_>) -> PyResult<bool> {
        match self {
            Self::Native { session, .. } => {
                let session = session.get();
                Ok(session.wire().arrived() > 0 || session.pending() > 0)
            }
            Self::MemoryBio { object, incoming, .. } => {
                Ok(pending(incoming.bind(py))? > 0
                    || object.bind(py).call_method0(intern!(py, "pending"))?.is_truthy()?)
            }
        }
    }

    /// Reads plaintext. May run callbacks of the context.
    pub(super) fn read(&self, py: Python<'_>, into: &mut [u8]) -> Taken {
        match self {
            Self::Native { session, object } => match session.get().read(into) {
                Read::Data(count) => Taken::Data(count),
                Read::Blocked => Taken::Blocked,
                Read::Closed => Taken::Closed,
                // OpenSSL's queue holds the reason, and `_ssl` makes the exception of it that the program expects.
                Read::Failed => Taken::Failed(failure(object.bind(py).call_method1(intern!(py, "read"), (1,)))),
            },
            Self::MemoryBio { object, .. } => match object.bind(py).call_method1(intern!(py, "read"), (into.len(),)) {
                Ok(data) => taken(&data, into).unwrap_or_else(Taken::Failed),
                Err(error) if is_again(py, &error) => Taken::Blocked,
                Err(error) => Taken::Failed(error),
            },
        }
    }

    /// Makes ciphertext of all of `data`, or of none if the peer must answer something first. May run callbacks of the
    /// context.
    ///
    /// # Errors
    /// `ssl.SSLError`.
    pub(super) fn write(&self, py: Python<'_>, data: &[u8]) -> PyResult<bool> {
        match self {
            Self::Native { session, object } => match session.get().write(data) {
                Write::Done => Ok(true),
                Write::Blocked => Ok(false),
                Write::Failed => {
                    let again = PyBytes::new(py, data.get(..1).unwrap_or_default());
                    Err(failure(object.bind(py).call_method1(intern!(py, "write"), (again,))))
                }
            },
            Self::MemoryBio { object, .. } => {
                match object.bind(py).call_method1(intern!(py, "write"), (PyBytes::new(py, data),)) {
                    Ok(_) => Ok(true),
                    Err(error) if is_again(py, &error) => Ok(false),
                    Err(error) => Err(error),
                }
            }
        }
    }
}

fn write_to(bio: &Bound<'_, PyAny>, data: &Bound<'_, PyAny>) -> PyResult<()> {
    bio.call_method1(intern!(bio.py(), "write"), (data,)).map(drop)
}

fn pending(bio: &Bound<'_, PyAny>) -> PyResult<usize> {
    bio.getattr(intern!(bio.py(), "pending"))?.extract()
}

fn taken(data: &Bound<'_, PyAny>, into: &mut [u8]) -> PyResult<Taken> {
    let data = data.cast::<PyBytes>()?.as_bytes();
    into[..data.len()].copy_from_slice(data);
    Ok(if data.is_empty() { Taken::Closed } else { Taken::Data(data.len()) })
}

/// Whether `ssl` says that more ciphertext is needed first; asyncio takes the same two for that.
fn is_again(py: Python<'_>, error: &PyErr) -> bool {
    let named = |name: &Bound<'_, PyString>| {
        let class = py.import("ssl").and_then(|ssl| ssl.getattr(name));
        class.is_ok_and(|class| error.matches(py, class).unwrap_or(false))
    };
    named(intern!(py, "SSLWantReadError")) || named(intern!(py, "SSLSyscallError"))
}

/// The exception of an operation that has failed before and fails again.
#[cold]
fn failure(again: PyResult<Bound<'_, PyAny>>) -> PyErr {
    match again {
        Err(error) => error,
        Ok(object) => {
            let class = object.py().import("ssl").and_then(|ssl| ssl.getattr("SSLError"));
            let message = "the TLS session is broken and does not say why; close the connection";
            match class.and_then(|class| class.call1((1, message))) {
                Ok(error) => PyErr::from_value(error),
                Err(error) => error,
            }
        }
    }
}
