//! What the inbox is made of. Kept apart so that `tests/shuttle` can compile the same inbox over a model checker's types.

pub(crate) use std::sync::atomic::{AtomicBool, Ordering};
pub(crate) use std::sync::{Mutex, PoisonError};
