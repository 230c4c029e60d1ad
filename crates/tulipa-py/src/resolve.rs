//! Looking names up: questions and answers between Python and the resolver's threads.
//!
//! How the answers come back is in [`offload`].

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple};
use tulipa_core::Inbox;
use tulipa_sys::Waker;
use tulipa_sys::pool::{Id, Limits};
use tulipa_sys::resolver::{self, Answer, Entry, Failure};

use crate::address;
use crate::error::os_error;
use crate::event_loop::LoopCore;
use crate::ffi::object::Obj;
use crate::ffi::raw::{Arguments, method};
use crate::offload::{self, Landing, Offload};

/// As many as asyncio's executor has on a large machine. They hold no lock of the interpreter's and sleep in the C
/// library, so what bounds them is what a name server may be asked at once.
const LIMITS: Limits = Limits { name: "tulipa-names", threads: 32, idle: Duration::from_secs(1) };

type Landed = Landing<Result<Answer, Failure>>;

/// The threads of one loop for names.
pub(crate) type Resolver = Offload<resolver::Question, Result<Answer, Failure>>;

/// A resolver without threads; see [`offload`](offload::pool).
pub(crate) fn resolver(inbox: Arc<Inbox<Obj>>, waker: Waker) -> Resolver {
    offload::pool(LIMITS, inbox, waker, |question: resolver::Question| question.ask())
}

pub(crate) fn methods() -> Vec<pyo3::ffi::PyMethodDef> {
    vec![
        method!(
            c"_look_up",
            vector,
            look_up,
            c"Have a question answered on a thread: (question, landed); the look-up, of which landed() tells the end."
        ),
        method!(c"_drop_lookup", onearg, drop_lookup, c"Forget a look-up: its landed() is not called any more."),
    ]
}

/// A call of `getaddrinfo` or `getnameinfo`. Two equal ones have the same answer.
#[pyclass(frozen, eq, hash, module = "tulipa._native")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Question(resolver::Question);

#[pymethods]
impl Question {
    /// What `getaddrinfo` is asked.
    #[staticmethod]
    fn addresses(
        host: Option<&[u8]>,
        service: Option<&[u8]>,
        family: i32,
        kind: i32,
        protocol: i32,
        flags: i32,
    ) -> PyResult<Self> {
        let text = |bytes: Option<&[u8]>| bytes.map(CString::new).transpose();
        let (host, service) = (text(host)?, text(service)?);
        Ok(Self(resolver::Question::Addresses { host, service, family, kind, protocol, flags }))
    }

    /// What `getnameinfo` is asked.
    #[staticmethod]
    fn name(host: &[u8], port: i32, flow: u32, scope: u32, flags: i32) -> PyResult<Self> {
        let (host, port) = (CString::new(host)?, CString::new(port.to_string())?);
        Ok(Self(resolver::Question::Name { host, port, flow, scope, flags }))
    }

    /// The answer, if nothing has to be looked up for it; else None. Raises as the look-up does.
    fn answer_at_once<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        if !self.0.is_immediate() {
            return Ok(None);
        }
        to_python(py, &self.0.ask()).map(Some)
    }
}

/// A question that is being answered, or has been.
#[pyclass(frozen, module = "tulipa._native")]
pub(crate) struct Lookup {
    id: Id,
    landing: Landed,
}

#[pymethods]
impl Lookup {
    /// What came out, made anew for each who asks. Raises `socket.gaierror` or `OSError` if that was an error.
    fn result<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.landing.get() {
            Some(answer) => to_python(py, answer),
            None => Err(PyRuntimeError::new_err("the look-up is still under way")),
        }
    }
}

fn look_up<'py>(object: &Bound<'py, PyAny>, args: Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    let event_loop = LoopCore::of(object)?;
    let core = event_loop.get();
    let [question, landed] = args.exactly("_look_up", ["question", "landed"])?;
    let question = question.cast::<Question>()?.get().0.clone();
    core.check_usable()?;
    let (id, landing) = offload::ask(core.resolver(), event_loop, question, landed, "look up a name")?;
    Ok(Bound::new(py, Lookup { id, landing })?.into_any())
}

fn drop_lookup<'py>(object: &Bound<'py, PyAny>, lookup: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let core = LoopCore::of(object)?.get();
    let id = lookup.cast::<Lookup>()?.get().id;
    // In the child of a fork a thread of the parent's may hold the resolver's lock for ever.
    if core.check_usable().is_ok() {
        drop(core.resolver().cancel(id));
    }
    Ok(object.py().None().into_bound(object.py()))
}

/// As the `socket` module gives it, but for the enumerations, which the Python half makes of the numbers.
fn to_python<'py>(py: Python<'py>, answer: &Result<Answer, Failure>) -> PyResult<Bound<'py, PyAny>> {
    match answer {
        Ok(Answer::Addresses(entries)) => {
            let entries = entries.iter().map(|entry| entry_to_python(py, entry)).collect::<PyResult<Vec<_>>>()?;
            Ok(PyList::new(py, entries)?.into_any())
        }
        Ok(Answer::Name { host, service }) => {
            let pair = (OsStr::from_bytes(host), PyString::from_bytes(py, service)?);
            Ok(pair.into_pyobject(py)?.into_any())
        }
        Err(Failure::System(code)) => Err(os_error(py, *code)),
        Err(Failure::Lookup(code)) => {
            let gaierror = py.import(intern!(py, "socket"))?.getattr(intern!(py, "gaierror"))?;
            let text = PyString::from_bytes(py, &resolver::explain(*code))?;
            Err(PyErr::from_value(gaierror.call1((*code, text))?))
        }
    }
}

fn entry_to_python<'py>(py: Python<'py>, entry: &Entry) -> PyResult<Bound<'py, PyTuple>> {
    let canonical = PyString::from_bytes(py, &entry.canonical)?;
    let address = address::to_python(py, Some(&entry.address))?;
    (entry.family, entry.kind, entry.protocol, canonical, address).into_pyobject(py)
}
