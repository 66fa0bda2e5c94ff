//! How long steps took, to guess how long they will take.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What a step is taken to last, in milliseconds, when nothing is known of it.
pub(crate) const UNKNOWN_MS: u32 = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Learned {
    ms: u32,
    turn: u64,
}

/// Of each pipeline and step name a moving average, in which an execution counts half after three more. What was
/// not executed for longest is forgotten first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Durations {
    pipelines: BTreeMap<Arc<str>, BTreeMap<Arc<str>, Learned>>,
    /// Counts executions; time is nothing that all who apply the log see alike.
    turn: u64,
    by_turn: BTreeMap<u64, (Arc<str>, Arc<str>)>,
}

impl Durations {
    pub(crate) fn learn(&mut self, pipeline: &str, step: &str, took_ms: u64, limit: u32) {
        let took_ms = u32::try_from(took_ms).unwrap_or(u32::MAX);
        self.turn += 1;
        let known = self.pipelines.get_mut(pipeline).and_then(|steps| steps.get_mut(step));
        if let Some(known) = known {
            let average = (u64::from(known.ms) * 3 + u64::from(took_ms)) / 4;
            let last = std::mem::replace(&mut known.turn, self.turn);
            known.ms = average as u32;
            if let Some(names) = self.by_turn.remove(&last) {
                self.by_turn.insert(self.turn, names);
            }
        } else {
            let shared = self.pipelines.get_key_value(pipeline).map(|(name, _)| Arc::clone(name));
            let (pipeline, step) = (shared.unwrap_or_else(|| pipeline.into()), Arc::<str>::from(step));
            let steps = self.pipelines.entry(Arc::clone(&pipeline)).or_default();
            steps.insert(Arc::clone(&step), Learned { ms: took_ms, turn: self.turn });
            self.by_turn.insert(self.turn, (pipeline, step));
        }
        self.shrink(limit);
    }

    pub(crate) fn shrink(&mut self, limit: u32) {
        while self.by_turn.len() > limit as usize {
            let Some((_, (pipeline, step))) = self.by_turn.pop_first() else { return };
            if let Some(steps) = self.pipelines.get_mut(&pipeline) {
                steps.remove(&step);
                if steps.is_empty() {
                    self.pipelines.remove(&pipeline);
                }
            }
        }
    }

    /// What the steps of a pipeline are expected to take.
    pub(crate) fn of(&self, pipeline: &str) -> impl Fn(&str) -> u32 {
        let steps = self.pipelines.get(pipeline);
        // A step that takes no time still comes before what hangs on it.
        move |step| steps.and_then(|steps| steps.get(step)).map_or(UNKNOWN_MS, |learned| learned.ms.max(1))
    }
}
