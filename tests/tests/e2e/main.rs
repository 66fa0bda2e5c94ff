//! The real binary on real projects: what is executed, what the cache answers, and what a person gets to see.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should fail right there"
)]

mod afterwards;
mod bad_input;
mod break_glass;
mod bundle;
mod caches;
mod click;
mod csv;
mod documents;
mod failing;
mod images;
mod interrupt;
mod repair;
mod roots;
mod rules;
mod sandbox;
mod services;
mod shared_cache;
mod shell;
mod verify;
mod zlib;
