//! Steps in containers of a real Docker engine, which these tests start for themselves: what they see, what the cache
//! makes of them, how they end, and what is left in the engine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should fail right there"
)]

mod caches;
mod cluster;
mod engine;
mod full;
#[path = "../hostile/guest.rs"]
mod guest;
#[path = "../secrets/support.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod hidden;
mod instead;
mod left_over;
mod loading;
#[path = "../e2e/images/made.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod made;
#[path = "../e2e/shell/person.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod person;
mod roots;
mod same;
mod secrets;
mod services;
mod shell;
mod steps;
#[path = "../../../image/tests/images/stub.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod stub;
#[path = "../hostile/support.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod support;
mod trouble;
