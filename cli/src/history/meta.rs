//! What a run was started as.

use cullet_cache::Scope;
use serde::{Deserialize, Serialize};

use super::process;

/// A run as it was started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Its name, 32 hexadecimal digits.
    pub run: String,
    /// The pipeline's name.
    pub pipeline: String,
    /// The pipeline file, absolute.
    pub file: String,
    /// When, in milliseconds since the Unix epoch.
    pub started_at_ms: u64,
    /// The process that executes it.
    pub pid: u32,
    /// When that process started, in the kernel's own unit: with `pid` it names one process for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid_started: Option<u64>,
    /// The words of the command line.
    pub command_line: Vec<String>,
    /// Steps that were asked for; empty for all.
    #[serde(default)]
    pub targets: Vec<String>,
    /// Parameters that were set.
    #[serde(default)]
    pub params: Vec<(String, String)>,
    /// The cluster that executes it, as it was named; none for this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Whose results it made, where those are not the usual ones of this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Its results belong to the quarantine scope.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub break_glass: bool,
    /// The version of Cullet.
    pub version: String,
}

impl Meta {
    /// With everything that this process knows of itself; the rest is the caller's.
    pub fn of_this_process() -> Self {
        let pid = std::process::id();
        Self {
            pid,
            pid_started: process::started(pid),
            command_line: std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..Self::default()
        }
    }

    /// The same as it is used. What is no scope is written by nobody, and nothing is found in it.
    pub fn scope(&self) -> Option<Scope> {
        let unknown = || Scope::Quarantine("unknown".to_owned());
        self.scope.as_deref().map(|scope| scope.parse().unwrap_or_else(|_| unknown()))
    }
}
