//! Bad input, bad luck and bad machines, tried on the real binary: what is said, how it ends, and that the
//! cache is right afterwards.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should fail right there"
)]

mod damage;
mod delivery;
mod disk;
mod forbidden;
mod guest;
mod handing_out;
mod history;
mod images;
mod killing;
mod layers;
#[path = "../e2e/images/made.rs"]
mod made;
mod memory;
mod outputs;
mod packages;
mod pipeline_files;
#[path = "../../../image/tests/images/proxy.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod proxy;
mod push;
mod registries;
#[path = "../../../image/tests/images/registry.rs"]
mod registry;
mod roots;
mod rules;
mod services;
mod settings;
mod sharing;
mod sources;
mod stopping;
mod storms;
mod streams;
#[path = "../../../image/tests/images/stub.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod stub;
mod sub_ids;
mod support;
mod unprivileged;
