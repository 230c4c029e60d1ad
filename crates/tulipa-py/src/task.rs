//! Making tasks: the usual case of what `asyncio.BaseEventLoop.create_task` does.
//!
//! Everything else is left to that method itself: options, debug mode, a task factory, and what a program has put in the
//! place of asyncio's class of tasks or of the method.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyModule, PyTuple, PyType};

use crate::event_loop::LoopCore;
use crate::ffi::call::construct;
use crate::ffi::known::KnownClass;
use crate::ffi::raw::{Arguments, method};
use crate::future;

pub(crate) fn methods() -> Vec<pyo3::ffi::PyMethodDef> {
    vec![method!(
        c"create_task",
        vector,
        create_task,
        c"create_task($self, coro, **kwargs)\n--\n\nSchedule a coroutine; see asyncio.loop.create_task."
    )]
}

/// asyncio's own, as they were found.
struct Own {
    tasks: Py<PyModule>,
    /// CPython's, in C.
    class: Py<PyType>,
    base: KnownClass,
    /// `asyncio.BaseEventLoop.create_task`, unless that was somebody else's already.
    create_task: Option<Py<PyAny>>,
    /// It passes on to the task whatever options it is given, as it does in newer CPythons.
    passes_all: bool,
}

/// `CO_VARKEYWORDS`: a function takes any option.
const TAKES_ANY: u32 = 0x08;

impl Own {
    fn get(py: Python<'_>) -> PyResult<&Self> {
        static OWN: PyOnceLock<Own> = PyOnceLock::new();
        OWN.get_or_try_init(py, || {
            let events = py.import("asyncio.base_events")?;
            let base = events.getattr("BaseEventLoop")?.cast_into::<PyType>()?;
            let create_task = base.getattr("create_task")?;
            let globals = create_task.getattr_opt("__globals__")?;
            let genuine = globals.is_some_and(|globals| globals.is(events.dict()));
            let flags = || create_task.getattr("__code__")?.getattr("co_flags")?.extract::<u32>();
            Ok(Self {
                passes_all: genuine && flags()? & TAKES_ANY != 0,
                tasks: py.import("asyncio.tasks")?.unbind(),
                class: py.import("_asyncio")?.getattr("Task")?.cast_into::<PyType>()?.unbind(),
                base: KnownClass::new(base.unbind()),
                create_task: genuine.then(|| create_task.unbind()),
            })
        })
    }

    /// Whether asyncio's method would make a task of CPython's, and nothing else.
    fn are_in_place(&self, py: Python<'_>) -> PyResult<bool> {
        let class = self.tasks.bind(py).dict().get_item(intern!(py, "Task"))?;
        if !class.is_some_and(|class| class.is(&self.class)) {
            return Ok(false);
        }
        if self.base.holds() {
            return Ok(true);
        }
        let method = self.method(py)?;
        let in_place = self.create_task.as_ref().is_some_and(|own| method.is(own));
        if in_place {
            self.base.remember();
        }
        Ok(in_place)
    }

    /// What `asyncio.BaseEventLoop.create_task` is now.
    fn method<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.base.class(py).getattr(intern!(py, "create_task"))
    }

    /// The keyword arguments that asyncio's method would make a task with; `None` if it would refuse these.
    fn options<'py>(
        &self,
        event_loop: &Bound<'py, LoopCore>,
        args: &Arguments<'_, 'py>,
    ) -> PyResult<Option<Bound<'py, PyDict>>> {
        let py = event_loop.py();
        let shared = future::options(event_loop)?;
        let Some(names) = args.names else { return Ok(Some(shared)) };
        let (known, given) = ([intern!(py, "name"), intern!(py, "context")], names.cast::<PyTuple>()?);
        // `asyncio.create_task` always passes a name in older CPythons, and nearly always `None`.
        if let ([only], [value]) = (given.as_slice(), args.keyword)
            && only.is(known[0])
            && value.is_none()
        {
            return Ok(Some(shared));
        }
        let options = shared.copy()?;
        for (name, value) in given.iter().zip(args.keyword) {
            // A loop of somebody else's is his method's to complain about.
            if options.contains(&name)? || !(self.passes_all || known.iter().any(|known| name.is(known))) {
                return Ok(None);
            }
            options.set_item(name, value)?;
        }
        Ok(Some(options))
    }
}

fn create_task<'py>(object: &Bound<'py, PyAny>, args: Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    let event_loop = LoopCore::of(object)?;
    let own = Own::get(py)?;
    if let [coroutine] = args.positional
        && !event_loop.get().is_debug()
        && object.getattr(intern!(py, "_task_factory"))?.is_none()
        && own.are_in_place(py)?
        && let Some(options) = own.options(event_loop, &args)?
    {
        event_loop.get().check_usable()?;
        return construct(own.class.bind(py), &PyTuple::new(py, [coroutine])?, &options);
    }
    let mut positional = vec![object.clone()];
    positional.extend(args.positional.iter().cloned());
    let options = PyDict::new(py);
    if let Some(names) = args.names {
        for (name, value) in names.try_iter()?.zip(args.keyword) {
            options.set_item(name?, value)?;
        }
    }
    own.method(py)?.call(PyTuple::new(py, positional)?, Some(&options))
}
