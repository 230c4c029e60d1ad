//! Sockets that a program has under two numbers, as `dup` makes them (R6, G12).
//!
//! Both numbers lead to one queue: what one reader takes, the other never sees. So a second reader of a socket that a
//! transport reads is refused, and a transport for a socket that the program reads itself under another number. A
//! transport that is paused or closing takes nothing, and may be read beside.
//!
//! One fstat(2) for each registration and each `sock_recv` before it, and from the first on for each new connection, is
//! the price; nothing is asked for per operation on what is registered. What is remembered is checked when it matters, and swept now and then, rather than kept exact.

use std::collections::HashMap;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tulipa_core::{Direction, Token};
use tulipa_sys::socket;

use crate::event_loop::{LoopCore, State};
use crate::ffi::object::Obj;

/// Fewer stale entries than this are not worth a sweep.
const STALE_MIN: usize = 64;

/// Who reads which socket, by the socket's inode, which all numbers of it have in common.
#[derive(Default)]
pub(crate) struct Sharing {
    /// The number and the token of the transport that does.
    transports: HashMap<u64, (i32, Token)>,
    /// The number under which the program itself reads.
    readers: HashMap<u64, i32>,
    /// Somebody has asked, so that the transports are known.
    asked: bool,
}

/// Takes note of a transport that was opened.
pub(crate) fn opened(state: &mut State, fd: i32, token: Token) {
    if state.sharing.asked
        && let Some(inode) = socket::inode(fd)
    {
        state.sharing.transports.insert(inode, (fd, token));
        if state.sharing.transports.len() > 2 * state.owners.len() + STALE_MIN {
            let State { core, sharing, .. } = state;
            sharing.transports.retain(|_, (_, token)| core.transport(*token).is_some());
        }
    }
}

/// The transport that reads the same socket under another number than `fd`, if there is one.
fn reading_transport(state: &mut State, fd: i32, inode: u64) -> Option<Obj> {
    let State { core, owners, sharing, .. } = state;
    if !std::mem::replace(&mut sharing.asked, true) {
        let transports = owners.iter().filter(|(_, token)| core.transport(**token).is_some());
        sharing.transports = transports.filter_map(|(fd, token)| Some((socket::inode(*fd)?, (*fd, *token)))).collect();
    }
    let &(known, token) = sharing.transports.get(&inode)?;
    // A number that was closed behind its transport's back may be that of the next socket.
    let shared = known != fd && core.takes_input(token) && socket::inode(known) == Some(inode);
    shared.then(|| core.transport(token).map(|owner| owner.object().clone())).flatten()
}

/// The number other than `fd` under which the program reads the same socket, if it does.
fn reader(state: &State, fd: i32, inode: u64) -> Option<i32> {
    let known = *state.sharing.readers.get(&inode)?;
    let token = state.watches.get(&known)?.token;
    let reads = state.core.callback(token, Direction::Read).is_some() || state.core.has_waiters(token, Direction::Read);
    (known != fd && reads && socket::inode(known) == Some(inode)).then_some(known)
}

/// Makes sure that no transport reads the socket that the program is about to read as `fd`.
///
/// # Errors
/// `RuntimeError` that names the transport.
pub(crate) fn claim_reading(event_loop: &Bound<'_, LoopCore>, fd: i32) -> PyResult<()> {
    let py = event_loop.py();
    let found = event_loop.get().with(py, |state| {
        let inode = socket::inode(fd)?;
        if let Some(transport) = reading_transport(state, fd, inode) {
            return Some(transport);
        }
        state.sharing.readers.insert(inode, fd);
        if state.sharing.readers.len() > 2 * state.watches.len() + STALE_MIN {
            let State { watches, sharing, .. } = state;
            sharing.readers.retain(|_, fd| watches.contains_key(fd));
        }
        None
    });
    found.map_or(Ok(()), |transport| Err(shared_with_transport(fd, &transport.into_bound(py))))
}

/// The same for a single attempt that waits for nothing, and so leaves no trace. What the loop watches was asked about
/// when it was registered.
///
/// # Errors
/// `RuntimeError` that names the transport.
pub(crate) fn check_reading(event_loop: &Bound<'_, LoopCore>, fd: i32) -> PyResult<()> {
    let py = event_loop.py();
    let found = event_loop.get().with(py, |state| {
        if state.owners.is_empty() || state.watches.contains_key(&fd) {
            return None;
        }
        let inode = socket::inode(fd)?;
        reading_transport(state, fd, inode)
    });
    found.map_or(Ok(()), |transport| Err(shared_with_transport(fd, &transport.into_bound(py))))
}

/// Makes sure that nobody reads the socket that a transport is about to read as `fd`.
///
/// # Errors
/// `RuntimeError` that names whoever does.
pub(crate) fn claim_transport(event_loop: &Bound<'_, LoopCore>, fd: i32) -> PyResult<()> {
    let py = event_loop.py();
    let (transport, reader) = event_loop.get().with(py, |state| {
        if state.owners.is_empty() && state.sharing.readers.is_empty() {
            return (None, None);
        }
        let Some(inode) = socket::inode(fd) else { return (None, None) };
        (reading_transport(state, fd, inode), reader(state, fd, inode))
    });
    if let Some(transport) = transport {
        return Err(shared_with_transport(fd, &transport.into_bound(py)));
    }
    match reader {
        Some(reader) => Err(PyRuntimeError::new_err(format!(
            "File descriptor {fd} is the socket that add_reader() or a pending sock_*() operation reads as file descriptor \
             {reader}, and what one of them takes the other never sees; remove it or wait for it first"
        ))),
        None => Ok(()),
    }
}

#[cold]
fn shared_with_transport(fd: i32, transport: &Bound<'_, PyAny>) -> PyErr {
    match transport.repr() {
        Ok(name) => PyRuntimeError::new_err(format!(
            "File descriptor {fd} is the socket that is read by transport {name}, and what one of them takes the other \
             never sees; pause or close the transport first"
        )),
        Err(error) => error,
    }
}
