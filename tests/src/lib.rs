//! Whole-system tests: the tidy checks on the code itself, and end-to-end tests that drive the real binary on
//! the example projects. This library holds what they share: the binary, a checkout of an example, and the
//! outcome of a run as its JSON events tell it.

mod binary;
pub mod bucket;
pub mod calls;
mod checkout;
pub mod cluster;
mod outcome;
mod user;
mod within;

use std::path::{Path, PathBuf};

pub use binary::{cullet_binary, next_binary};
pub use checkout::Checkout;
pub use outcome::{Finished, Outcome};
pub use user::User;
pub use within::within;

/// The root of the repository that this crate was built from.
pub fn repository_root() -> PathBuf {
    let manifest_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest_dir.parent().unwrap_or(manifest_dir).to_path_buf()
}
