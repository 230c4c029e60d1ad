//! The core's tests from outside: on the simulated driver, driven turn by turn as a binding drives it.
//!
//! `worlds` grows a thousand worlds from seeds and checks after every step what must always hold; the other files state
//! one rule at a time.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod bench;
mod datagrams;
mod host;
mod listeners;
mod simulation;
mod streams;
mod turns;
mod watches;
mod worlds;
