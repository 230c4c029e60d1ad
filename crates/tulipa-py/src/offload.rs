//! Calls that block, on threads of the loop's own, and the way back from there.
//!
//! Those threads never touch Python. Each question comes with a handle, made when it is asked; the thread that has the
//! answer stores it, as plain data, and moves the handle into the loop's inbox. The loop runs the handle as it runs
//! what any thread sent, and Python's objects are made there, by whoever asks for the result.

use std::sync::{Arc, OnceLock};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use tulipa_core::Inbox;
use tulipa_sys::Waker;
use tulipa_sys::pool::{Id, Limits, Pool};

use crate::event_loop::LoopCore;
use crate::ffi::object::Obj;
use crate::handle;

/// Where the thread that has the answer leaves it.
pub(crate) type Landing<A> = Arc<OnceLock<A>>;

/// What a question is asked with: where the answer goes, and the handle that tells of it.
pub(crate) struct Ticket<A> {
    landing: Landing<A>,
    handle: Obj,
}

/// Threads of one loop, which belong to it so that a loop made after `fork` starts with none of its parent's.
pub(crate) type Offload<Q, A> = Pool<Q, A, Ticket<A>>;

/// A pool without threads that delivers to this inbox. It keeps the waker until it is closed, which must be before the
/// inbox is emptied for the last time.
pub(crate) fn pool<Q: Send + 'static, A: Send + Sync + 'static>(
    limits: Limits,
    inbox: Arc<Inbox<Obj>>,
    waker: Waker,
    work: impl Fn(Q) -> A + Send + Sync + 'static,
) -> Offload<Q, A> {
    Pool::new(limits, work, move |Ticket { landing, handle }, answer| {
        // Nobody else fills this landing, so that nothing is refused here.
        let _ = landing.set(answer);
        // Whoever is told lets go of the answer when it likes, and with it of what the answer keeps open.
        drop(landing);
        inbox.push(handle, &waker);
    })
}

/// Has `landed` called on the loop once the question is answered; where the answer will be.
///
/// # Errors
/// `RuntimeError` if the loop was closed or the system gives no thread to do what `purpose` says.
pub(crate) fn ask<Q: Send + 'static, A: Send + Sync + 'static>(
    pool: &Offload<Q, A>,
    event_loop: &Bound<'_, LoopCore>,
    question: Q,
    landed: &Bound<'_, PyAny>,
    purpose: &str,
) -> PyResult<(Id, Landing<A>)> {
    let py = event_loop.py();
    event_loop.get().check_usable()?;
    let handle = handle::new_handle(event_loop, landed, PyTuple::empty(py), None)?;
    handle::track(&handle);
    let landing = Landing::default();
    match pool.ask(question, Ticket { landing: Arc::clone(&landing), handle: handle.into() }) {
        Ok(id) => Ok((id, landing)),
        Err((refused, ticket)) => {
            drop(ticket);
            Err(PyRuntimeError::new_err(format!("can't start new thread to {purpose}: {refused}")))
        }
    }
}
