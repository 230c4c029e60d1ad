//! Making transports.

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyType};
use tulipa_core::Ends;
use tulipa_sys::{Descriptor, Source};

use super::{TYPES, TransportFields, fields};
use crate::error::os_error_about;
use crate::event_loop::{LoopCore, State};
use crate::ffi::call::copy_current_context;
use crate::ffi::object::Obj;
use crate::ffi::raw::{Arguments, method};
use crate::host::Owner;
use crate::sharing;

pub(crate) fn methods() -> Vec<pyo3::ffi::PyMethodDef> {
    vec![
        method!(
            c"_open_transport",
            vector,
            open_transport,
            c"Make a transport: (class, kind, file, protocol, waiter, extra, server, context, address)."
        ),
        method!(c"_ensure_fd_unused", onearg, ensure_unused, c"Raise if the loop already uses the file's descriptor."),
    ]
}

/// What a transport is made over.
#[derive(Clone, Copy)]
enum Kind {
    Socket,
    Reader,
    Writer,
    Datagram,
}

impl Kind {
    fn named(name: &str) -> PyResult<Self> {
        Ok(match name {
            "socket" => Self::Socket,
            "reader" => Self::Reader,
            "writer" => Self::Writer,
            "datagram" => Self::Datagram,
            _ => return Err(PyTypeError::new_err(format!("there is no kind of transport named {name:?}"))),
        })
    }
}

/// What `get_extra_info` is to look into.
pub(crate) enum Extra<'py> {
    Info(Bound<'py, PyAny>),
    /// As [`packed_names`](crate::packed_names) packs them.
    Names(Bound<'py, PyBytes>),
}

/// What a new transport starts with.
pub(crate) struct Parts<'py> {
    /// Nothing if it follows, by [`set_protocol`].
    pub(crate) protocol: Option<Bound<'py, PyAny>>,
    pub(crate) server: Option<Bound<'py, PyAny>>,
    pub(crate) waiter: Option<Bound<'py, PyAny>>,
    pub(crate) context: Bound<'py, PyAny>,
    pub(crate) extra: Extra<'py>,
}

/// A transport of `class` that is not open yet.
pub(crate) fn prepare<'py>(
    event_loop: &Bound<'py, LoopCore>,
    class: &Bound<'py, PyType>,
    parts: Parts<'py>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = event_loop.py();
    let types = TYPES.get(py).ok_or_else(|| PyRuntimeError::new_err("tulipa is not initialised"))?;
    let transport = types.common.alloc(class)?;
    let own = fields(&transport)?;
    own.fd.set(-1);
    own.event_loop.set(event_loop.clone().into_any());
    own.context.set(parts.context);
    if let Some(protocol) = parts.protocol {
        set_protocol(own, protocol)?;
    }
    if let Some(waiter) = parts.waiter {
        own.waiter.set(waiter);
    }
    if let Some(server) = parts.server {
        own.server.set(server);
    }
    match parts.extra {
        Extra::Info(info) => transport.setattr(intern!(py, "_extra"), info)?,
        Extra::Names(names) => own.names.set(names.into_any()),
    }
    own.fill_empty(py);
    Ok(transport)
}

/// Gives a new transport its protocol.
///
/// # Errors
/// What is no protocol is refused here, as on asyncio, and not when the program has long gone on.
pub(crate) fn set_protocol(own: &TransportFields, protocol: Bound<'_, PyAny>) -> PyResult<()> {
    protocol.getattr(intern!(protocol.py(), "connection_made"))?;
    own.set_protocol(protocol)
}

/// Hands a descriptor to the core under the name of `transport`, and schedules `connection_made`.
pub(crate) fn launch(
    event_loop: &Bound<'_, LoopCore>,
    transport: &Bound<'_, PyAny>,
    own: &TransportFields,
    fd: i32,
    source: Source,
    ends: Option<Ends>,
) {
    let owner = Owner::Transport(Obj::from(transport.clone()));
    let token = event_loop.get().with(event_loop.py(), |state| {
        let token = match ends {
            Some(ends) => state.core.open_stream(source, owner, ends),
            None => state.core.open_datagram(source, owner),
        };
        state.owners.insert(fd, token);
        sharing::opened(state, fd, token);
        token
    });
    own.token.set(token.to_bits());
    own.fd.set(fd);
    own.open.set(true);
}

/// Makes sure that nobody else uses a descriptor that a transport is to own (G12).
///
/// # Errors
/// `RuntimeError` if another transport, a callback of the program's or a waiting operation does.
pub(crate) fn claim(event_loop: &Bound<'_, LoopCore>, fd: i32) -> PyResult<()> {
    let py = event_loop.py();
    let owner = event_loop.get().with(py, |state| {
        let token = state.owners.get(&fd).copied().filter(|token| !state.core.is_closing(*token))?;
        state.core.transport(token).map(|owner| owner.object().clone())
    });
    if let Some(owner) = owner {
        let owner = owner.into_bound(py);
        // A socket that was closed behind its transport's back has left its number to the next one (R6).
        let holds = match fields(&owner)?.file.get(py) {
            Some(file) => file.call_method0(intern!(py, "fileno"))?.extract::<i32>()? == fd,
            None => true,
        };
        if holds {
            let message = format!("File descriptor {fd} is used by transport {}", owner.repr()?);
            return Err(PyRuntimeError::new_err(message));
        }
    }
    let idle = event_loop.get().with(py, |state| {
        let State { core, watches, .. } = state;
        match watches.get(&fd) {
            Some(watched) if core.is_idle(watched.token) => {
                let remains = core.unwatch(watched.token);
                Ok((remains, watches.remove(&fd)))
            }
            Some(_) => Err(()),
            None => Ok((None, None)),
        }
    });
    match idle {
        Ok(released) => {
            drop(released);
            Ok(())
        }
        Err(()) => Err(PyRuntimeError::new_err(format!(
            "File descriptor {fd} is watched by add_reader(), add_writer() or a pending sock_*() operation; remove it \
             or wait for it before a transport takes the descriptor over"
        ))),
    }
}

fn ensure_unused<'py>(object: &Bound<'py, PyAny>, file: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    claim(LoopCore::of(object)?, file.call_method0(intern!(py, "fileno"))?.extract()?)?;
    Ok(py.None().into_bound(py))
}

fn open_transport<'py>(object: &Bound<'py, PyAny>, args: Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    let event_loop = LoopCore::of(object)?;
    event_loop.get().check_usable()?;
    let [class, kind, file, protocol, waiter, extra, server, context, address] = args.positional else {
        return Err(PyTypeError::new_err("_open_transport() takes nine arguments"));
    };
    let kind = Kind::named(&kind.extract::<String>()?)?;
    let fd: i32 = file.call_method0(intern!(py, "fileno"))?.extract()?;
    claim(event_loop, fd)?;
    if matches!(kind, Kind::Socket | Kind::Reader | Kind::Datagram) {
        sharing::claim_transport(event_loop, fd)?;
    }
    let lent = Descriptor::Lent(fd);
    let source = match kind {
        Kind::Socket => Source::socket(lent),
        Kind::Reader => Source::pipe_reader(lent),
        Kind::Writer => Source::pipe_writer(lent),
        Kind::Datagram => Source::datagram(lent),
    };
    let source =
        source.map_err(|code| os_error_about(py, code, &format!("descriptor {fd} cannot be used without blocking")))?;
    let ends = match kind {
        Kind::Socket => Some(Ends::Both),
        Kind::Reader => Some(Ends::Read),
        Kind::Writer => Some(Ends::Write { watch_peer: source.watches_peer() }),
        Kind::Datagram => None,
    };
    let some = |value: &Bound<'py, PyAny>| (!value.is_none()).then(|| value.clone());
    let parts = Parts {
        protocol: Some(protocol.clone()),
        server: some(server),
        waiter: some(waiter),
        context: match some(context) {
            Some(context) => context,
            None => copy_current_context(py)?,
        },
        extra: Extra::Info(extra.clone()),
    };
    let transport = prepare(event_loop, &class.clone().cast_into::<PyType>()?, parts)?;
    let own = fields(&transport)?;
    own.file.set(file.clone());
    own.one_way.set(matches!(kind, Kind::Reader));
    if let Some(address) = some(address) {
        own.address.set(address);
    }
    if let Some(server) = own.server.get(py) {
        attach(&server, &transport)?;
    }
    launch(event_loop, &transport, own, fd, source, ends);
    Ok(transport)
}

/// Counts a connection in at its server.
pub(crate) fn attach(server: &Bound<'_, PyAny>, transport: &Bound<'_, PyAny>) -> PyResult<()> {
    counted(server, intern!(server.py(), "_attach"), transport)
}

/// Counts a connection out.
pub(crate) fn detach(server: &Bound<'_, PyAny>, transport: &Bound<'_, PyAny>) -> PyResult<()> {
    counted(server, intern!(server.py(), "_detach"), transport)
}

fn counted(
    server: &Bound<'_, PyAny>,
    method: &Bound<'_, pyo3::types::PyString>,
    transport: &Bound<'_, PyAny>,
) -> PyResult<()> {
    // Servers know their transports by name from 3.13 on, and only their number before (T8).
    if cfg!(Py_3_13) {
        server.call_method1(method, (transport,))?;
    } else {
        server.call_method0(method)?;
    }
    Ok(())
}
