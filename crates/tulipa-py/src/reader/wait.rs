//! A read that waits for bytes: what `StreamReader._wait_for_data` does, and the read itself once there are some.

use std::cell::Cell;

use pyo3::exceptions::PyRuntimeError;
use pyo3::exceptions::asyncio::InvalidStateError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyBytes, PyDict, PyTuple, PyType};

use super::read::{Found, Wanted, look};
use super::{Served, serve};
use crate::ffi::awaitable::{self, Awaitable};
use crate::ffi::call::method0;
use crate::ffi::native_type::Fields;
use crate::ffi::pool::{PooledClass, pooled, track};
use crate::ffi::slot::{SlotTable, Slots};
use crate::future;

const SLOTS: [&str; 4] = ["reader", "future", "separator", "taken"];
const READER: usize = 0;
const FUTURE: usize = 1;
const SEPARATOR: usize = 2;
/// What was read, once there is something.
const TAKEN: usize = 3;

/// [`Wanted`], without its object.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Kind {
    Some = 0,
    Exactly,
    Until,
}

#[repr(C)]
pub(super) struct WaitFields {
    number: Cell<usize>,
    kind: Cell<Kind>,
    /// The future was handed to whoever awaits this.
    awaited: Cell<bool>,
}

// SAFETY: plain data, of which zeroes are valid; no slots.
unsafe impl Fields for WaitFields {
    const MEMBERS: &'static [(&'static std::ffi::CStr, usize)] = &[];
}

pooled!(WaitFields);

struct Types {
    wait: PooledClass<WaitFields>,
    slots: SlotTable<4>,
}

fn types(py: Python<'_>) -> PyResult<&'static Types> {
    static TYPES: PyOnceLock<Types> = PyOnceLock::new();
    TYPES.get_or_try_init(py, || {
        let members = PyDict::new(py);
        members.set_item("__slots__", PyTuple::new(py, SLOTS)?)?;
        let base = py.get_type::<PyType>().call1(("ReadWaitSlots", PyTuple::empty(py), members))?;
        let base = base.cast_into::<PyType>()?;
        let wait = awaitable::make(c"tulipa._native.ReadWait", c"A read that waits for bytes.", &base)?;
        Ok(Types { slots: SlotTable::find(wait.class().class(py), SLOTS)?, wait })
    })
}

/// Has the reader wait for bytes, and gives what is to be awaited; or `None` if that is asyncio's to do.
pub(super) fn begin<'py>(
    reader: &Bound<'py, PyAny>,
    served: &Served<'py>,
    wanted: Wanted<'py>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = reader.py();
    let free = served.is(intern!(py, "_waiter"), py.None().bind(py));
    let future = if free { new_waiter(served)? } else { None };
    let Some(future) = future else { return Ok(py.None().into_bound(py)) };
    let types = types(py)?;
    let wait = types.wait.alloc(py)?;
    if let (Some(slots), Some(fields)) = (types.slots.of(&wait), types.wait.class().fields(&wait)) {
        slots.at(READER).set(reader.clone());
        slots.at(FUTURE).set(future);
        slots.at(TAKEN).fill_empty(py);
        keep(&slots, fields, wanted);
    }
    track(&wait);
    Ok(wait)
}

fn keep<'py>(slots: &Slots<'_, 4>, fields: &WaitFields, wanted: Wanted<'py>) {
    let (kind, number) = match wanted {
        Wanted::Some(size) => (Kind::Some, size),
        Wanted::Exactly(size) => (Kind::Exactly, size),
        Wanted::Until(separator, from) => {
            slots.at(SEPARATOR).set(separator.into_any());
            (Kind::Until, from)
        }
    };
    fields.kind.set(kind);
    fields.number.set(number);
}

/// A future that ends when bytes arrive, as the reader's waiter. `None` if something else has to be done first.
fn new_waiter<'py>(served: &Served<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = served.py();
    let no = PyBool::new(py, false).to_owned().into_any();
    if !served.is(intern!(py, "_eof"), &no) || !served.is(intern!(py, "_paused"), &no) {
        return Ok(None);
    }
    let Some(event_loop) = served.attributes.get(intern!(py, "_loop")) else { return Ok(None) };
    let waiter = future::of_loop(&event_loop)?;
    if !future::is_plain(&waiter)? {
        return Ok(None);
    }
    served.attributes.set(intern!(py, "_waiter"), &waiter)?;
    Ok(Some(waiter))
}

impl Awaitable for WaitFields {
    fn next<'py>(wait: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = wait.py();
        let types = types(py)?;
        let (Some(slots), Some(fields)) = (types.slots.of(wait), types.wait.class().fields(wait)) else {
            return Ok(None);
        };
        let Some(future) = slots.at(FUTURE).get(py) else { return Ok(None) };
        if !fields.awaited.replace(true) {
            return hand_out(future).map(Some);
        }
        if let Err(error) = method0(&future, intern!(py, "result")) {
            return Err(if error.is_instance_of::<InvalidStateError>(py) {
                // What a future says itself.
                PyRuntimeError::new_err("await wasn't used with future")
            } else {
                error
            });
        }
        drop(slots.at(FUTURE).take(py));
        let Some(reader) = slots.at(READER).get(py) else { return Ok(None) };
        let Some(served) = serve(&reader)? else { return Ok(None) };
        let number = fields.number.get();
        let wanted = match fields.kind.get() {
            Kind::Some => Wanted::Some(number),
            Kind::Exactly => Wanted::Exactly(number),
            Kind::Until => match slots.at(SEPARATOR).get(py).map(Bound::cast_into::<PyBytes>) {
                Some(Ok(separator)) => Wanted::Until(separator, number),
                _ => return Ok(None),
            },
        };
        match look(&served, wanted)? {
            Found::Bytes(bytes) => slots.at(TAKEN).set(bytes.into_any()),
            Found::Unusual => {}
            Found::NotYet(wanted) => {
                let Some(future) = new_waiter(&served)? else { return Ok(None) };
                keep(&slots, fields, wanted);
                slots.at(FUTURE).set(future.clone());
                return hand_out(future).map(Some);
            }
        }
        Ok(None)
    }
}

/// Marks a future as one that is awaited, as its own iterator does.
fn hand_out(future: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
    let py = future.py();
    future.setattr(intern!(py, "_asyncio_future_blocking"), PyBool::new(py, true))?;
    Ok(future)
}
