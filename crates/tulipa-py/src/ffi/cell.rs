//! State that is touched only in short sections that call nothing (R2).

use std::cell::{Cell, UnsafeCell};
#[cfg(Py_GIL_DISABLED)]
use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;

/// A value that one thread at a time may touch, for the length of one closure.
///
/// The closure must not run Python code: with a global interpreter lock that code could let another thread in, and
/// without one it could wait for a lock that the caller holds. A second entry is a bug of ours; it panics before it
/// touches the value, and the border raises the panic as an exception (R7).
pub(crate) struct StateCell<T> {
    value: UnsafeCell<T>,
    entered: Cell<bool>,
    /// Without a global interpreter lock this is what keeps other threads out.
    #[cfg(Py_GIL_DISABLED)]
    lock: Mutex<()>,
}

// SAFETY: `value` and `entered` are reached through `with` only (and `peek`, see there): by a thread that holds the
// global interpreter lock throughout, since the closure cannot release it, or that holds `lock` where there is none.
unsafe impl<T: Send> Sync for StateCell<T> {}

impl<T> StateCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self {
            value: UnsafeCell::new(value),
            entered: Cell::new(false),
            #[cfg(Py_GIL_DISABLED)]
            lock: Mutex::new(()),
        }
    }

    /// Runs `section` on the value.
    #[inline]
    pub(crate) fn with<R>(&self, _py: Python<'_>, section: impl FnOnce(&mut T) -> R) -> R {
        #[cfg(Py_GIL_DISABLED)]
        let _guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(!self.entered.replace(true), "tulipa bug: state entered twice; please report");
        let _exit = Exit(&self.entered);
        // SAFETY: no other thread is in here (see `Sync` above), and `entered` says that this one is not either.
        section(unsafe { &mut *self.value.get() })
    }

    /// Looks at the value from a garbage collector's traversal, where there is no token. `None` if it is in use.
    pub(crate) fn peek<R>(&self, look: impl FnOnce(&T) -> R) -> Option<R> {
        if self.entered.get() {
            return None;
        }
        // SAFETY: a traversal runs on an attached thread with the global interpreter lock, or with the world stopped
        // where there is none, and runs no Python code; nobody is in a section, as `entered` says.
        Some(look(unsafe { &*self.value.get() }))
    }
}

struct Exit<'a>(&'a Cell<bool>);

impl Drop for Exit<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}
