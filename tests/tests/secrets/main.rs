//! Secrets: where steps find them, and that nothing that is kept or sent has any part of one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should fail right there"
)]

mod canary;
mod cluster;
mod documents;
mod keys;
#[path = "../e2e/images/made.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod made;
mod missing;
mod outputs;
mod services;
mod support;
