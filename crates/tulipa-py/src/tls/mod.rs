//! TLS over any transport: ciphertext from and to the transport below, plaintext to and from the protocol above.
//!
//! [`TlsCore`] is the native half of `tulipa._tls_protocol.TlsProtocol`, which is the protocol of the transport below. What
//! runs per record is here; what runs once per connection (handshake, shutdown, time limits) is there, and the two meet
//! in the phase. Nothing is borrowed while a session or a transport is called: either may run the program's code, which
//! may call anything here again (R2, R3).

mod engine;
mod flow;
mod lower;
mod transport;

use std::collections::VecDeque;
use std::sync::OnceLock;

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use tulipa_tls::Buffer;

use crate::ffi::cell::StateCell;
use crate::ffi::object::Obj;
use crate::host::Chunk;
use engine::Engine;
use lower::Lower;

pub(crate) use flow::arrived;

/// asyncio's default water marks for TLS, in bytes: plaintext that waits to be encrypted.
const WRITE_HIGH: usize = 512 * 1024;
/// Ciphertext that waits to be decrypted because the protocol has paused reading.
const READ_HIGH: usize = 256 * 1024;

/// How far a connection is. The order is the order of a connection's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Phase {
    /// Not begun, or over.
    Unwrapped,
    Handshake,
    Wrapped,
    /// Closing: what was written before is still to be encrypted.
    Flushing,
    /// Closing: the ends of both directions are exchanged.
    Shutdown,
}

impl Phase {
    const ALL: [Self; 5] = [Self::Unwrapped, Self::Handshake, Self::Wrapped, Self::Flushing, Self::Shutdown];
}

/// Low- and high-water mark, in bytes.
#[derive(Clone, Copy)]
struct Marks {
    low: usize,
    high: usize,
}

/// The marks of both directions.
#[derive(Clone, Copy)]
struct AllMarks {
    write: Marks,
    read: Marks,
}

impl AllMarks {
    const DEFAULT: Self = Self {
        write: Marks { low: WRITE_HIGH / 4, high: WRITE_HIGH },
        read: Marks { low: READ_HIGH / 4, high: READ_HIGH },
    };
}

/// Bytes of a write that are still plaintext.
struct Waiting {
    chunk: Chunk,
    /// How many of them are encrypted already.
    done: usize,
}

impl Waiting {
    fn rest(&self) -> &[u8] {
        self.chunk.as_ref().get(self.done..).unwrap_or_default()
    }
}

#[expect(clippy::struct_excessive_bools, reason = "each says one thing, and all combinations can be")]
struct State {
    phase: Phase,
    lower: Option<Lower>,
    /// The program's protocol.
    app: Option<Obj>,
    /// It is an `asyncio.BufferedProtocol`.
    buffered: bool,
    backlog: VecDeque<Waiting>,
    /// Bytes in `backlog` that are still plaintext.
    waiting: usize,
    /// The marks, where somebody has set any.
    marks: Option<Box<AllMarks>>,
    /// The protocol was told to pause writing.
    app_writing_paused: bool,
    /// The protocol has paused reading.
    app_reading_paused: bool,
    /// The transport below asked us to pause writing.
    lower_writing_paused: bool,
    /// We have paused the transport below.
    lower_reading_paused: bool,
    /// The session is being called.
    busy: bool,
    /// What has arrived is being dealt with, by a call further out.
    driving: bool,
    /// More has arrived meanwhile.
    again: bool,
}

impl State {
    fn marks(&self) -> &AllMarks {
        self.marks.as_deref().unwrap_or(&AllMarks::DEFAULT)
    }

    fn marks_mut(&mut self) -> &mut AllMarks {
        self.marks.get_or_insert_with(|| Box::new(AllMarks::DEFAULT))
    }
}

/// See the top of this file.
#[pyclass(frozen, subclass, weakref, module = "tulipa._native")]
pub(crate) struct TlsCore {
    state: StateCell<State>,
    engine: OnceLock<Engine>,
}

/// Makes the types and adds them to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<TlsCore>()?;
    module.add_function(wrap_pyfunction!(tls_engine, module)?)?;
    module.add("TLS_ENGINES", PyTuple::new(module.py(), engine::NAMES)?)?;
    transport::register(module)
}

/// The name of the engine that TLS sessions get when none is named.
#[pyfunction]
fn tls_engine(py: Python<'_>) -> &'static str {
    engine::default_name(py)
}

impl TlsCore {
    fn with<R>(&self, py: Python<'_>, section: impl FnOnce(&mut State) -> R) -> R {
        self.state.with(py, section)
    }

    fn engine(&self) -> PyResult<&Engine> {
        self.engine.get().ok_or_else(|| PyRuntimeError::new_err("this TLS protocol was not initialised"))
    }

    fn app<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.with(py, |state| state.app.clone()).map(|app| app.into_bound(py))
    }
}

#[pymethods]
impl TlsCore {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self {
            state: StateCell::new(State {
                phase: Phase::Unwrapped,
                lower: None,
                app: None,
                buffered: false,
                backlog: VecDeque::new(),
                waiting: 0,
                marks: None,
                app_writing_paused: false,
                app_reading_paused: false,
                lower_writing_paused: false,
                lower_reading_paused: false,
                busy: false,
                driving: false,
                again: false,
            }),
            engine: OnceLock::new(),
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Some(engine) = self.engine.get() {
            engine.traverse(&visit)?;
        }
        let visited = self.state.peek(|state| {
            let lower = state.lower.as_ref().map(Lower::object);
            for object in [lower, state.app.as_ref()].into_iter().flatten() {
                visit.call(object.as_py())?;
            }
            Ok(())
        });
        visited.unwrap_or(Ok(()))
    }

    fn __clear__(&self, py: Python<'_>) {
        let cleared = self.with(py, |state| (state.lower.take(), state.app.take(), std::mem::take(&mut state.backlog)));
        drop(cleared);
    }

    // -- for tulipa._tls_protocol -----------------------------------------------------

    /// Makes the session: engine, context (`ssl.SSLContext`), side, server name. The `ssl.SSLObject`.
    fn _open<'py>(
        &self,
        engine: &str,
        context: &Bound<'py, PyAny>,
        server_side: bool,
        server_hostname: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (engine, object) = Engine::open(engine, context, server_side, server_hostname)?;
        self.engine.set(engine).map_err(|_| PyRuntimeError::new_err("this TLS protocol has a session already"))?;
        Ok(object)
    }

    #[getter]
    fn _engine(&self) -> PyResult<&'static str> {
        self.engine().map(Engine::name)
    }

    /// The session, as the program may look at it.
    #[getter]
    fn _sslobj<'py>(&self, py: Python<'py>) -> PyResult<&Bound<'py, PyAny>> {
        self.engine().map(|engine| engine.object().bind(py))
    }

    #[getter]
    fn _phase(&self, py: Python<'_>) -> u8 {
        self.with(py, |state| state.phase as u8)
    }

    #[setter(_phase)]
    fn set_phase(&self, py: Python<'_>, phase: u8) -> PyResult<()> {
        let known = Phase::ALL.get(usize::from(phase)).copied();
        let phase = known.ok_or_else(|| PyValueError::new_err(format!("no TLS phase has the number {phase}")))?;
        self.with(py, |state| state.phase = phase);
        Ok(())
    }

    #[getter]
    fn _app_protocol<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.app(py)
    }

    #[setter(_app_protocol)]
    fn set_app_protocol(&self, protocol: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = protocol.py();
        let class = py.import("asyncio.protocols")?.getattr(intern!(py, "BufferedProtocol"))?;
        let buffered = protocol.is_instance(&class)?;
        let app = (!protocol.is_none()).then(|| Obj::from(protocol.clone()));
        let former = self.with(py, |state| {
            state.buffered = buffered;
            std::mem::replace(&mut state.app, app)
        });
        drop(former);
        Ok(())
    }

    /// Takes the transport below, or gives it up.
    fn _set_lower(&self, transport: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = transport.py();
        let lower = if transport.is_none() { None } else { Some(Lower::new(transport)?) };
        let former = self.with(py, |state| std::mem::replace(&mut state.lower, lower));
        drop(former);
        Ok(())
    }

    /// Drops what was neither sent nor read.
    fn _discard(&self, py: Python<'_>) -> PyResult<()> {
        let dropped = self.with(py, |state| {
            state.waiting = 0;
            std::mem::take(&mut state.backlog)
        });
        drop(dropped);
        self.engine()?.clear(py)
    }

    /// Adds ciphertext that has arrived elsewhere, without looking at it yet.
    fn _arrive(&self, data: &Bound<'_, PyAny>) -> PyResult<()> {
        self.engine()?.arrive_object(data)
    }

    /// Deals with what has arrived, as the phase demands.
    fn _drive(slf: &Bound<'_, Self>) -> PyResult<()> {
        flow::drive(slf)
    }

    /// Gives the protocol what can be decrypted, and sends what there is.
    fn _read(slf: &Bound<'_, Self>) -> PyResult<()> {
        flow::read(slf)
    }

    /// Decrypts what has arrived, and drops it: nobody is to see it any more.
    fn _read_nothing(&self, py: Python<'_>) -> PyResult<()> {
        self.discard_plaintext(py)
    }

    /// Encrypts everything that waits, however full the transport below is. Whether that was possible.
    fn _encrypt_all(slf: &Bound<'_, Self>) -> PyResult<bool> {
        flow::encrypt(slf, true)
    }

    /// Sends the ciphertext that there is.
    fn _send(slf: &Bound<'_, Self>) -> PyResult<()> {
        flow::send(slf)
    }

    /// Tells the protocol if its writing is to pause or to go on.
    fn _control_writing(slf: &Bound<'_, Self>) -> PyResult<()> {
        flow::control_writing(slf)
    }

    /// Pauses the transport below or lets it go on.
    fn _control_reading(slf: &Bound<'_, Self>) -> PyResult<()> {
        flow::control_reading(slf)
    }

    #[getter]
    fn _app_reading_paused(&self, py: Python<'_>) -> bool {
        self.with(py, |state| state.app_reading_paused)
    }

    #[setter(_app_reading_paused)]
    fn set_app_reading_paused(&self, py: Python<'_>, paused: bool) {
        self.with(py, |state| state.app_reading_paused = paused);
    }

    #[getter]
    fn _app_writing_paused(&self, py: Python<'_>) -> bool {
        self.with(py, |state| state.app_writing_paused)
    }

    #[setter(_app_writing_paused)]
    fn set_app_writing_paused(&self, py: Python<'_>, paused: bool) {
        self.with(py, |state| state.app_writing_paused = paused);
    }

    /// Low- and high-water mark for writing, in bytes.
    #[getter]
    fn _write_marks(&self, py: Python<'_>) -> (usize, usize) {
        self.with(py, |state| (state.marks().write.low, state.marks().write.high))
    }

    #[setter(_write_marks)]
    fn set_write_marks(&self, py: Python<'_>, marks: (usize, usize)) {
        self.with(py, |state| state.marks_mut().write = Marks { low: marks.0, high: marks.1 });
    }

    /// Low- and high-water mark for reading, in bytes.
    #[getter]
    fn _read_marks(&self, py: Python<'_>) -> (usize, usize) {
        self.with(py, |state| (state.marks().read.low, state.marks().read.high))
    }

    #[setter(_read_marks)]
    fn set_read_marks(&self, py: Python<'_>, marks: (usize, usize)) {
        self.with(py, |state| state.marks_mut().read = Marks { low: marks.0, high: marks.1 });
    }

    /// Bytes that wait to be written.
    fn _write_size(&self, py: Python<'_>) -> PyResult<usize> {
        let departing = self.engine()?.departing(py)?;
        Ok(departing + self.with(py, |state| state.waiting))
    }

    /// Bytes that wait to be read.
    fn _read_size(&self, py: Python<'_>) -> PyResult<usize> {
        self.engine()?.arrived(py)
    }

    // -- the protocol of the transport below ------------------------------------------

    /// Ciphertext has arrived.
    fn data_received(slf: &Bound<'_, Self>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        slf.get().engine()?.arrive_object(data)?;
        flow::drive(slf)
    }

    /// The transport below is full.
    fn pause_writing(&self, py: Python<'_>) {
        self.with(py, |state| state.lower_writing_paused = true);
    }

    /// The transport below has room again.
    fn resume_writing(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.get().with(slf.py(), |state| state.lower_writing_paused = false);
        flow::go_on_writing(slf)
    }
}

impl TlsCore {
    fn discard_plaintext(&self, py: Python<'_>) -> PyResult<()> {
        let engine = self.engine()?;
        let mut plaintext = Buffer::borrow();
        while engine.may_read(py)? {
            let Some(_busy) = self.use_session(py) else { break };
            if !matches!(engine.read(py, plaintext.room()), engine::Taken::Data(_)) {
                break;
            }
        }
        Ok(())
    }

    /// Marks the session as being called; `None` if it is, further out.
    fn use_session<'a, 'py>(&'a self, py: Python<'py>) -> Option<Busy<'a, 'py>> {
        let free = self.with(py, |state| !std::mem::replace(&mut state.busy, true));
        free.then_some(Busy { core: self, py })
    }
}

/// The session is being called, until drop.
struct Busy<'a, 'py> {
    core: &'a TlsCore,
    py: Python<'py>,
}

impl Drop for Busy<'_, '_> {
    fn drop(&mut self) {
        self.core.with(self.py, |state| state.busy = false);
    }
}
