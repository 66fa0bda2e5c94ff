//! Errors that cross the socket between the launcher and cullet.

use std::io;

use serde::{Deserialize, Serialize};

use crate::ExecuteError;

/// What could not be done, and the operating system's reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("cannot {action}: {}", io::Error::from_raw_os_error(*errno))]
pub(crate) struct Fault {
    pub(crate) action: String,
    pub(crate) errno: i32,
}

impl Fault {
    pub(crate) fn new(action: impl Into<String>, errno: i32) -> Self {
        Self { action: action.into(), errno }
    }

    pub(crate) fn io_error(&self) -> io::Error {
        io::Error::from_raw_os_error(self.errno)
    }
}

impl From<Fault> for ExecuteError {
    fn from(fault: Fault) -> Self {
        Self::Setup { source: fault.io_error(), action: fault.action }
    }
}

/// Says what was being done when a call failed.
pub(crate) trait During<T> {
    /// `action` completes the sentence "cannot …".
    fn during(self, action: impl Into<String>) -> Result<T, Fault>;
}

impl<T> During<T> for io::Result<T> {
    fn during(self, action: impl Into<String>) -> Result<T, Fault> {
        self.map_err(|error| Fault::new(action, error.raw_os_error().unwrap_or(libc::EIO)))
    }
}

impl<T> During<T> for nix::Result<T> {
    fn during(self, action: impl Into<String>) -> Result<T, Fault> {
        self.map_err(|errno| Fault::new(action, errno as i32))
    }
}
