//! A step that failed.

use cullet_coordinator::{StepEnd, TestSummary};

use super::Tail;
use crate::ui::{clean, duration};

/// A step that failed, with what a person needs to see of it.
#[derive(Debug)]
pub struct Failure {
    /// Its name.
    pub step: String,
    /// `failed`, `timed_out` or `infra_failed`.
    pub status: String,
    /// Of the process.
    pub exit_code: Option<i32>,
    /// Why, where there is no exit code that says it.
    pub reason: Option<String>,
    /// How long it ran, in milliseconds.
    pub duration_ms: u64,
    /// The run does not fail because of it.
    pub tolerated: bool,
    /// It shares the failure of an identical step that ran.
    pub shared: bool,
    /// What its reports say.
    pub tests: Option<TestSummary>,
    /// The end of its log, if it ran under observation.
    pub tail: Tail,
}

impl Failure {
    pub(super) fn new(end: &StepEnd, tail: Tail) -> Self {
        Self {
            step: end.step.clone(),
            status: end.status.clone(),
            exit_code: end.exit_code,
            reason: end.reason.clone(),
            duration_ms: end.duration_ms,
            tolerated: end.allow_failure,
            shared: end.cached,
            tests: end.tests.clone(),
            tail,
        }
    }

    /// What happened, in a few words.
    pub fn cause(&self) -> String {
        cause(&self.status, self.exit_code, self.reason.as_deref(), self.duration_ms)
    }
}

/// Why a step did not succeed, in a few words on one line.
pub fn cause(status: &str, exit_code: Option<i32>, reason: Option<&str>, duration_ms: u64) -> String {
    let what = match (status, exit_code) {
        ("timed_out", _) => format!("timed out after {}", duration::human_ms(duration_ms)),
        ("infra_failed", _) => "the machine failed it".to_owned(),
        // The process did not fail: the reason says what did.
        (_, Some(0)) if reason.is_some() => String::new(),
        (_, Some(code)) => exit(code),
        _ => String::new(),
    };
    match (what.is_empty(), reason.map(clean::line)) {
        (true, Some(reason)) => reason,
        (true, None) => status.replace('_', " "),
        (false, Some(reason)) => format!("{what}: {reason}"),
        (false, None) => what,
    }
}

/// Above 128 shells and [`cullet_core`] put the number of the signal.
fn exit(code: i32) -> String {
    let name = match code - 128 {
        1 => "SIGHUP",
        2 => "SIGINT",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        _ => return format!("exit code {code}"),
    };
    format!("exit code {code} ({name})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_say_what_a_person_would_ask() {
        assert_eq!(cause("failed", Some(2), None, 0), "exit code 2");
        assert_eq!(cause("failed", Some(137), None, 0), "exit code 137 (SIGKILL)");
        assert_eq!(cause("timed_out", None, None, 61_000), "timed out after 1m 01s");
        assert_eq!(cause("failed", Some(0), Some("no output"), 0), "no output");
        assert_eq!(cause("cancelled", None, None, 0), "cancelled");
    }
}
