//! The cache in registries: Debian's `docker-registry`, where it is installed (`./test` does that), and one that fails as a
//! test wants.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod collector;
mod conforms;
mod damage;
mod faults;
mod mirrored;
#[path = "../../../../image/tests/images/registry.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod registry;
#[path = "../../../../image/tests/images/stub.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod stub;
mod support;
