//! A host of plain numbers.

use std::sync::Arc;

use tulipa_core::sim::SimDriver;
use tulipa_core::{Host, Inbox, Loop};

/// A scheduled call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Call(pub(crate) u32);

/// A waiting operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiter(pub(crate) u32);

/// A transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Owner(pub(crate) u32);

pub(crate) struct TestHost;

impl Host for TestHost {
    type Callback = Call;
    type Waiter = Waiter;
    type Owner = Owner;
    type Chunk = Vec<u8>;
}

pub(crate) type SimLoop = Loop<SimDriver, TestHost>;

pub(crate) type Calls = Arc<Inbox<Call>>;

pub(crate) fn new_loop(driver: SimDriver) -> (SimLoop, Calls) {
    let inbox = Calls::default();
    (Loop::new(driver, Arc::clone(&inbox)), inbox)
}
