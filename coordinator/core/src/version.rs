//! Versions of what the log says, so that coordinators of two versions of the program agree while one replaces the other.
//!
//! A cluster has a version, which is part of the state, and which [`crate::LogCommand::Upgrade`] raises once all
//! coordinators know the next one. Until then each of them can be replaced by its older self again. So that this holds:
//!
//! - Commands and effects are only ever added, at the end, with the version that they came with ([`LogCommand::needs`]);
//!   those that are there keep their encoding. A coordinator stops at a command that it does not know.
//! - What a command does is changed only for states of the new version.
//! - A new field of the state has a default, which it keeps in states of older versions: a snapshot names its fields, and
//!   those that a coordinator does not know are left out.
//!
//! The tests in `tests/behaviour/versions.rs` hold commands and a snapshot of every version that was ever used.

use crate::LogCommand;

/// The version of a cluster that was never upgraded.
pub const FIRST_VERSION: u32 = 1;

/// The newest version that this program knows. With the feature `next-version` it is one more than what is released, for
/// rehearsing an upgrade: the new version has a command of its own, and a part of the state.
pub const NEWEST_VERSION: u32 = if cfg!(feature = "next-version") { 2 } else { 1 };

impl LogCommand {
    /// The version that has to be known for understanding it.
    pub const fn needs(&self) -> u32 {
        match self {
            Self::Upgrade { version } => *version,
            #[cfg(feature = "next-version")]
            Self::Rehearse => NEWEST_VERSION,
            _ => FIRST_VERSION,
        }
    }
}
