//! Clusters of processes of the real binary, on loopback.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod audits;
mod bucket;
mod caches;
mod dev_cluster;
mod explaining;
mod following;
mod gate;
mod grpc;
mod http;
mod images;
mod journals;
mod limits;
mod losing;
#[path = "../e2e/images/made.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod made;
mod membership;
mod metrics;
mod pulling;
mod reflection;
mod roots;
mod running;
mod scopes;
mod services;
#[path = "../../../image/tests/images/stub.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod stub;
mod traces;
mod trust;
mod worker;
