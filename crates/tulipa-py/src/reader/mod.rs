//! What `asyncio.StreamReader` does for each message: taking bytes in, and handing them out.
//!
//! Everything happens on the reader's own attributes (`_buffer`, `_waiter`, `_eof` and so on), so asyncio's methods and
//! these can take turns on one reader at any time, and do: only the usual case is here, and whatever else there may be (an
//! error, a limit, an end, a class that somebody has changed) is left to asyncio's own method, which finds the reader as
//! it would have left it itself.

mod feed;
mod read;
mod wait;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyByteArray, PyString, PyType};

pub(crate) use self::feed::Sink;
use crate::ffi::instance::Attributes;
use crate::ffi::known::KnownClass;
use crate::ffi::raw::{Arguments, add_functions, method};

/// How many attributes `StreamReader.__init__` sets: as long as there are no more, none hides a method.
const ATTRIBUTES: usize = 8;

struct Classes {
    /// `asyncio.StreamReader`.
    plain: Py<PyType>,
    /// Its subclass, which calls the functions here.
    served: KnownClass,
    /// `asyncio.StreamReaderProtocol`.
    protocol: KnownClass,
    /// Whether a class is as asyncio made it.
    is_unchanged: Py<PyAny>,
}

static CLASSES: PyOnceLock<Classes> = PyOnceLock::new();

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let mut functions = read::functions();
    functions.push(method!(
        c"serve_readers",
        vector,
        serve_readers,
        c"serve_readers($module, plain, served, protocol, is_unchanged)\n--\n\nFrom now on readers of class `plain` become `served` ones."
    ));
    add_functions(module, functions)
}

fn serve_readers<'py>(module: &Bound<'py, PyAny>, args: Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    let py = module.py();
    let [plain, served, protocol, is_unchanged] =
        args.exactly("serve_readers", ["plain", "served", "protocol", "is_unchanged"])?;
    // Without a global lock another thread could be at the buffer while bytes are put in.
    if cfg!(Py_GIL_DISABLED) {
        return Ok(py.None().into_bound(py));
    }
    CLASSES.get_or_try_init(py, || {
        PyResult::Ok(Classes {
            plain: plain.clone().cast_into::<PyType>()?.unbind(),
            served: KnownClass::new(served.clone().cast_into::<PyType>()?.unbind()),
            protocol: KnownClass::new(protocol.clone().cast_into::<PyType>()?.unbind()),
            is_unchanged: is_unchanged.clone().unbind(),
        })
    })?;
    Ok(py.None().into_bound(py))
}

impl Classes {
    /// Whether a class is as asyncio made it: nobody has replaced a method.
    #[inline]
    fn are_unchanged(&self, class: &KnownClass, py: Python<'_>) -> PyResult<bool> {
        Ok(class.holds() || self.look(class, py)?)
    }

    #[cold]
    fn look(&self, class: &KnownClass, py: Python<'_>) -> PyResult<bool> {
        let unchanged = self.is_unchanged.bind(py).call1((class.class(py),))?.is_truthy()?;
        if unchanged {
            class.remember();
        }
        Ok(unchanged)
    }
}

/// The reader, if its methods are known to be asyncio's and ours.
#[inline]
fn serve<'py>(reader: &Bound<'py, PyAny>) -> PyResult<Option<Served<'py>>> {
    match CLASSES.get(reader.py()) {
        Some(classes) => Served::new(classes, reader),
        None => Ok(None),
    }
}

/// A reader whose methods are known to be asyncio's and ours, for the length of one step.
struct Served<'py> {
    attributes: Attributes<'py>,
    buffer: Bound<'py, PyByteArray>,
}

impl<'py> Served<'py> {
    /// `None` if the reader is not as we know it.
    #[inline]
    fn new(classes: &Classes, reader: &Bound<'py, PyAny>) -> PyResult<Option<Self>> {
        let py = reader.py();
        if !classes.served.is_class_of(reader) || !classes.are_unchanged(&classes.served, py)? {
            return Ok(None);
        }
        let attributes = Attributes::of(reader)?;
        if attributes.count() > ATTRIBUTES && hides_methods(&attributes) {
            return Ok(None);
        }
        let buffer = attributes.get(intern!(py, "_buffer")).map(Bound::cast_into_exact);
        let Some(Ok(buffer)) = buffer else { return Ok(None) };
        Ok(Some(Self { attributes, buffer }))
    }

    fn py(&self) -> Python<'py> {
        self.buffer.py()
    }

    /// Whether an attribute is `value`, which is `None` or a bool.
    #[inline]
    fn is(&self, name: &Bound<'py, PyString>, value: &Bound<'_, PyAny>) -> bool {
        self.attributes.is(name, value)
    }

    /// The greatest length of a line, if it is one.
    #[inline]
    fn limit(&self) -> PyResult<Option<usize>> {
        self.attributes.get(intern!(self.py(), "_limit")).map(|limit| limit.extract()).transpose()
    }
}

/// Whether the program has put a method of its own over one of the class's.
#[cold]
fn hides_methods(attributes: &Attributes<'_>) -> bool {
    let py = attributes.dict().py();
    let hidden = [
        intern!(py, "feed_data"),
        intern!(py, "_wakeup_waiter"),
        intern!(py, "_wait_for_data"),
        intern!(py, "_maybe_resume_transport"),
    ];
    hidden.into_iter().any(|name| attributes.has(name))
}
