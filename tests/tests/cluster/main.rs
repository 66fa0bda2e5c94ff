//! Clusters of processes of the real binary, on loopback.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod dev_cluster;
mod explaining;
mod following;
mod grpc;
mod http;
mod limits;
mod losing;
mod membership;
mod metrics;
mod running;
mod traces;
mod worker;
