//! The rules that no compiler checks: which crate may know which, how long a file or a function may be, what
//! must carry a reason, and that the documentation keeps up. Each rule is a function from text to violations,
//! with a test that it catches a planted one; [`tree`] applies them to this repository.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should fail right there"
)]

mod arrows;
mod attributes;
mod dependencies;
mod documents;
mod external;
mod functions;
mod leftovers;
mod length;
mod manifests;
mod metadata;
mod policy;
mod repository;
mod safety;
mod tree;
mod violation;
