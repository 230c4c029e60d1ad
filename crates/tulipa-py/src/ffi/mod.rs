//! The rooms in which unsafe code lives, and the only ones. Each turns one dangerous thing into something that safe
//! code cannot misuse:
//!
//! | room | what it makes safe |
//! |---|---|
//! | [`object`] | references to Python objects that are counted at once |
//! | [`cell`] | state that is touched only in short sections (R2) |
//! | [`slot`] | fields of Python objects that hold other objects |
//! | [`known`] | a quick look whether a method was replaced |
//! | [`native_type`] | Python types that add native fields to a Python base |
//! | [`pool`] | types whose instances are used again |
//! | [`raw`] | methods that CPython calls without an intermediary |
//! | [`audit`] | audit events |
//! | [`call`] | calls in a context, and calls of methods by name |
//! | [`awaitable`] | types that can be awaited |
//! | [`buffer`] | other people's memory |
//! | [`bytes`] | `bytes` objects that are filled before anybody sees them |
//! | [`bytearray`] | the memory of a `bytearray` that grows and shrinks |
//! | [`instance`] | the attributes of an instance |
//! | [`ssl_session`] | TLS sessions that Python's `ssl` made |
//! | [`wakeup`] | Python's wake-up descriptor, borrowed |

pub(crate) mod audit;
pub(crate) mod awaitable;
pub(crate) mod buffer;
pub(crate) mod bytearray;
pub(crate) mod bytes;
pub(crate) mod call;
pub(crate) mod cell;
pub(crate) mod instance;
pub(crate) mod known;
pub(crate) mod native_type;
pub(crate) mod object;
pub(crate) mod pool;
pub(crate) mod raw;
pub(crate) mod slot;
pub(crate) mod ssl_session;
pub(crate) mod wakeup;
