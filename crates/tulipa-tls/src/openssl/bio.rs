//! OpenSSL's end of a [`Wire`].

use std::ffi::{c_char, c_int, c_long, c_void};
use std::ptr::NonNull;
use std::sync::Arc;

use super::library::{Bio, BioMethod, Functions, Library};
use crate::wire::Wire;

/// `BIO_TYPE_SOURCE_SINK`.
const SOURCE_SINK: c_int = 0x0400;
/// `BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY`: nothing there yet.
const RETRY_READ: c_int = 0x01 | 0x08;
/// All flags that a read or write leaves behind.
const RETRY_ANY: c_int = 0x0f;

/// `BIO_ctrl`'s questions that have an answer here; to all others it is zero.
mod control {
    use std::ffi::c_int;
    pub(super) const GET_CLOSE: c_int = 8;
    pub(super) const SET_CLOSE: c_int = 9;
    pub(super) const PENDING: c_int = 10;
    pub(super) const FLUSH: c_int = 11;
    pub(super) const WPENDING: c_int = 13;
}

/// The kind of stream that a [`Wire`] is to OpenSSL.
pub(super) struct Method(NonNull<BioMethod>);

// SAFETY: never written after it was registered, and OpenSSL reads it on any thread.
unsafe impl Send for Method {}
// SAFETY: as above.
unsafe impl Sync for Method {}

impl Method {
    /// Registers the kind, once in a process; `None` if OpenSSL refuses.
    pub(super) fn register(functions: &Functions) -> Option<Self> {
        // SAFETY: names and functions are static; the method is not in use before all of them are set.
        unsafe {
            let index = (functions.BIO_get_new_index)();
            if index < 0 {
                return None;
            }
            let method = (functions.BIO_meth_new)(index | SOURCE_SINK, c"tulipa wire".as_ptr());
            let set = !method.is_null()
                && (functions.BIO_meth_set_read)(method, read) != 0
                && (functions.BIO_meth_set_write)(method, write) != 0
                && (functions.BIO_meth_set_ctrl)(method, ctrl) != 0
                && (functions.BIO_meth_set_destroy)(method, destroy) != 0;
            NonNull::new(method).filter(|_| set).map(Self)
        }
    }

    /// OpenSSL's end of `wire`, which it holds until it frees the end; `None` if it has no memory.
    pub(super) fn open(&self, functions: &Functions, wire: Arc<Wire>) -> Option<NonNull<Bio>> {
        // SAFETY: the method is complete; the new stream gets its data before anybody uses it, and `destroy` takes the
        // reference back.
        unsafe {
            let bio = NonNull::new((functions.BIO_new)(self.0.as_ptr()))?;
            (functions.BIO_set_data)(bio.as_ptr(), Arc::into_raw(wire).cast_mut().cast());
            (functions.BIO_set_init)(bio.as_ptr(), 1);
            Some(bio)
        }
    }
}

/// The wire of a stream.
///
/// # Safety
/// OpenSSL is calling a function of the method for `bio`, which is alive; the result is used during that call only.
unsafe fn wire<'a>(functions: &Functions, bio: *mut Bio) -> Option<&'a Wire> {
    // SAFETY: the data of a stream of ours is a wire that it holds a reference to, or null.
    unsafe { (functions.BIO_get_data)(bio).cast::<Wire>().as_ref() }
}

unsafe extern "C" fn read(bio: *mut Bio, into: *mut c_char, size: c_int) -> c_int {
    let Some(Library { functions, .. }) = Library::found() else { return -1 };
    // SAFETY: OpenSSL is calling, with `size` bytes of memory at `into`.
    unsafe {
        (functions.BIO_clear_flags)(bio, RETRY_ANY);
        let (Some(wire), Ok(size)) = (wire(functions, bio), usize::try_from(size)) else { return -1 };
        if into.is_null() || size == 0 {
            return 0;
        }
        match wire.read(std::slice::from_raw_parts_mut(into.cast(), size)) {
            0 => {
                (functions.BIO_set_flags)(bio, RETRY_READ);
                -1
            }
            count => c_int::try_from(count).unwrap_or(-1),
        }
    }
}

unsafe extern "C" fn write(bio: *mut Bio, data: *const c_char, size: c_int) -> c_int {
    let Some(Library { functions, .. }) = Library::found() else { return -1 };
    // SAFETY: OpenSSL is calling, with `size` bytes at `data`.
    unsafe {
        (functions.BIO_clear_flags)(bio, RETRY_ANY);
        let (Some(wire), Ok(count)) = (wire(functions, bio), usize::try_from(size)) else { return -1 };
        if !data.is_null() {
            wire.write(std::slice::from_raw_parts(data.cast(), count));
        }
        size
    }
}

unsafe extern "C" fn ctrl(bio: *mut Bio, command: c_int, _number: c_long, _pointer: *mut c_void) -> c_long {
    let Some(Library { functions, .. }) = Library::found() else { return 0 };
    // SAFETY: OpenSSL is calling.
    let Some(wire) = (unsafe { wire(functions, bio) }) else { return 0 };
    match command {
        control::PENDING => c_long::try_from(wire.arrived()).unwrap_or(c_long::MAX),
        control::WPENDING => c_long::try_from(wire.departing()).unwrap_or(c_long::MAX),
        control::FLUSH | control::GET_CLOSE | control::SET_CLOSE => 1,
        _ => 0,
    }
}

unsafe extern "C" fn destroy(bio: *mut Bio) -> c_int {
    let Some(Library { functions, .. }) = Library::found() else { return 0 };
    // SAFETY: OpenSSL frees the stream and calls this once; what it held was a reference to the wire.
    unsafe {
        let data = (functions.BIO_get_data)(bio).cast::<Wire>();
        (functions.BIO_set_data)(bio, std::ptr::null_mut());
        if !data.is_null() {
            drop(Arc::from_raw(data.cast_const()));
        }
    }
    1
}
