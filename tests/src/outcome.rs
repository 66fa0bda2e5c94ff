//! What a run did, as its JSON events tell it.

use std::collections::BTreeMap;
use std::process::Output;

use serde_json::Value;

/// A finished step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// As in `step_finished`.
    pub status: String,
    /// Whether the cache answered.
    pub cached: bool,
    /// The step's key, where it got one.
    pub action_digest: Option<String>,
    /// Why it did not succeed, where there is more to say than the status.
    pub reason: Option<String>,
}

/// A run.
#[derive(Debug)]
pub struct Outcome {
    /// The process's exit code.
    pub exit_code: i32,
    /// Steps by name.
    pub steps: BTreeMap<String, Finished>,
    /// All events.
    pub events: Vec<Value>,
    /// What the process said beside them.
    pub stderr: String,
}

impl Outcome {
    /// Reads the output of `cullet run --progress json`.
    ///
    /// # Panics
    /// Where a line is not an event: standard output must hold nothing else.
    pub fn of(output: &Output) -> Self {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let parse = |line: &str| match serde_json::from_str::<Value>(line) {
            Ok(event) if event["event"].is_string() && event["time"].is_string() => event,
            _ => panic!("not an event: {line:?}\nstandard error: {stderr}"),
        };
        let events: Vec<Value> = String::from_utf8_lossy(&output.stdout).lines().map(parse).collect();
        let finished = events.iter().filter(|event| event["event"] == "step_finished");
        let steps = finished.map(|event| (text(event, "step"), finished_step(event))).collect();
        Self { exit_code: output.status.code().unwrap_or(-1), steps, events, stderr }
    }

    /// Names of the steps that were executed, in order.
    pub fn executed(&self) -> Vec<&str> {
        self.names(|step| !step.cached && step.status != "skipped")
    }

    /// Names of the steps that the cache answered, in order.
    pub fn cached(&self) -> Vec<&str> {
        self.names(|step| step.cached)
    }

    /// The steps that were executed, with the instances of a matrix counted under their common name.
    pub fn executed_by_kind(&self) -> BTreeMap<&str, usize> {
        let mut kinds = BTreeMap::new();
        for name in self.executed() {
            *kinds.entry(name.split('[').next().unwrap_or(name)).or_insert(0) += 1;
        }
        kinds
    }

    /// Fails the test, with all there is to know, unless everything succeeded.
    ///
    /// # Panics
    /// Unless the exit code is 0.
    pub fn assert_success(&self) {
        assert_eq!(self.exit_code, 0, "steps: {:#?}\n{}", self.failures(), self.stderr);
    }

    fn names(&self, wanted: impl Fn(&Finished) -> bool) -> Vec<&str> {
        self.steps.iter().filter(|(_, step)| wanted(step)).map(|(name, _)| name.as_str()).collect()
    }

    /// Whatever did not succeed, and what it printed.
    fn failures(&self) -> Vec<String> {
        let failed = self.steps.iter().filter(|(_, step)| step.status != "succeeded");
        let log = |name: &str| -> String {
            let of_step = |event: &&Value| event["event"] == "step_log" && event["step"] == name;
            self.events.iter().filter(of_step).map(|event| text(event, "text")).collect()
        };
        let describe = |(name, step): (&String, &Finished)| {
            format!("{name}: {} {}\n{}", step.status, step.reason.as_deref().unwrap_or_default(), log(name))
        };
        failed.map(describe).collect()
    }
}

fn finished_step(event: &Value) -> Finished {
    Finished {
        status: text(event, "status"),
        cached: event["cached"].as_bool().unwrap_or_default(),
        action_digest: event["action_digest"].as_str().map(str::to_owned),
        reason: event["reason"].as_str().map(str::to_owned),
    }
}

fn text(event: &Value, key: &str) -> String {
    event[key].as_str().unwrap_or_default().to_owned()
}
