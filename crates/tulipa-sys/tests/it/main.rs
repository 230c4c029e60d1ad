//! What every driver of this operating system must do, with the same bodies for all of them, and what the single
//! operations around them must do.
#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

mod children;
mod datagrams;
mod edges;
mod files;
mod listeners;
mod offloaded;
mod pipes;
mod registrations;
mod sockets;
mod storage;
mod streams;
mod terminals;
mod traffic;
mod waits;
mod world;
