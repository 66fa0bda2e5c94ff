//! Attempts from their inputs to their results, with the real disk cache.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

mod abandoned;
mod caching;
mod fixture;
mod hostile;
mod images;
mod inputs;
mod limits;
mod logs;
mod outputs;
mod results;
mod roots;
mod sandboxed;
mod services;
