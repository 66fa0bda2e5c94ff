//! Clusters of processes of the real binary, on loopback.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod dev_cluster;
mod following;
mod http;
mod losing;
mod membership;
mod running;
mod worker;
