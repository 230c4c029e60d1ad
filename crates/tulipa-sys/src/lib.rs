//! What touches the operating system: descriptors, pollers, and the drivers that adapt them to the contract of
//! [`tulipa_core::Driver`].
//!
//! | module | what lives there |
//! |---|---|
//! | [`driver`] | [`SystemDriver`], the choice among the drivers at run time, and `Readiness`, which makes completions of a poller's reports |
//! | `poller` | one module for each of `epoll`, `poll`, `select` and `uring`, behind one contract |
//! | [`source`] | one open thing and how to read and write it without blocking and without touching flags that others share |
//! | [`socket`], [`address`], [`file`](mod@file) | single operations for the world above, and socket addresses |
//! | [`child`] | starting a program in a child process without waiting for it |
//! | [`pool`], `offload` | threads for calls that block; reading and writing on them what no poller can watch |
//! | [`storage`] | files: opening them, and reading and writing at an offset, which may wait for a disk |
//! | [`resolver`] | names and addresses, as the C library looks them up |
//! | [`waker`], [`clock`], [`probe`] | ending a wait from another thread, the clock, and what this kernel offers |
//! | [`descriptor`] | where a number becomes something that is owned or borrowed |
//!
//! Nothing here decides what a program gets to see: that is `tulipa-core`. Unsafe code is allowed by name, in the modules
//! that say so in their first lines.
#![deny(unsafe_code)]

pub mod address;
pub mod child;
pub mod clock;
pub mod descriptor;
pub mod driver;
mod errno;
pub mod file;
mod offload;
mod poller;
pub mod pool;
pub mod probe;
pub mod resolver;
mod signals;
pub mod socket;
pub mod source;
pub mod storage;
mod transfer;
pub mod waker;

pub use address::{Address, Endpoint};
pub use descriptor::Descriptor;
pub use driver::{DEFAULT, NAMES, OpenError, SystemDriver, SystemNap};
pub use source::{Kind, Source};
pub use waker::Waker;
