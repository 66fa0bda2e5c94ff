//! Which attempt.

use std::fmt;

use cullet_proto::v1;

/// A step of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StepKey {
    run: u128,
    step: u32,
}

/// An attempt at it. The epoch of a step only ever rises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct AttemptKey {
    pub(super) step: StepKey,
    pub(super) attempt: u32,
    pub(super) epoch: u64,
}

/// An attempt without a usable name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadKey {
    #[error("a message names no attempt")]
    Missing,
    #[error("'{0}' is not a run: expected 32 lower-case hexadecimal digits")]
    Run(String),
}

/// How much of a bad name is repeated, in characters.
const MAX_SHOWN: usize = 64;

impl AttemptKey {
    pub(super) fn from_wire(attempt: Option<v1::Attempt>) -> Result<Self, BadKey> {
        let v1::Attempt { run, step, attempt, epoch } = attempt.ok_or(BadKey::Missing)?;
        match u128::from_str_radix(&run, 16) {
            // There is one way to write each.
            Ok(number) if run_digits(number) == run => {
                Ok(Self { step: StepKey { run: number, step }, attempt, epoch })
            }
            _ => Err(BadKey::Run(run.chars().take(MAX_SHOWN).collect())),
        }
    }

    /// The name of its run.
    pub(super) fn run(self) -> String {
        run_digits(self.step.run)
    }

    pub(super) fn to_wire(self) -> v1::Attempt {
        let StepKey { run, step } = self.step;
        v1::Attempt { run: run_digits(run), step, attempt: self.attempt, epoch: self.epoch }
    }
}

fn run_digits(run: u128) -> String {
    format!("{run:032x}")
}

impl fmt::Display for AttemptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step: StepKey { run, step }, attempt, epoch } = self;
        write!(f, "attempt {attempt} (epoch {epoch}) at step {step} of run {}", run_digits(*run))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(run: &str) -> Option<v1::Attempt> {
        Some(v1::Attempt { run: run.to_owned(), step: 1, attempt: 2, epoch: 3 })
    }

    #[test]
    fn a_key_survives_the_wire_and_nothing_else_is_one() {
        let run = "00ff00ff00ff00ff00ff00ff00ff00ff";
        let key = AttemptKey::from_wire(attempt(run)).unwrap();
        assert_eq!(Some(key.to_wire()), attempt(run));
        assert_eq!(AttemptKey::from_wire(None), Err(BadKey::Missing));
        let long = "0".repeat(33);
        for bad in ["", "ff", "+0ff00ff00ff00ff00ff00ff00ff00ff", "00FF00ff00ff00ff00ff00ff00ff00ff", &long] {
            assert!(matches!(AttemptKey::from_wire(attempt(bad)), Err(BadKey::Run(_))), "{bad}");
        }
    }
}
