//! The `cullet` command: arguments become configuration becomes wiring. A library, so that tests and the
//! binary use the same code.

pub mod args;
pub mod config;
pub mod error;
pub mod history;
pub mod paths;
pub mod ui;

pub use error::{CliError, ErrorKind, ExitStatus};
