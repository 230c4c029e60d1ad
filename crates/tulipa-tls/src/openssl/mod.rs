//! Sessions of the OpenSSL that is loaded already.
//!
//! There is exactly one library to use: the one that made the session. A second copy, linked or loaded, could be of
//! another version, and its structures are not the first one's. So the functions are looked up where the maker of the
//! sessions found them, and a session becomes known by asking OpenSSL to report each that is made ([`capture`]), not
//! by guessing where the maker keeps it.
//!
//! Everything unsafe of this crate is in this folder.
#![allow(unsafe_code, reason = "speaks OpenSSL's C interface; each block says why it is sound")]

mod bio;
mod capture;
mod library;
mod session;

pub use capture::Captured;
pub use library::{Library, Refused};
pub use session::{Read, Session, Write};
