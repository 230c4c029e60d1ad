//! The transport that the program gets: `write` and `writelines`; `tulipa._tls_transport.SSLTransport` has the rest.

use std::cell::Cell;
use std::ffi::CStr;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

use super::{TlsCore, flow};
use crate::ffi::native_type::{Fields, NativeClass, members};
use crate::ffi::raw::{Arguments, method, table};
use crate::ffi::slot::Slot;
use crate::host::Chunk;

/// How many writes after the end go by in silence; asyncio's number.
const DROPPED_IN_SILENCE: u32 = 5;

#[repr(C)]
struct TlsTransportFields {
    protocol: Slot,
    /// How many writes were dropped after the end.
    dropped: Cell<u32>,
}

// SAFETY: `repr(C)`; a null slot and zero are valid; no drop; the slot is named.
unsafe impl Fields for TlsTransportFields {
    const MEMBERS: &'static [(&'static CStr, usize)] = members!(TlsTransportFields:
        c"_ssl_protocol" = protocol,
    );
}

static TYPE: PyOnceLock<NativeClass<TlsTransportFields>> = PyOnceLock::new();

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let class = TYPE.get_or_try_init(py, || {
        // asyncio asks for this base before it sends a file over a transport by reading and writing.
        let base = py.import("asyncio.transports")?.getattr("_FlowControlMixin")?.cast_into::<PyType>()?;
        NativeClass::make(
            c"tulipa._native.TlsTransportCore",
            c"The native half of TLS transports.",
            &base,
            table(vec![
                method!(
                    c"write",
                    vector,
                    write,
                    c"write($self, data)\n--\n\nWrite bytes; returns at once, and they leave encrypted with this turn."
                ),
                method!(
                    c"writelines",
                    vector,
                    writelines,
                    c"writelines($self, list_of_data)\n--\n\nWrite an iterable of bytes-like objects."
                ),
            ]),
        )
    })?;
    module.add("TlsTransportCore", class.class(py))
}

fn write<'py>(transport: &Bound<'py, PyAny>, args: Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    let [data] = args.exactly("write", ["data"])?;
    put(transport, [flow::check(data)?])
}

fn writelines<'py>(transport: &Bound<'py, PyAny>, args: Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    let [lines] = args.exactly("writelines", ["list_of_data"])?;
    // All of them are looked at before the first is queued: a bad one in the middle must not leave half a message.
    let chunks = lines.try_iter()?.map(|line| flow::check(&line?)).collect::<PyResult<Vec<Chunk>>>()?;
    put(transport, chunks)
}

fn put<'py>(transport: &Bound<'py, PyAny>, chunks: impl IntoIterator<Item = Chunk>) -> PyResult<Bound<'py, PyAny>> {
    let py = transport.py();
    let Some(fields) = TYPE.get(py).and_then(|class| class.fields(transport)) else {
        return Err(PyTypeError::new_err("not a TLS transport of tulipa's"));
    };
    // Without a protocol the transport is over.
    let taken = match fields.protocol.get(py).map(|protocol| protocol.cast_into::<TlsCore>()) {
        Some(Ok(protocol)) => flow::write(&protocol, chunks)?,
        _ => false,
    };
    if !taken {
        let dropped = fields.dropped.get().saturating_add(1);
        if dropped > DROPPED_IN_SILENCE {
            py.import("asyncio.log")?.getattr("logger")?.call_method1("warning", ("SSL connection is closed",))?;
        }
        fields.dropped.set(dropped);
    }
    Ok(py.None().into_bound(py))
}
