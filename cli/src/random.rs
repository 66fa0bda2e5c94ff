//! Numbers that nobody else has.

use std::hash::{BuildHasher as _, RandomState};

/// 64 bits from the operating system, by the standard library's only way to them.
pub(crate) fn number() -> u64 {
    RandomState::new().hash_one(std::process::id())
}
