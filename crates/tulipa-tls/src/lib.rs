//! TLS sessions driven in memory: ciphertext in, plaintext out, and back.
//!
//! | module | what lives there |
//! |---|---|
//! | [`buffer`] | blocks of memory that are borrowed while data flows |
//! | [`wire`] | both directions of a connection's ciphertext, between a session and whoever moves it |
//! | [`openssl`] | sessions of the OpenSSL that is loaded already: found, captured while they are made, and driven |
//!
//! A `SSLContext` of Python's cannot be translated: its keys and callbacks cannot be read back. So Python makes the
//! session, and this crate drives it, without a call into Python for each record. It knows neither Python nor sockets.
#![deny(unsafe_code)]

pub mod buffer;
pub mod openssl;
pub mod wire;

pub use buffer::Buffer;
pub use openssl::{Library, Read, Refused, Session, Write};
pub use wire::Wire;
