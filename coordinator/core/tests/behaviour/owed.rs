//! Answers that somebody waits for, and what a simulated cluster is set up with.

use std::collections::BTreeMap;

use cullet_core::{AttemptId, Effect, Epoch, RunId, Settings, StepId, WorkerId};

/// An answer that somebody waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owed {
    Resolve { id: StepId, bypass_cache: bool },
    Attempt { id: StepId, attempt: AttemptId, epoch: Epoch, worker: WorkerId, stopped: bool },
    Deliver { run: RunId },
}

impl Owed {
    /// What an effect asks for.
    pub(crate) const fn by(effect: &Effect) -> Option<Self> {
        Some(match *effect {
            Effect::Resolve { id, bypass_cache } => Self::Resolve { id, bypass_cache },
            Effect::Start { id, attempt, epoch, worker, .. } => {
                Self::Attempt { id, attempt, epoch, worker, stopped: false }
            }
            Effect::Stop { id, attempt, epoch, worker } => {
                Self::Attempt { id, attempt, epoch, worker, stopped: true }
            }
            Effect::Deliver { run } => Self::Deliver { run },
            _ => return None,
        })
    }

    pub(crate) const fn key(&self) -> (RunId, u32) {
        match *self {
            Self::Resolve { id, .. } | Self::Attempt { id, .. } => (id.run, id.step),
            Self::Deliver { run } => (run, 0),
        }
    }
}

/// Little room or much.
pub(crate) fn settings(how: u8) -> Settings {
    let steps = u64::from(how >> 2 & 15) * 3;
    let settings = match how % 4 {
        0 => Settings {
            max_live_runs: u32::from(how >> 4),
            max_live_runs_per_tenant: u32::from(how >> 3 & 3),
            ..Settings::default()
        },
        1 => Settings { max_live_steps: steps, ..Settings::default() },
        2 => Settings { max_live_steps_per_tenant: steps, ..Settings::default() },
        _ => Settings {
            placement_grace_ms: u64::from(how >> 4) * 30,
            absence_grace_ms: u64::from(how >> 4) * 60,
            tenant_weights: [("one".into(), 3)].into(),
            max_durations: 3,
            keep_finished_runs: u32::from(how >> 6),
            keep_finished_runs_per_tenant: u32::from(how >> 3 & 3),
            keep_finished_steps: u64::from(how >> 5) * 8,
            ..Settings::default()
        },
    };
    Settings { shun_grace_ms: u64::from(how >> 4) * 10, ..settings }
}

/// The label `x`, or none.
pub(crate) fn labels(x: &str) -> BTreeMap<Box<str>, Box<str>> {
    (!x.is_empty()).then(|| ("x".into(), x.into())).into_iter().collect()
}
