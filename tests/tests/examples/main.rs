//! The example projects: in an image of Debian packages that comes from a registry, the same for root, for an ordinary user and
//! on Docker; and on a laptop when the cluster that built them is gone.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should fail right there"
)]

mod debian;
#[path = "../docker/engine.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod engine;
#[path = "../hostile/guest.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod guest;
mod laptop;
#[path = "../e2e/images/made.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod made;
mod places;
mod same;
#[path = "../hostile/support.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod support;
