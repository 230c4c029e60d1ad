//! Methods that CPython calls without an intermediary.
//!
//! PyO3's methods parse arguments through tables; for the few methods that run once per callback or per packet that is
//! as much work as the method itself. The macros here make the bare C functions, and keep the two promises of PyO3's:
//! a panic is raised and never crosses the border (R7), and an error is set before null is returned.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use pyo3::exceptions::{PySystemError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

/// The arguments of one call, borrowed from the caller.
#[derive(Clone, Copy)]
pub(crate) struct Arguments<'a, 'py> {
    pub(crate) positional: &'a [Bound<'py, PyAny>],
    /// Values of the keyword arguments, in the order of `names`.
    pub(crate) keyword: &'a [Bound<'py, PyAny>],
    pub(crate) names: Option<&'a Bound<'py, PyAny>>,
}

/// What [`Arguments::parse`] made of a call.
pub(crate) struct Parsed<'a, 'py, const N: usize> {
    /// The named arguments, in order.
    pub(crate) named: [&'a Bound<'py, PyAny>; N],
    /// The positional arguments behind them.
    pub(crate) rest: &'a [Bound<'py, PyAny>],
    /// The value of the optional keyword.
    pub(crate) option: Option<&'a Bound<'py, PyAny>>,
}

impl<'a, 'py> Arguments<'a, 'py> {
    /// The arguments of `function(*names, *rest, option=None)`. The named ones may come by keyword.
    ///
    /// # Errors
    /// `TypeError`, in Python's words, if one is missing, given twice or unknown.
    #[inline]
    pub(crate) fn parse<const N: usize>(
        &self,
        function: &str,
        names: [&str; N],
        option: Option<&str>,
    ) -> PyResult<Parsed<'a, 'py, N>> {
        if let Some((named, rest)) = self.positional.split_first_chunk::<N>() {
            if self.names.is_none() {
                return Ok(Parsed { named: named.each_ref(), rest, option: None });
            }
            // How asyncio's tasks and futures call: everything by position but the context.
            if let ([value], Some(option)) = (self.keyword, option)
                && self.is_named(0, option)
            {
                return Ok(Parsed { named: named.each_ref(), rest, option: Some(value) });
            }
        }
        self.parse_keywords(function, names, option)
    }

    /// Whether the keyword argument at `index` has this name.
    #[inline]
    fn is_named(&self, index: usize, name: &str) -> bool {
        let Some(Ok(names)) = self.names.map(|names| names.cast_exact::<PyTuple>()) else { return false };
        let Ok(given) = names.get_borrowed_item(index) else { return false };
        // The one that asyncio uses is interned.
        (name == "context" && given.is(pyo3::intern!(given.py(), "context")))
            || given.cast_exact::<PyString>().is_ok_and(|given| given == name)
    }

    #[cold]
    fn parse_keywords<const N: usize>(
        &self,
        function: &str,
        names: [&str; N],
        option: Option<&str>,
    ) -> PyResult<Parsed<'a, 'py, N>> {
        let mut named: [Option<&'a Bound<'py, PyAny>>; N] = [None; N];
        for (slot, value) in named.iter_mut().zip(self.positional) {
            *slot = Some(value);
        }
        let mut optional = None;
        for (index, value) in self.keyword.iter().enumerate() {
            let Some(given) = self.names else { break };
            let given = given.get_item(index)?;
            let given = given.cast::<PyString>()?.to_str()?;
            if Some(given) == option {
                optional = Some(value);
                continue;
            }
            let Some(position) = names.iter().position(|name| *name == given) else {
                let message = format!("{function}() got an unexpected keyword argument '{given}'");
                return Err(PyTypeError::new_err(message));
            };
            if named[position].replace(value).is_some() {
                return Err(PyTypeError::new_err(format!("{function}() got multiple values for argument '{given}'")));
            }
        }
        let rest = self.positional.get(N..).unwrap_or_default();
        let missing = named.iter().position(Option::is_none).map(|index| names[index]);
        let complete = named.into_iter().flatten().collect::<Vec<_>>().try_into();
        match (complete, missing) {
            (Ok(named), None) => Ok(Parsed { named, rest, option: optional }),
            (_, missing) => Err(PyTypeError::new_err(format!(
                "{function}() missing required positional argument: '{}'",
                missing.unwrap_or_default()
            ))),
        }
    }

    /// The arguments of `function(*names)`, and no others.
    ///
    /// # Errors
    /// `TypeError` if there are more, or fewer.
    pub(crate) fn exactly<const N: usize>(
        &self,
        function: &str,
        names: [&str; N],
    ) -> PyResult<[&'a Bound<'py, PyAny>; N]> {
        let parsed = self.parse(function, names, None)?;
        if parsed.rest.is_empty() {
            return Ok(parsed.named);
        }
        let (takes, given) = (N + 1, N + 1 + parsed.rest.len());
        Err(PyTypeError::new_err(format!("{function}() takes {takes} positional arguments but {given} were given")))
    }
}

/// Runs the body of a raw method.
///
/// # Safety
/// CPython is calling: the thread is attached, and `object` is a valid reference for the length of the call.
#[inline]
pub(crate) unsafe fn enter(
    object: *mut ffi::PyObject,
    body: impl for<'py> FnOnce(&Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>>,
) -> *mut ffi::PyObject {
    // SAFETY: by the caller.
    unsafe { catch(object, |object| body(object).map(Bound::into_ptr)) }
}

/// The same for a body that gives an owned pointer, which may be null.
///
/// # Safety
/// As above.
#[inline]
pub(super) unsafe fn catch(
    object: *mut ffi::PyObject,
    body: impl for<'py> FnOnce(&Bound<'py, PyAny>) -> PyResult<*mut ffi::PyObject>,
) -> *mut ffi::PyObject {
    // SAFETY: by the caller.
    let (py, object) = unsafe {
        let py = Python::assume_attached();
        (py, Bound::from_borrowed_ptr(py, object))
    };
    match catch_unwind(AssertUnwindSafe(|| body(&object))) {
        Ok(Ok(result)) => result,
        Ok(Err(error)) => {
            error.restore(py);
            ptr::null_mut()
        }
        Err(panic) => {
            panicked(&*panic).restore(py);
            ptr::null_mut()
        }
    }
}

/// The arguments of a call that CPython made with the vector-call convention.
///
/// # Safety
/// `args` points to `count` positional arguments followed by as many values as the tuple `names` has entries, all
/// alive for `'a`; `names` is null or a tuple.
pub(crate) unsafe fn arguments<'a, 'py>(
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: &'a Option<Bound<'py, PyAny>>,
) -> Arguments<'a, 'py> {
    let keywords = names.as_ref().map_or(0, |names| names.len().unwrap_or(0));
    if args.is_null() {
        return Arguments { positional: &[], keyword: &[], names: names.as_ref() };
    }
    // SAFETY: by the caller; `Bound` is a transparent wrapper of a non-null object pointer, and a shared slice of
    // borrowed ones never drops its elements.
    let all = unsafe { std::slice::from_raw_parts(args.cast::<Bound<'py, PyAny>>(), count.unsigned_abs() + keywords) };
    let (positional, keyword) = all.split_at(count.unsigned_abs());
    Arguments { positional, keyword, names: names.as_ref() }
}

#[cold]
pub(crate) fn panicked(panic: &(dyn Any + Send)) -> PyErr {
    let text = panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "unknown".to_owned());
    PySystemError::new_err(format!("tulipa failed inside, which is a bug of tulipa's; please report it: {text}"))
}

/// An entry of a method table: `method!("name", noargs | onearg | vector, function, "doc")`.
///
/// `function` is safe and takes the object itself, then nothing, one argument, or [`Arguments`].
macro_rules! method {
    ($name:literal, noargs, $function:path, $doc:literal) => {{
        unsafe extern "C" fn raw(
            object: *mut pyo3::ffi::PyObject,
            _: *mut pyo3::ffi::PyObject,
        ) -> *mut pyo3::ffi::PyObject {
            // SAFETY: CPython is calling.
            unsafe { $crate::ffi::raw::enter(object, |object| $function(object)) }
        }
        pyo3::ffi::PyMethodDef {
            ml_name: $name.as_ptr(),
            ml_meth: pyo3::ffi::PyMethodDefPointer { PyCFunction: raw },
            ml_flags: pyo3::ffi::METH_NOARGS,
            ml_doc: $doc.as_ptr(),
        }
    }};
    ($name:literal, onearg, $function:path, $doc:literal) => {{
        unsafe extern "C" fn raw(
            object: *mut pyo3::ffi::PyObject,
            argument: *mut pyo3::ffi::PyObject,
        ) -> *mut pyo3::ffi::PyObject {
            // SAFETY: CPython is calling, with a valid argument.
            unsafe {
                $crate::ffi::raw::enter(object, |object| {
                    $function(object, &pyo3::Bound::from_borrowed_ptr(object.py(), argument))
                })
            }
        }
        pyo3::ffi::PyMethodDef {
            ml_name: $name.as_ptr(),
            ml_meth: pyo3::ffi::PyMethodDefPointer { PyCFunction: raw },
            ml_flags: pyo3::ffi::METH_O,
            ml_doc: $doc.as_ptr(),
        }
    }};
    ($name:literal, vector, $function:path, $doc:literal) => {{
        unsafe extern "C" fn raw(
            object: *mut pyo3::ffi::PyObject,
            args: *const *mut pyo3::ffi::PyObject,
            count: pyo3::ffi::Py_ssize_t,
            names: *mut pyo3::ffi::PyObject,
        ) -> *mut pyo3::ffi::PyObject {
            // SAFETY: CPython is calling, with arguments as the vector-call convention lays them out.
            unsafe {
                $crate::ffi::raw::enter(object, |object| {
                    let names = pyo3::Bound::from_borrowed_ptr_or_opt(object.py(), names);
                    $function(object, $crate::ffi::raw::arguments(args, count, &names))
                })
            }
        }
        pyo3::ffi::PyMethodDef {
            ml_name: $name.as_ptr(),
            ml_meth: pyo3::ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: raw },
            ml_flags: pyo3::ffi::METH_FASTCALL | pyo3::ffi::METH_KEYWORDS,
            ml_doc: $doc.as_ptr(),
        }
    }};
}
pub(crate) use method;

/// A method table that lives as long as the process, as CPython requires.
pub(crate) fn table(methods: Vec<ffi::PyMethodDef>) -> &'static mut [ffi::PyMethodDef] {
    let mut methods = methods;
    methods.push(ffi::PyMethodDef::zeroed());
    methods.leak()
}

/// Puts raw methods into the dictionary of a type that exists already.
pub(crate) fn install(class: &Bound<'_, pyo3::types::PyType>, methods: Vec<ffi::PyMethodDef>) -> PyResult<()> {
    let methods = table(methods);
    let count = methods.len() - 1;
    for definition in &mut methods[..count] {
        // SAFETY: the type is alive, the definition static and complete.
        unsafe {
            let name = std::ffi::CStr::from_ptr(definition.ml_name);
            let descriptor = ffi::PyDescr_NewMethod(class.as_type_ptr(), definition);
            let descriptor = Bound::from_owned_ptr_or_err(class.py(), descriptor)?;
            class.setattr(name.to_string_lossy().as_ref(), descriptor)?;
        }
    }
    Ok(())
}

/// Adds raw functions to a module; what they take as their object is the module.
pub(crate) fn add_functions(module: &Bound<'_, PyModule>, functions: Vec<ffi::PyMethodDef>) -> PyResult<()> {
    let functions = table(functions);
    let count = functions.len() - 1;
    for definition in &mut functions[..count] {
        // SAFETY: attached; the definition is static and complete, and the function holds the module.
        unsafe {
            let name = std::ffi::CStr::from_ptr(definition.ml_name);
            let function = ffi::PyCFunction_NewEx(definition, module.as_ptr(), ptr::null_mut());
            let function = Bound::from_owned_ptr_or_err(module.py(), function)?;
            module.add(name.to_string_lossy().as_ref(), function)?;
        }
    }
    Ok(())
}
