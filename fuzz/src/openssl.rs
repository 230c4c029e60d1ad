//! Pairs of TLS sessions of the system's OpenSSL, adopted as the binding adopts those of Python's `_ssl`.

use std::ffi::{CString, c_char, c_int, c_long, c_void};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use libloading::os::unix::{Library as Shared, Symbol};
use tulipa_tls::{Library, Session};

type Pointer = *mut c_void;

/// The names under which the system's library is looked for.
const NAMES: [&str; 2] = ["libssl.so.3", "libssl.so.1.1"];

/// `SSL_CTRL_MODE`: a write that has to be repeated may come from other memory, as Python's `ssl` has it.
const MODE: (c_int, c_long) = (33, 2 | 4);
/// `SSL_CTRL_SET_MAX_PROTO_VERSION`.
const SET_MAX_VERSION: c_int = 124;
const TLS_1_2: c_long = 0x0303;
const PEM: c_int = 1;

struct Functions {
    new: Symbol<unsafe extern "C" fn(Pointer) -> Pointer>,
    free: Symbol<unsafe extern "C" fn(Pointer)>,
    accept: Symbol<unsafe extern "C" fn(Pointer)>,
    connect: Symbol<unsafe extern "C" fn(Pointer)>,
}

/// The library, and a context for each version of the protocol.
struct Tls {
    library: &'static Library,
    functions: Functions,
    /// `SSL_CTX`, kept for the life of the process: TLS 1.2, then 1.3.
    contexts: [usize; 2],
    _shared: Shared,
}

static TLS: OnceLock<Tls> = OnceLock::new();

/// A session, freed with its driver.
pub struct Owned(Pointer);

impl Drop for Owned {
    fn drop(&mut self) {
        if let Some(tls) = TLS.get() {
            // SAFETY: made by `SSL_new`, and nobody else's.
            unsafe { (tls.functions.free)(self.0) }
        }
    }
}

/// A client and a server that have not begun.
///
/// # Panics
/// Where there is no OpenSSL, as library and as command.
#[must_use]
pub fn pair(newest: bool) -> (Session<Owned>, Session<Owned>) {
    let tls = TLS.get_or_init(load);
    let context = tls.contexts[usize::from(newest)];
    (session(tls, context, false), session(tls, context, true))
}

fn session(tls: &'static Tls, context: usize, server: bool) -> Session<Owned> {
    // SAFETY: a context of ours; the state is set before the session begins.
    let (made, captured) = tls.library.capture(|| unsafe {
        let made = (tls.functions.new)(context as Pointer);
        assert!(!made.is_null(), "a session");
        if server {
            (tls.functions.accept)(made)
        } else {
            (tls.functions.connect)(made)
        }
        made
    });
    let captured = captured.expect("one session was made");
    // SAFETY: it is alive, has not begun, and `Owned` keeps it.
    unsafe { Session::adopt(tls.library, captured, server, Owned(made)) }.expect("adopted")
}

fn load() -> Tls {
    let open = |name: &'static str| {
        // SAFETY: OpenSSL's initialisers may run anywhere.
        unsafe { Shared::new(name) }.ok().map(|shared| (name, shared))
    };
    let (name, shared) = NAMES.into_iter().find_map(open).expect("the system's OpenSSL");
    let library = Library::find(Some(Path::new(name))).expect("an OpenSSL that can be driven");
    // SAFETY: OpenSSL's names, with the signatures of its documentation.
    unsafe {
        let functions = Functions {
            new: shared.get(b"SSL_new\0").expect("SSL_new"),
            free: shared.get(b"SSL_free\0").expect("SSL_free"),
            accept: shared.get(b"SSL_set_accept_state\0").expect("SSL_set_accept_state"),
            connect: shared.get(b"SSL_set_connect_state\0").expect("SSL_set_connect_state"),
        };
        let identity = Identity::make();
        let contexts = [false, true].map(|newest| context(&shared, &identity, newest) as usize);
        Tls { library, functions, contexts, _shared: shared }
    }
}

/// # Safety
/// `shared` is OpenSSL.
unsafe fn context(shared: &Shared, identity: &Identity, newest: bool) -> Pointer {
    type UseFile = unsafe extern "C" fn(Pointer, *const c_char, c_int) -> c_int;
    // SAFETY: OpenSSL's names, with the signatures of its documentation; the strings outlive the calls.
    unsafe {
        let method: Symbol<unsafe extern "C" fn() -> Pointer> = shared.get(b"TLS_method\0").expect("TLS_method");
        let new: Symbol<unsafe extern "C" fn(Pointer) -> Pointer> = shared.get(b"SSL_CTX_new\0").expect("SSL_CTX_new");
        let control: Symbol<unsafe extern "C" fn(Pointer, c_int, c_long, Pointer) -> c_long> =
            shared.get(b"SSL_CTX_ctrl\0").expect("SSL_CTX_ctrl");
        let certificate: Symbol<UseFile> = shared.get(b"SSL_CTX_use_certificate_file\0").expect("use_certificate_file");
        let key: Symbol<UseFile> = shared.get(b"SSL_CTX_use_PrivateKey_file\0").expect("use_PrivateKey_file");
        let context = new(method());
        assert!(!context.is_null(), "a context");
        assert_eq!(certificate(context, identity.certificate.as_ptr(), PEM), 1, "the certificate");
        assert_eq!(key(context, identity.key.as_ptr(), PEM), 1, "the key");
        control(context, MODE.0, MODE.1, std::ptr::null_mut());
        if !newest {
            assert_eq!(control(context, SET_MAX_VERSION, TLS_1_2, std::ptr::null_mut()), 1, "TLS 1.2");
        }
        context
    }
}

/// A server's certificate and its key, made now and kept nowhere.
struct Identity {
    folder: PathBuf,
    certificate: CString,
    key: CString,
}

impl Identity {
    fn make() -> Self {
        let folder = std::env::temp_dir().join(format!("tulipa-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = |name| folder.join(name).into_os_string().into_string().expect("a path in text");
        let (certificate, key) = (path("certificate.pem"), path("key.pem"));
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
            .args(["-days", "2", "-subj", "/CN=server.test", "-keyout", &key, "-out", &certificate])
            .output()
            .expect("the command `openssl`");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let text = |path: String| CString::new(path).expect("no zero in a path");
        Self { certificate: text(certificate), key: text(key), folder }
    }
}

impl Drop for Identity {
    fn drop(&mut self) {
        let _left = std::fs::remove_dir_all(&self.folder);
    }
}
