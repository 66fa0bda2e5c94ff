//! Whole-system tests: the tidy checks on the code itself, and end-to-end tests that drive the real binary on
//! the example projects. This library holds only what both need.

use std::path::{Path, PathBuf};

/// The root of the checkout that this crate was built from.
pub fn repository_root() -> PathBuf {
    let manifest_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest_dir.parent().unwrap_or(manifest_dir).to_path_buf()
}
