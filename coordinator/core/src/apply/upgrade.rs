//! The cluster is upgraded.

use super::Transition;
use crate::NEWEST_VERSION;

impl Transition<'_> {
    /// A program that does not know the version never gets here: it stops where the command is decoded.
    pub(super) fn upgrade(&mut self, version: u32) {
        if version <= self.state.version() || version > NEWEST_VERSION {
            return self.refuse();
        }
        self.state.upgrade(version);
    }
}
