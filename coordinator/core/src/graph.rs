//! Who depends on whom, in two flat arrays.

use serde::{Deserialize, Serialize};

use crate::StepIndex;
use crate::spec::{InputSource, RunSpec, StepSpec};

/// The dependents of every step: those of step `i` are `edges[offsets[i]..offsets[i + 1]]`, ascending, each
/// once. Two allocations for a run however many steps it has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Graph {
    offsets: Box<[u32]>,
    edges: Box<[StepIndex]>,
}

/// The steps that a step depends on, ascending, each once.
pub(crate) fn dependencies(step: &StepSpec, into: &mut Vec<StepIndex>) {
    into.clear();
    into.extend(step.after.iter().copied());
    into.extend(step.inputs.iter().filter_map(|input| match input.source {
        InputSource::Output { step, .. } => Some(step),
        InputSource::Tree(_) => None,
    }));
    into.sort_unstable();
    into.dedup();
}

impl Graph {
    /// For a specification that was found valid.
    pub(crate) fn new(spec: &RunSpec) -> Self {
        let mut needed = Vec::new();
        let mut offsets = vec![0_u32; spec.steps.len() + 1];
        for step in &spec.steps {
            dependencies(step, &mut needed);
            for &producer in &needed {
                offsets[producer as usize + 1] += 1;
            }
        }
        for i in 1..offsets.len() {
            offsets[i] += offsets[i - 1];
        }
        let mut next = offsets.clone();
        let mut edges = vec![0; offsets.last().copied().unwrap_or(0) as usize];
        for (index, step) in (0..).zip(&spec.steps) {
            dependencies(step, &mut needed);
            for &producer in &needed {
                let slot = &mut next[producer as usize];
                edges[*slot as usize] = index;
                *slot += 1;
            }
        }
        Self { offsets: offsets.into(), edges: edges.into() }
    }

    /// The steps that depend directly on this one.
    pub(crate) fn dependents(&self, step: StepIndex) -> &[StepIndex] {
        let at = step as usize;
        match (self.offsets.get(at), self.offsets.get(at + 1)) {
            (Some(&from), Some(&to)) => &self.edges[from as usize..to as usize],
            _ => &[],
        }
    }

    /// For every step, how long the longest chain takes that starts with it and goes on to dependents, given how
    /// long each is expected to take. That chain is what the run cannot be shorter than, so the longest goes
    /// first.
    pub(crate) fn ranks(&self, expected: impl Fn(usize) -> u32) -> Vec<u32> {
        let steps = self.offsets.len().saturating_sub(1);
        let mut ranks = vec![0; steps];
        for step in (0..steps).rev() {
            let longest = self.dependents(step as StepIndex).iter().map(|&d| ranks[d as usize]).max();
            // Seven weeks are as good as for ever.
            ranks[step] = longest.unwrap_or(0_u32).saturating_add(expected(step));
        }
        ranks
    }
}
