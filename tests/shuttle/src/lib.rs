//! `inbox.rs` of tulipa-core, word for word, over the types of shuttle, which runs a test again and again and chooses each
//! time which thread goes on at each of their steps.
//!
//! shuttle knows one order of all accesses and no weaker one. That is exact as long as each access asks for `SeqCst`,
//! which `tests/inbox.rs` checks. (loom would know the weaker ones, but takes `SeqCst` for `AcqRel`.)

#[path = "../../../crates/tulipa-core/src/inbox.rs"]
pub mod inbox;

/// In the place of tulipa-core's module of this name.
mod sync {
    pub(crate) use shuttle::sync::Mutex;
    pub(crate) use shuttle::sync::atomic::{AtomicBool, Ordering};
    pub(crate) use std::sync::PoisonError;
}
