//! Sessions that Python's `ssl` made and OpenSSL is asked to drive directly.

use pyo3::prelude::*;
use tulipa_tls::{Library, Session};

use super::object::Obj;

/// A session, with the Python object that owns it.
pub(crate) struct NativeSession(Session<Obj>);

// SAFETY: only attached threads reach it, one at a time, since they hold the one global interpreter lock; `open` makes
// none where there is no such lock. Code that runs inside a call (a callback of the context) may let another thread in,
// which finds the owner's mark that the session is in use (`tls::State::busy`).
unsafe impl Sync for NativeSession {}

impl NativeSession {
    /// Lets `make` make a session (an `ssl.SSLObject`), and takes over driving it if that is possible.
    ///
    /// # Errors
    /// What `make` raises.
    pub(crate) fn open<'py>(
        library: &'static Library,
        server: bool,
        make: impl FnOnce() -> PyResult<Bound<'py, PyAny>>,
    ) -> PyResult<(Bound<'py, PyAny>, Option<Self>)> {
        let (made, captured) = library.capture(make);
        let object = made?;
        // `_sslobj` is the object of `_ssl` that owns the session; somebody's own class may have none.
        let (Some(captured), Ok(owner)) = (captured, object.getattr("_sslobj")) else { return Ok((object, None)) };
        if cfg!(Py_GIL_DISABLED) || owner.get_type().module()?.to_str()? != "_ssl" {
            return Ok((object, None));
        }
        // SAFETY: the one session that this thread made meanwhile is that of the object that was returned: `_ssl` makes
        // one for each of its objects, and frees it with the object, which the keeper holds. Nobody has used it yet.
        let session = unsafe { Session::adopt(library, captured, server, owner.into()) };
        Ok((object, session.map(Self)))
    }

    pub(crate) fn get(&self) -> &Session<Obj> {
        &self.0
    }
}
