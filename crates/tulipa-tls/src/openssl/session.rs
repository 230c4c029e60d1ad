//! One session, driven.

use std::ffi::c_int;
use std::ptr::NonNull;
use std::sync::Arc;

use super::capture::Captured;
use super::library::{Library, Ssl};
use crate::wire::Wire;

/// `SSL_ERROR_*`, as `SSL_get_error` gives them.
const WANT_READ: c_int = 2;
const WANT_WRITE: c_int = 3;
const ZERO_RETURN: c_int = 6;

/// What came of reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// So many bytes of plaintext.
    Data(usize),
    /// More ciphertext is needed first.
    Blocked,
    /// The peer has ended its direction, in due form.
    Closed,
    /// The session is broken. The reason is in the thread's error queue, until the next call.
    Failed,
}

/// What came of writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// All of it is ciphertext now.
    Done,
    /// The session needs ciphertext from the peer first; write the very same again then.
    Blocked,
    /// As [`Read::Failed`].
    Failed,
}

/// A session that Python owns and we drive.
///
/// Its calls may run the program's own code (the callbacks of its context), so nothing may be borrowed meanwhile, and
/// that code must not drive the same session again: whoever holds this keeps a flag for that.
pub struct Session<K> {
    ssl: NonNull<Ssl>,
    library: &'static Library,
    wire: Arc<Wire>,
    /// Keeps the session alive.
    _keeper: K,
}

// SAFETY: OpenSSL's sessions may move between threads, as long as one uses them at a time; `Session` is used by
// reference on the thread of its owner, whose type decides about `Sync`.
unsafe impl<K: Send> Send for Session<K> {}

impl<K> Session<K> {
    /// Drives what was captured, from now on over a wire of its own instead of whatever it was made with. `None` if
    /// it is not on the side of the connection that `server` says, so another session than was asked for, or if
    /// memory is short.
    ///
    /// # Safety
    /// The captured session is alive, has not begun, and stays alive as long as `keeper` does.
    pub unsafe fn adopt(library: &'static Library, captured: Captured, server: bool, keeper: K) -> Option<Self> {
        let functions = &library.functions;
        let ssl = captured.0;
        // SAFETY: the session is alive, by the caller.
        if (unsafe { (functions.SSL_is_server)(ssl.as_ptr()) } != 0) != server {
            return None;
        }
        let wire = Arc::new(Wire::default());
        let bio = library.method.open(functions, Arc::clone(&wire))?;
        // SAFETY: the session takes the one reference to the stream, for both directions, as documented for a stream
        // given twice; it frees what it had before.
        unsafe { (functions.SSL_set_bio)(ssl.as_ptr(), bio.as_ptr(), bio.as_ptr()) };
        Some(Self { ssl, library, wire, _keeper: keeper })
    }

    /// Where the ciphertext passes.
    #[must_use]
    pub fn wire(&self) -> &Wire {
        &self.wire
    }

    /// Bytes of plaintext that are decrypted already.
    #[must_use]
    pub fn pending(&self) -> usize {
        // SAFETY: the session is alive.
        usize::try_from(unsafe { (self.library.functions.SSL_pending)(self.ssl.as_ptr()) }).unwrap_or(0)
    }

    /// Reads plaintext, of one record at most.
    pub fn read(&self, into: &mut [u8]) -> Read {
        let functions = &self.library.functions;
        let mut count = 0;
        // SAFETY: the session is alive, and `into` is memory of that length. `SSL_get_error` looks at the thread's
        // error queue, so what others left there goes first.
        unsafe {
            (functions.ERR_clear_error)();
            let done = (functions.SSL_read_ex)(self.ssl.as_ptr(), into.as_mut_ptr().cast(), into.len(), &raw mut count);
            if done > 0 {
                return Read::Data(count);
            }
            match (functions.SSL_get_error)(self.ssl.as_ptr(), done) {
                WANT_READ | WANT_WRITE => Read::Blocked,
                ZERO_RETURN => Read::Closed,
                _ => Read::Failed,
            }
        }
    }

    /// Makes ciphertext of all of `data`, which is not empty.
    pub fn write(&self, data: &[u8]) -> Write {
        let functions = &self.library.functions;
        let mut count = 0;
        // SAFETY: as in `read`.
        unsafe {
            (functions.ERR_clear_error)();
            let done = (functions.SSL_write_ex)(self.ssl.as_ptr(), data.as_ptr().cast(), data.len(), &raw mut count);
            if done > 0 {
                return Write::Done;
            }
            match (functions.SSL_get_error)(self.ssl.as_ptr(), done) {
                WANT_READ | WANT_WRITE => Write::Blocked,
                _ => Write::Failed,
            }
        }
    }
}
