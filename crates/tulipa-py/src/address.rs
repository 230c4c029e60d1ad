//! Socket addresses, as Python writes them.

use std::net::{Ipv4Addr, Ipv6Addr};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt, PyString, PyTuple};
use tulipa_sys::address::{INET, INET6};
use tulipa_sys::{Address, Endpoint};

use crate::error::os_error_about;
use crate::event_loop::LoopCore;
use crate::ffi::object::Obj;

/// How many senders of datagrams a loop remembers. A multiple of what a hash spreads evenly: consecutive ports of one
/// host have places of their own.
const FAMILIAR: usize = 128;

/// The addresses that datagrams came from and went to lately, with the objects that stand for them: who has written once
/// mostly writes again, and is mostly answered by the very tuple that came with the question.
pub(crate) struct Familiar {
    /// By [`place`].
    senders: Vec<Option<(Address, Obj)>>,
    /// The place of the last sender.
    last: usize,
    /// The last receiver that the program named by a tuple of its own.
    receiver: Option<(Address, Obj)>,
}

impl Familiar {
    pub(crate) const fn new() -> Self {
        Self { senders: Vec::new(), last: 0, receiver: None }
    }

    /// What stands for a sender.
    fn sender(&mut self, address: &Address, place: usize) -> Option<Obj> {
        match self.senders.get(place) {
            Some(Some((known, object))) if known.bytes() == address.bytes() => {
                self.last = place;
                Some(object.clone())
            }
            _ => None,
        }
    }

    /// Remembers a sender. Gives back whoever had its place, to be dropped by the caller (R2).
    fn remember(&mut self, address: Address, place: usize, object: Obj) -> Option<(Address, Obj)> {
        if self.senders.is_empty() {
            self.senders.resize_with(FAMILIAR, || None);
        }
        self.last = place;
        self.senders[place].replace((address, object))
    }

    /// The address that this very object stands for.
    fn receiver(&self, object: &Bound<'_, PyAny>) -> Option<&Address> {
        [self.senders.get(self.last).and_then(Option::as_ref), self.receiver.as_ref()]
            .into_iter()
            .flatten()
            .find_map(|(address, known)| known.is(object).then_some(address))
    }
}

/// Where a sender is remembered; only those of the internet are.
fn place(address: &Address) -> Option<usize> {
    let [_, _, high, low, host @ ..] = address.bytes() else { return None };
    let port = u32::from(u16::from_be_bytes([*high, *low]));
    let (words, _) = host.as_chunks::<4>();
    let sum = words.iter().fold(0_u32, |sum, word| sum.wrapping_mul(31).wrapping_add(u32::from_le_bytes(*word)));
    // The multiplication moves the last part of the host, which tells neighbours apart, to where the remainder is taken.
    let spread = sum.wrapping_mul(0x9e37_79b1) >> 16;
    address.is_internet().then(|| (port.wrapping_add(spread)) as usize % FAMILIAR)
}

/// Where a datagram came from, as `socket.recvfrom` would give it.
pub(crate) fn sender<'py>(event_loop: &Bound<'py, LoopCore>, address: Option<Address>) -> PyResult<Bound<'py, PyAny>> {
    let py = event_loop.py();
    let Some(address) = address else { return Ok(py.None().into_bound(py)) };
    let Some(place) = place(&address) else { return to_python(py, Some(&address)) };
    let familiar = &event_loop.get().familiar;
    if let Some(known) = familiar.with(py, |familiar| familiar.sender(&address, place)) {
        return Ok(known.into_bound(py));
    }
    let made = to_python(py, Some(&address))?;
    let object = Obj::from(made.clone());
    drop(familiar.with(py, |familiar| familiar.remember(address, place, object)));
    Ok(made)
}

/// The address as `socket.recvfrom` would give it.
pub(crate) fn to_python<'py>(py: Python<'py>, address: Option<&Address>) -> PyResult<Bound<'py, PyAny>> {
    let Some(address) = address else { return Ok(py.None().into_bound(py)) };
    Ok(match address.endpoint() {
        Endpoint::V4(ip, port) => (ip.to_string(), port).into_pyobject(py)?.into_any(),
        Endpoint::V6(ip, port, flow, scope) => (version_6(&ip), port, flow, scope).into_pyobject(py)?.into_any(),
        Endpoint::Unix([]) => PyString::new(py, "").into_any(),
        Endpoint::Unix(name @ [0, ..]) => PyBytes::new(py, name).into_any(),
        Endpoint::Unix(path) => py.import("os")?.call_method1(intern!(py, "fsdecode"), (PyBytes::new(py, path),))?,
        Endpoint::Other { family, raw } => (family, PyBytes::new(py, raw)).into_pyobject(py)?.into_any(),
    })
}

/// The text that `inet_ntop` gives, without a zone: Python leaves that to the tuple's last part. The standard library
/// differs in one form only, addresses that once stood for ones of version 4 (`::1.2.3.4`).
fn version_6(ip: &Ipv6Addr) -> String {
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => {
            format!("::{}", Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
        }
        _ => ip.to_string(),
    }
}

/// The address that a program gave to `sendto`.
///
/// Numeric addresses are read here. Anything else, a host name above all, goes to Python's own `socket` module, whose
/// answers and complaints are the ones that asyncio's users know.
///
/// # Errors
/// What `socket` raises: `TypeError`, `OverflowError`, `socket.gaierror`.
pub(crate) fn from_python(
    event_loop: &Bound<'_, LoopCore>,
    transport: &Bound<'_, PyAny>,
    address: &Bound<'_, PyAny>,
) -> PyResult<Address> {
    let py = event_loop.py();
    let familiar = &event_loop.get().familiar;
    if let Some(known) = familiar.with(py, |familiar| familiar.receiver(address).cloned()) {
        return Ok(known);
    }
    if let Some(found) = numeric(address) {
        if is_constant(address) {
            let entry = (found.clone(), Obj::from(address.clone()));
            drop(familiar.with(py, |familiar| familiar.receiver.replace(entry)));
        }
        return Ok(found);
    }
    let resolved = event_loop.call_method1(intern!(py, "_resolve_datagram_address"), (transport, address))?;
    if let Some(address) = numeric(&resolved) {
        return Ok(address);
    }
    let name = if let Ok(path) = resolved.cast::<PyBytes>() {
        path.as_bytes().to_vec()
    } else {
        py.import("os")?.call_method1(intern!(py, "fsencode"), (&resolved,))?.extract::<Vec<u8>>()?
    };
    Address::new(&Endpoint::Unix(&name)).map_err(|code| os_error_about(py, code, "not a Unix socket's path"))
}

/// Whether an address can never mean anything else: a plain tuple of plain parts.
fn is_constant(address: &Bound<'_, PyAny>) -> bool {
    let plain =
        |part: Bound<'_, PyAny>| part.is_exact_instance_of::<PyString>() || part.is_exact_instance_of::<PyInt>();
    address.cast_exact::<PyTuple>().is_ok_and(|parts| parts.iter().all(plain))
}

/// The family's number and the address, as `socket.getaddrinfo` would give it, of a host that is an address already and
/// has no zone.
#[pyfunction]
pub(crate) fn numeric_address<'py>(
    py: Python<'py>,
    host: &str,
    port: u16,
) -> PyResult<Option<(i32, Bound<'py, PyAny>)>> {
    let endpoint = match (host.parse::<Ipv4Addr>(), host.parse::<Ipv6Addr>()) {
        (Ok(ip), _) => Endpoint::V4(ip, port),
        (_, Ok(ip)) => Endpoint::V6(ip, port, 0, 0),
        _ => return Ok(None),
    };
    let address = Address::new(&endpoint).map_err(|code| os_error_about(py, code, "no address"))?;
    Ok(Some((address.family(), to_python(py, Some(&address))?)))
}

/// The family of a host that is an address already, as its number; 0 if it is none, or has a zone.
#[pyfunction]
pub(crate) fn numeric_family(host: &str) -> i32 {
    if host.parse::<Ipv4Addr>().is_ok() {
        INET
    } else if host.parse::<Ipv6Addr>().is_ok() {
        INET6
    } else {
        0
    }
}

/// A tuple of a numeric host and a port, with flow information and scope for IPv6.
pub(crate) fn numeric(address: &Bound<'_, PyAny>) -> Option<Address> {
    let tuple = address.cast::<PyTuple>().ok()?;
    let host = tuple.get_item(0).ok()?;
    let host = host.cast::<PyString>().ok()?.to_str().ok()?;
    let port = tuple.get_item(1).ok()?.extract::<u16>().ok()?;
    let endpoint = match (host.parse::<Ipv4Addr>(), tuple.len()) {
        (Ok(ip), 2) => Endpoint::V4(ip, port),
        (Ok(_), _) => return None,
        (Err(_), length @ 2..=4) => {
            let ip = host.parse::<Ipv6Addr>().ok()?;
            let number = |index| if index < length { tuple.get_item(index).ok()?.extract().ok() } else { Some(0) };
            Endpoint::V6(ip, port, number(2)?, number(3)?)
        }
        _ => return None,
    };
    Address::new(&endpoint).ok()
}
