//! Attempts in messages.

use cullet_cache::v1::tree_from_wire;
use cullet_core::{AttemptId, AttemptOutcome, Epoch, RunId, StepId};
use cullet_digest::TreeRef;
use cullet_proto::v1::{self, attempt_finished};

use crate::engine::FUNCTION;

/// Which attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AttemptKey {
    pub(crate) id: StepId,
    pub(crate) attempt: AttemptId,
    pub(crate) epoch: Epoch,
}

impl AttemptKey {
    pub(crate) fn to_wire(self) -> v1::Attempt {
        let Self { id, attempt, epoch } = self;
        v1::Attempt { run: id.run.to_string(), step: id.step, attempt, epoch }
    }

    /// None where a message names none.
    pub(crate) fn from_wire(wire: Option<&v1::Attempt>) -> Option<Self> {
        let wire = wire?;
        let id = StepId { run: parse_run(&wire.run)?, step: wire.step };
        Some(Self { id, attempt: wire.attempt, epoch: wire.epoch })
    }
}

/// A run, from its 32 digits; there is one way to write each.
pub(crate) fn parse_run(text: &str) -> Option<RunId> {
    let run = RunId(u128::from_str_radix(text, 16).ok()?);
    (run.to_string() == text).then_some(run)
}

/// How an attempt went, for the core. What makes no sense is the worker's fault.
pub(crate) fn outcome(wire: Option<attempt_finished::Outcome>) -> AttemptOutcome {
    use attempt_finished::Outcome as Wire;
    let infra = |reason: &str| AttemptOutcome::Infra { reason: reason.into() };
    match wire {
        Some(Wire::Succeeded(succeeded)) => {
            let trees: Result<Box<[TreeRef]>, _> =
                succeeded.outputs.iter().map(|tree| tree_from_wire(FUNCTION, tree)).collect();
            match trees {
                Ok(outputs) => AttemptOutcome::Succeeded { outputs },
                Err(_) => infra("the worker reported an output that is no tree"),
            }
        }
        Some(Wire::Failed(failed)) => AttemptOutcome::Failed { exit_code: failed.exit_code },
        Some(Wire::TimedOut(_)) => AttemptOutcome::TimedOut,
        Some(Wire::Cancelled(_)) => AttemptOutcome::Cancelled,
        Some(Wire::Infra(wire)) if wire.r#final => AttemptOutcome::Impossible { reason: wire.reason.into() },
        Some(Wire::Infra(wire)) => infra(&wire.reason),
        Some(Wire::InputLost(lost)) => {
            let inputs = lost.inputs.into_iter().filter_map(|input| u16::try_from(input).ok());
            AttemptOutcome::InputLost { inputs: inputs.collect() }
        }
        None => infra("the worker did not say how it went"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_survives_being_sent_and_nothing_else_is_one() {
        let id = StepId { run: RunId(0xff), step: 3 };
        let key = AttemptKey { id, attempt: 2, epoch: 9 };
        assert_eq!(AttemptKey::from_wire(Some(&key.to_wire())), Some(key));
        assert_eq!(AttemptKey::from_wire(None), None);
        for bad in ["", "ff", "000000000000000000000000000000FF", &"0".repeat(33)] {
            assert_eq!(parse_run(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_no_success() {
        let broken = v1::Succeeded { outputs: vec![v1::Tree::default()] };
        let broken = Some(attempt_finished::Outcome::Succeeded(broken));
        assert!(matches!(outcome(broken), AttemptOutcome::Infra { .. }));
        assert!(matches!(outcome(None), AttemptOutcome::Infra { .. }));
    }

    #[test]
    fn what_no_machine_can_do_is_told_apart_from_what_one_could_not() {
        let infra = |is_final| {
            let infra = v1::Infra { reason: "no such image".to_owned(), r#final: is_final };
            outcome(Some(attempt_finished::Outcome::Infra(infra)))
        };
        assert_eq!(infra(true), AttemptOutcome::Impossible { reason: "no such image".into() });
        assert_eq!(infra(false), AttemptOutcome::Infra { reason: "no such image".into() });
    }
}
