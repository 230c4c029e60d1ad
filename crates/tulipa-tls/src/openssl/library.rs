//! The functions of the library, and what is registered with it once.

use std::ffi::{c_char, c_int, c_long, c_ulong, c_void};
use std::fmt;
use std::path::Path;
use std::sync::OnceLock;

use super::bio;
use super::capture;

/// `SSL`.
#[repr(C)]
pub(super) struct Ssl {
    _private: [u8; 0],
}

/// `BIO`.
#[repr(C)]
pub(super) struct Bio {
    _private: [u8; 0],
}

/// `BIO_METHOD`.
#[repr(C)]
pub(super) struct BioMethod {
    _private: [u8; 0],
}

/// `CRYPTO_EX_new`, as the index of a session's own data calls it for each session that is made.
pub(super) type ExNew = unsafe extern "C" fn(*mut c_void, *mut c_void, *mut c_void, c_int, c_long, *mut c_void);

macro_rules! functions {
    ($($name:ident: fn($($argument:ty),*) $(-> $result:ty)?;)*) => {
        /// What is used of OpenSSL's functions, under their own names.
        #[expect(non_snake_case, reason = "OpenSSL's names")]
        pub(super) struct Functions {
            $(pub(super) $name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
        }

        impl Functions {
            /// # Safety
            /// `library` has OpenSSL's functions under these names, or none, and stays loaded.
            unsafe fn find(library: &libloading::os::unix::Library) -> Result<Self, Refused> {
                Ok(Self {
                    $($name: {
                        // SAFETY: by the caller; the signatures are those of OpenSSL's documentation.
                        let symbol = unsafe { library.get(concat!(stringify!($name), "\0").as_bytes()) };
                        *symbol.map_err(|_| Refused::Missing(stringify!($name)))?
                    },)*
                })
            }
        }
    };
}

functions! {
    CRYPTO_get_ex_new_index: fn(c_int, c_long, *mut c_void, ExNew, *mut c_void, *mut c_void) -> c_int;
    ERR_clear_error: fn();
    OpenSSL_version_num: fn() -> c_ulong;
    SSL_is_server: fn(*const Ssl) -> c_int;
    SSL_set_bio: fn(*mut Ssl, *mut Bio, *mut Bio);
    SSL_read_ex: fn(*mut Ssl, *mut c_void, usize, *mut usize) -> c_int;
    SSL_write_ex: fn(*mut Ssl, *const c_void, usize, *mut usize) -> c_int;
    SSL_get_error: fn(*const Ssl, c_int) -> c_int;
    SSL_pending: fn(*const Ssl) -> c_int;
    BIO_get_new_index: fn() -> c_int;
    BIO_meth_new: fn(c_int, *const c_char) -> *mut BioMethod;
    BIO_meth_set_read: fn(*mut BioMethod, unsafe extern "C" fn(*mut Bio, *mut c_char, c_int) -> c_int) -> c_int;
    BIO_meth_set_write: fn(*mut BioMethod, unsafe extern "C" fn(*mut Bio, *const c_char, c_int) -> c_int) -> c_int;
    BIO_meth_set_ctrl: fn(*mut BioMethod, unsafe extern "C" fn(*mut Bio, c_int, c_long, *mut c_void) -> c_long) -> c_int;
    BIO_meth_set_destroy: fn(*mut BioMethod, unsafe extern "C" fn(*mut Bio) -> c_int) -> c_int;
    BIO_new: fn(*const BioMethod) -> *mut Bio;
    BIO_set_data: fn(*mut Bio, *mut c_void);
    BIO_get_data: fn(*mut Bio) -> *mut c_void;
    BIO_set_init: fn(*mut Bio, c_int);
    BIO_set_flags: fn(*mut Bio, c_int);
    BIO_clear_flags: fn(*mut Bio, c_int);
}

/// Why the OpenSSL of this process cannot be driven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// Whoever makes the sessions could not be looked at.
    Unreadable(String),
    /// A function is not there, or not to be seen, as in an OpenSSL that is linked into the interpreter.
    Missing(&'static str),
    /// A version before 1.1.1.
    Old,
    /// A registration was refused.
    Registration,
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(why) => write!(formatter, "the library that made the TLS session cannot be read: {why}"),
            Self::Missing(name) => write!(formatter, "OpenSSL's function {name} is not to be found in this process"),
            Self::Old => formatter.write_str("OpenSSL is older than 1.1.1"),
            Self::Registration => formatter.write_str("OpenSSL has refused to register a stream or an observer"),
        }
    }
}

impl std::error::Error for Refused {}

/// The OpenSSL of this process.
pub struct Library {
    pub(super) functions: Functions,
    pub(super) method: bio::Method,
    /// Keeps the functions where they are.
    _shared: libloading::os::unix::Library,
}

/// OpenSSL 1.1.1.
const OLDEST: c_ulong = 0x1010_1000;

/// `CRYPTO_EX_INDEX_SSL`: the data of sessions.
const SESSIONS: c_int = 0;

static LIBRARY: OnceLock<Result<Library, Refused>> = OnceLock::new();

impl Library {
    /// The OpenSSL that the loaded module `maker` uses, such as Python's `_ssl`; without a path, that of the program
    /// itself. The first call decides; the answer is kept for the life of the process.
    ///
    /// # Errors
    /// [`Refused`] says why it cannot be driven.
    pub fn find(maker: Option<&Path>) -> Result<&'static Self, Refused> {
        LIBRARY.get_or_init(|| Self::load(maker)).as_ref().map_err(Clone::clone)
    }

    fn load(maker: Option<&Path>) -> Result<Self, Refused> {
        use libloading::os::unix::Library as Shared;
        let shared = match maker {
            // SAFETY: the module is loaded already, so that no initialiser runs.
            Some(path) => unsafe { Shared::open(Some(path), libloading::os::unix::RTLD_NOW) }
                .map_err(|error| Refused::Unreadable(error.to_string()))?,
            None => Shared::this(),
        };
        // SAFETY: these names are OpenSSL's, and what claims them follows its documentation; the handle is kept
        // beside them. What is registered below stays where it is when a later step fails: `maker` holds the library.
        let functions = unsafe { Functions::find(&shared)? };
        // SAFETY: takes nothing.
        if unsafe { (functions.OpenSSL_version_num)() } < OLDEST {
            return Err(Refused::Old);
        }
        let method = bio::Method::register(&functions).ok_or(Refused::Registration)?;
        let none = std::ptr::null_mut();
        // SAFETY: the callback has the signature that is asked for and lives as long as the process.
        let index =
            unsafe { (functions.CRYPTO_get_ex_new_index)(SESSIONS, 0, none, capture::session_made, none, none) };
        if index < 0 {
            return Err(Refused::Registration);
        }
        Ok(Self { functions, method, _shared: shared })
    }

    /// The library, by code that can only run once it was found.
    pub(super) fn found() -> Option<&'static Self> {
        LIBRARY.get().and_then(|library| library.as_ref().ok())
    }
}
