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

/// What a client of HTTP/2 says first (RFC 9113, sections 3.4 and 6.5): its preface, and settings that change nothing.
pub const HTTP2_HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// The root of the repository that this crate was built from.
pub fn repository_root() -> PathBuf {
    let manifest_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest_dir.parent().unwrap_or(manifest_dir).to_path_buf()
}
