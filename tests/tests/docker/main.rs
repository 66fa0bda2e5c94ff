//! Steps in containers of a real Docker engine, which these tests start for themselves: what they see, what the cache
//! makes of them, how they end, and what is left in the engine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should fail right there"
)]

mod cluster;
mod engine;
#[path = "../hostile/guest.rs"]
mod guest;
mod instead;
mod left_over;
mod loading;
#[path = "../e2e/images/made.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod made;
mod same;
mod steps;
#[path = "../../../image/tests/images/stub.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod stub;
#[path = "../hostile/support.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod support;
mod trouble;
