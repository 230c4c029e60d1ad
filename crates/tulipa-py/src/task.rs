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
    base: Py<PyType>,
    /// `asyncio.BaseEventLoop.create_task`, unless that was somebody else's already.
    create_task: Option<Py<PyAny>>,
}

impl Own {
    fn get(py: Python<'_>) -> PyResult<&Self> {
        static OWN: PyOnceLock<Own> = PyOnceLock::new();
        OWN.get_or_try_init(py, || {
            let events = py.import("asyncio.base_events")?;
            let base = events.getattr("BaseEventLoop")?.cast_into::<PyType>()?;
            let create_task = base.getattr("create_task")?;
            let globals = create_task.getattr_opt("__globals__")?;
            let genuine = globals.is_some_and(|globals| globals.is(events.dict()));
            Ok(Self {
                tasks: py.import("asyncio.tasks")?.unbind(),
                class: py.import("_asyncio")?.getattr("Task")?.cast_into::<PyType>()?.unbind(),
                base: base.unbind(),
                create_task: genuine.then(|| create_task.unbind()),
            })
        })
    }

    /// Whether asyncio's method would make a task of CPython's, and nothing else.
    fn are_in_place(&self, py: Python<'_>, method: &Bound<'_, PyAny>) -> PyResult<bool> {
        let class = self.tasks.bind(py).dict().get_item(intern!(py, "Task"))?;
        Ok(class.is_some_and(|class| class.is(&self.class))
            && self.create_task.as_ref().is_some_and(|own| method.is(own)))
    }
}

fn create_task<'py>(object: &Bound<'py, PyAny>, args: Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    let event_loop = object.cast::<LoopCore>()?;
    let own = Own::get(py)?;
    let method = own.base.bind(py).getattr(intern!(py, "create_task"))?;
    if let ([coroutine], Some(name)) = (args.positional, only_name(&args)?)
        && !event_loop.get().is_debug()
        && object.getattr(intern!(py, "_task_factory"))?.is_none()
        && own.are_in_place(py, &method)?
    {
        event_loop.get().check_usable()?;
        let mut options = future::options(event_loop)?;
        if !name.is_none() {
            options = options.copy()?;
            options.set_item(intern!(py, "name"), name)?;
        }
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
    method.call(PyTuple::new(py, positional)?, Some(&options))
}

/// The name that a task is to have, or Python's `None`, if nothing else is asked for. `asyncio.create_task` always passes
/// one of them.
fn only_name<'py>(args: &Arguments<'_, 'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let Some(names) = args.names else {
        return Ok(args.positional.first().map(|any| any.py().None().into_bound(any.py())));
    };
    let [value] = args.keyword else { return Ok(None) };
    Ok(names.get_item(0)?.eq(intern!(names.py(), "name"))?.then(|| value.clone()))
}
