//! A worker in a cluster: real attempts, and a server on loopback that plays the coordinator.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

#[path = "../support/mod.rs"]
mod support;

mod connecting;
mod draining;
mod fixture;
mod lifecycle;
mod logs;
mod neighbours;
mod peer;
mod publishing;
