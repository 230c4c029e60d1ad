//! Handing bytes out: the usual case of `StreamReader.read`, `readexactly` and `readuntil`.
//!
//! Each function gives `bytes`, or a [`wait`] that has them once it was awaited, or `None`, as a wait may in the end: then
//! asyncio's own method must be called.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyInt};

use super::wait;
use super::{Served, serve};
use crate::ffi::bytearray::{self, LARGE};
use crate::ffi::call::method1;
use crate::ffi::raw::{Arguments, method};

pub(super) fn functions() -> Vec<pyo3::ffi::PyMethodDef> {
    vec![
        method!(c"read_some", vector, read_some, c"read_some($module, reader, n, /)\n--\n\nAt most n bytes."),
        method!(c"read_exactly", vector, read_exactly, c"read_exactly($module, reader, n, /)\n--\n\nn bytes."),
        method!(
            c"read_until",
            vector,
            read_until,
            c"read_until($module, reader, separator, /)\n--\n\nBytes up to and with a separator."
        ),
    ]
}

/// What is to be read.
#[derive(Clone)]
pub(super) enum Wanted<'py> {
    /// At most so many bytes, but one.
    Some(usize),
    Exactly(usize),
    /// All up to a separator, which does not begin before the number given.
    Until(Bound<'py, PyBytes>, usize),
}

/// What was found.
pub(super) enum Found<'py> {
    Bytes(Bound<'py, PyBytes>),
    /// More must arrive.
    NotYet(Wanted<'py>),
    /// Asyncio's own method must see to it.
    Unusual,
}

fn read_some<'py>(module: &Bound<'py, PyAny>, args: Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    let [reader, size] = args.exactly("read_some", ["reader", "n"])?;
    begin(module.py(), reader, count(size).map(Wanted::Some))
}

fn read_exactly<'py>(module: &Bound<'py, PyAny>, args: Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    let [reader, size] = args.exactly("read_exactly", ["reader", "n"])?;
    begin(module.py(), reader, count(size).map(Wanted::Exactly))
}

fn read_until<'py>(module: &Bound<'py, PyAny>, args: Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    let [reader, separator] = args.exactly("read_until", ["reader", "separator"])?;
    let separator = separator.cast_exact::<PyBytes>().ok().filter(|separator| !separator.as_bytes().is_empty());
    begin(module.py(), reader, separator.map(|separator| Wanted::Until(separator.clone(), 0)))
}

/// The length to be read, if there is anything usual about it.
#[inline]
fn count(size: &Bound<'_, PyAny>) -> Option<usize> {
    size.cast_exact::<PyInt>().ok()?.extract::<usize>().ok().filter(|size| *size > 0)
}

#[inline]
fn begin<'py>(py: Python<'py>, reader: &Bound<'py, PyAny>, wanted: Option<Wanted<'py>>) -> PyResult<Bound<'py, PyAny>> {
    let asyncios = || Ok(py.None().into_bound(py));
    let (Some(wanted), Some(served)) = (wanted, serve(reader)?) else { return asyncios() };
    if !served.is(intern!(py, "_exception"), py.None().bind(py)) {
        return asyncios();
    }
    if matches!(wanted, Wanted::Some(_)) && served.buffer.is_empty() && !is_at_end(&served) {
        return wait::begin(reader, &served, wanted);
    }
    match look(&served, wanted)? {
        Found::Bytes(bytes) => Ok(bytes.into_any()),
        Found::NotYet(wanted) => wait::begin(reader, &served, wanted),
        Found::Unusual => asyncios(),
    }
}

fn is_at_end(served: &Served<'_>) -> bool {
    let py = served.py();
    served.is(intern!(py, "_eof"), PyBool::new(py, true).as_any())
}

/// Takes what is wanted out of the buffer, if it is there.
pub(super) fn look<'py>(served: &Served<'py>, wanted: Wanted<'py>) -> PyResult<Found<'py>> {
    let here = served.buffer.len();
    let size = match wanted {
        Wanted::Some(size) => size,
        Wanted::Exactly(size) if size <= here => size,
        Wanted::Exactly(_) => return Ok(Found::NotYet(wanted)),
        Wanted::Until(separator, from) => {
            let Some(limit) = served.limit()? else { return Ok(Found::Unusual) };
            let length = separator.as_bytes().len();
            if here < from + length {
                return Ok(Found::NotYet(Wanted::Until(separator, from)));
            }
            match find(served, &separator, from)? {
                Some(start) if start <= limit => start + length,
                Some(_) => return Ok(Found::Unusual),
                // The end of what is there may be the beginning of a separator.
                None => {
                    let from = (here + 1).saturating_sub(length);
                    let next =
                        if from > limit { Found::Unusual } else { Found::NotYet(Wanted::Until(separator, from)) };
                    return Ok(next);
                }
            }
        }
    };
    take(served, size).map(Found::Bytes)
}

/// Where the separator begins, at `from` or behind it.
fn find(served: &Served<'_>, separator: &Bound<'_, PyBytes>, from: usize) -> PyResult<Option<usize>> {
    let name = intern!(served.py(), "find");
    let found = match from {
        0 => method1(&served.buffer, name, separator)?,
        _ => served.buffer.call_method1(name, (separator, from))?,
    };
    Ok(usize::try_from(found.extract::<isize>()?).ok())
}

/// Bytes from the front of the buffer; lets a transport that was stopped go on.
#[inline]
fn take<'py>(served: &Served<'py>, size: usize) -> PyResult<Bound<'py, PyBytes>> {
    let py = served.py();
    let left = served.buffer.len().saturating_sub(size);
    let taken = if served.buffer.len() >= LARGE && left < LARGE {
        let (taken, rest) = bytearray::split(&served.buffer, size);
        served.attributes.set(intern!(py, "_buffer"), rest.as_any())?;
        taken
    } else {
        bytearray::take_front(&served.buffer, size)?
    };
    if !served.is(intern!(py, "_paused"), PyBool::new(py, false).as_any()) {
        resume(served, left)?;
    }
    Ok(taken)
}

/// Lets the transport go on if no more is `left` than the limit allows.
#[cold]
fn resume(served: &Served<'_>, left: usize) -> PyResult<()> {
    let py = served.py();
    if served.limit()?.is_none_or(|limit| left > limit) {
        return Ok(());
    }
    served.attributes.set(intern!(py, "_paused"), PyBool::new(py, false).as_any())?;
    match served.attributes.get(intern!(py, "_transport")) {
        Some(transport) => transport.call_method0(intern!(py, "resume_reading")).map(drop),
        None => Ok(()),
    }
}
