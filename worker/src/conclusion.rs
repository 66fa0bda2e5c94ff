//! What an attempt comes to for whoever asked for it, next door or across a network.

use cullet_cache::{ActionResult, BlobStore};
use cullet_digest::TreeRef;

use crate::junit::{self, TestSummary};
use crate::{AttemptReport, LostInput, LostInputs};

/// What a step declares, as far as its end has to do with it.
#[derive(Debug, Clone, Copy)]
pub struct Declared<'a> {
    /// Paths of outputs, in the order of the step.
    pub outputs: &'a [String],
    /// Paths and trees of inputs, in the order of the step.
    pub inputs: &'a [(Box<str>, TreeRef)],
    /// Paths of JUnit reports among the outputs.
    pub reports: &'a [String],
}

/// How an attempt went, in the terms of the step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The process exited 0 and every output is in the cache.
    Succeeded {
        /// As many as the step declares.
        outputs: Box<[TreeRef]>,
    },
    /// The step's own fault.
    Failed {
        /// Of the process, or 128 + signal.
        exit_code: i32,
    },
    /// It ran longer than it may.
    TimedOut,
    /// Somebody asked for its end.
    Cancelled,
    /// The machine's fault.
    Infra {
        /// For people.
        reason: String,
    },
    /// It could not be started, and no machine could start it until somebody changes something.
    Impossible {
        /// For people.
        reason: String,
    },
    /// Inputs could not be read.
    InputLost {
        /// Positions in [`Declared::inputs`]; none where the directories around the inputs are lost.
        inputs: Box<[u16]>,
    },
}

/// The end of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conclusion {
    /// How it went.
    pub outcome: Outcome,
    /// How long the process ran, in milliseconds.
    pub duration_ms: u64,
    /// Of a process that ended by itself.
    pub exit_code: Option<i32>,
    /// Why it failed, where the exit code does not say it.
    pub reason: Option<String>,
    /// What the process left behind, its log at least. None where nothing ran.
    pub result: Option<ActionResult>,
    /// What its test reports say.
    pub tests: Option<TestSummary>,
    /// What did not work besides, in sentences. A success that has any is not in the action cache.
    pub notes: Vec<String>,
}

impl Conclusion {
    /// An end without anything to show for it.
    pub const fn bare(outcome: Outcome) -> Self {
        Self {
            outcome,
            duration_ms: 0,
            exit_code: None,
            reason: None,
            result: None,
            tests: None,
            notes: Vec::new(),
        }
    }

    /// What a report says; test reports are read from `blobs`.
    pub async fn of(report: AttemptReport, declared: Declared<'_>, blobs: &dyn BlobStore) -> Self {
        let mut conclusion = Self::without_tests(report, declared);
        if let Some(result) = &conclusion.result {
            conclusion.duration_ms = result.duration_ms;
            conclusion.tests = junit::summarise(result, declared.reports, blobs).await;
        }
        conclusion
    }

    fn without_tests(report: AttemptReport, declared: Declared<'_>) -> Self {
        match report {
            AttemptReport::Succeeded { result, warnings } => Self {
                exit_code: Some(0),
                notes: warnings,
                ..Self::bare(succeeded(&result, declared)).with(Some(result))
            },
            AttemptReport::Failed { result, reason, warnings } => {
                let exit_code = result.exit_code;
                let bare = Self::bare(Outcome::Failed { exit_code }).with(Some(result));
                Self { exit_code: Some(exit_code), reason, notes: warnings, ..bare }
            }
            AttemptReport::TimedOut { result, warnings } => {
                Self { notes: warnings, ..Self::bare(Outcome::TimedOut).with(Some(result)) }
            }
            AttemptReport::Cancelled { result } => Self::bare(Outcome::Cancelled).with(result),
            AttemptReport::Infra { reason, result } => Self::bare(Outcome::Infra { reason }).with(result),
            AttemptReport::Impossible { reason } => Self::bare(Outcome::Impossible { reason }),
            AttemptReport::InputLost(lost) => Self::bare(lost_inputs(&lost, declared)),
        }
    }

    fn with(self, result: Option<ActionResult>) -> Self {
        Self { result, ..self }
    }
}

fn succeeded(result: &ActionResult, declared: Declared<'_>) -> Outcome {
    match result.trees_at(declared.outputs) {
        Some(outputs) => Outcome::Succeeded { outputs },
        // The worker promises all of them; a result without one must not unlock anything.
        None => Outcome::Infra { reason: "the result lacks a declared output".to_owned() },
    }
}

/// Which inputs hold the paths that could not be read: those with the longest path in front of them. None where
/// it is the directories around the inputs that are lost.
fn lost_inputs(lost: &LostInputs, declared: Declared<'_>) -> Outcome {
    let mut inputs: Vec<u16> = Vec::new();
    for LostInput { path, .. } in &lost.inputs {
        let holds = |input: &str| {
            input.is_empty()
                || path.strip_prefix(input).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let holder = (0u16..).zip(declared.inputs).filter(|(_, (input, _))| holds(input));
        inputs.extend(holder.max_by_key(|(_, (input, _))| input.len()).map(|(index, _)| index));
    }
    inputs.sort_unstable();
    inputs.dedup();
    Outcome::InputLost { inputs: inputs.into() }
}

#[cfg(test)]
mod tests {
    use cullet_digest::DigestFunction;

    use super::*;

    #[test]
    fn a_lost_path_belongs_to_the_innermost_input() {
        let digest = DigestFunction::Blake3.digest(b"x");
        let inputs = ["", "a", "a/b", "ab"].map(|path| (Box::from(path), TreeRef::Directory(digest)));
        let declared = Declared { outputs: &[], inputs: &inputs, reports: &[] };
        let lost = |paths: &[&str], declared| {
            let mut lost = LostInputs::default();
            paths.iter().for_each(|path| lost.add((*path).to_owned(), digest));
            lost_inputs(&lost, declared)
        };
        let positions = |inputs: &[u16]| Outcome::InputLost { inputs: inputs.into() };
        assert_eq!(lost(&["a/b/c", "a/bc", "ab", "a/b"], declared), positions(&[1, 2, 3]));
        assert_eq!(lost(&["x"], declared), positions(&[0]));
        assert_eq!(lost(&["x"], Declared { inputs: &inputs[1..], ..declared }), positions(&[]));
    }
}
