//! What installs a cluster: the chart for Kubernetes, and `compose.yaml`. What they render is checked against schemas, and
//! the real program is started with it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod bucket;
mod chart;
mod compose;
mod pods;
mod processes;
mod rendering;
mod tools;
