//! What the two ends of a connection are called, kept small until somebody asks: most programs never do, and two tuples
//! and a dictionary for each of very many idle connections are half of what they cost.
//!
//! Kept is one `bytes` object: the length of the peer's address, that address, and our own.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use tulipa_sys::{Address, Endpoint};

use crate::address::to_python;
use crate::error::os_error;

/// The family, the port and the host; the rest of an IPv4 address says nothing.
const V4_LENGTH: usize = 8;

/// The names of a connection, in few bytes.
pub(crate) fn pack<'py>(py: Python<'py>, peer: &Address, own: Option<&Address>) -> Bound<'py, PyBytes> {
    let (peer, own) = (short(peer), own.map(short).unwrap_or_default());
    let mut packed = Vec::with_capacity(1 + peer.len() + own.len());
    // No address is longer than what the kernel has room for, which is half of what the byte can say.
    packed.push(u8::try_from(peer.len()).unwrap_or(0));
    packed.extend_from_slice(peer);
    packed.extend_from_slice(own);
    PyBytes::new(py, &packed)
}

fn short(address: &Address) -> &[u8] {
    let bytes = address.bytes();
    match address.endpoint() {
        Endpoint::V4(..) => bytes.get(..V4_LENGTH).unwrap_or(bytes),
        _ => bytes,
    }
}

/// What `get_extra_info` looks into, of packed names.
///
/// # Errors
/// `MemoryError`.
pub(crate) fn unpack<'py>(packed: &Bound<'py, PyBytes>) -> PyResult<Bound<'py, PyDict>> {
    let py = packed.py();
    let names = PyDict::new(py);
    let Some((length, rest)) = packed.as_bytes().split_first() else { return Ok(names) };
    let (peer, own) = rest.split_at_checked(usize::from(*length)).unwrap_or((rest, &[]));
    for (key, bytes) in [(intern!(py, "peername"), peer), (intern!(py, "sockname"), own)] {
        if !bytes.is_empty() {
            let address = Address::from_bytes(bytes).map_err(|code| os_error(py, code))?;
            names.set_item(key, to_python(py, Some(&address))?)?;
        }
    }
    Ok(names)
}
