//! One run.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use cullet_digest::{Digest, TreeRef};
use serde::{Deserialize, Serialize};

use crate::apply::quarantine::Toll;
use crate::ending::Ending;
use crate::graph::{Graph, dependencies};
use crate::journal::{Journal, RunEvent, RunEventKind, StepEnd};
use crate::labels::LabelSetId;
use crate::place::Place;
use crate::shunned::Shun;
use crate::spec::{InputSource, RunSpec, StepSpec};
use crate::step::Step;
use crate::tenants::TenantId;
use crate::{
    Epoch, RunId, RunStatus, StepId, StepIndex, StepPhase, StepStatus, StepView, TimeMs, Usage, WorkerId,
};

/// How many steps ended how. Each finished step is counted once, by how it ended last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Succeeded by being executed.
    pub executed: u32,
    /// Succeeded with a result that was there or came from an identical step.
    pub cached: u32,
    /// Failed, timed out, or failed by the machines, allowed or not.
    pub failed: u32,
    /// Not started because of a condition or of another step.
    pub skipped: u32,
    /// Cancelled or stopped.
    pub cancelled: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum RunPhase {
    Active,
    Delivering,
    Finished(RunStatus),
}

/// A run that was submitted and not forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    pub(crate) id: RunId,
    pub(crate) spec: Arc<RunSpec>,
    /// Counts submissions, for age.
    pub(crate) order: u64,
    pub(crate) journal: Journal,
    /// Its place among those at their end.
    pub(crate) retired: u64,
    /// What its running steps count, see [`crate::workers::Workers::counted`].
    pub(crate) used: u64,
    /// The epoch of its last start; before that, the last one that was given out when it was submitted.
    pub(crate) last_start: Epoch,
    /// While it is live.
    pub(crate) tenant: Option<TenantId>,
    /// Numbers of the sets of labels in the specification, while it is live.
    pub(crate) label_sets: Box<[LabelSetId]>,
    /// Of steps that were not found in the cache: workers that hold some of their inputs, and how many bytes.
    pub(crate) near: BTreeMap<StepIndex, Box<[(WorkerId, u64)]>>,
    /// As many as in the specification, or none if that was refused.
    pub(crate) steps: Box<[Step]>,
    pub(crate) graph: Graph,
    /// For each step that waits, how many of its dependencies have not succeeded; 0 for all others. Apart from
    /// the steps, so that counting down touches little memory.
    pub(crate) pending: Box<[u32]>,
    /// How many steps are not at their end.
    pub(crate) unfinished: u32,
    pub(crate) counts: Counts,
    pub(crate) phase: RunPhase,
    pub(crate) cancelled: bool,
    /// A failure or a cancellation ended everything that had not started: nothing starts any more.
    pub(crate) halted: bool,
    pub(crate) deliveries: u8,
    /// Executed actions and the step that executed each: an identical step whose lookup was under way at that
    /// time comes too late to wait, and finds the result here.
    pub(crate) landed: BTreeMap<Digest, StepIndex>,
    /// What workers said besides, of steps whose result was executed.
    pub(crate) details: BTreeMap<StepIndex, Digest>,
    /// Of steps under which workers were lost, until they succeed.
    pub(crate) tolls: BTreeMap<StepIndex, Toll>,
    /// Of steps that are to be tried again because a machine failed them, until they are or have waited long enough: that
    /// machine.
    pub(crate) shunned: BTreeMap<StepIndex, Shun>,
    pub(crate) submitted_at: TimeMs,
    pub(crate) finished_at: Option<TimeMs>,
    /// What went wrong with the run as a whole.
    pub(crate) reason: Option<Box<str>>,
}

/// What others may ask.
impl Run {
    /// Which run it is.
    pub const fn id(&self) -> RunId {
        self.id
    }

    /// What was submitted.
    pub const fn spec(&self) -> &Arc<RunSpec> {
        &self.spec
    }

    /// One step, unless there is none at this position (a refused run has none at all).
    pub fn step(&self, step: StepIndex) -> Option<StepView<'_>> {
        self.steps.get(step as usize).map(|kept| kept.view(self.details.get(&step).copied()))
    }

    /// All steps in their order.
    pub fn steps(&self) -> impl ExactSizeIterator<Item = StepView<'_>> {
        let detail = |step: usize| self.details.get(&(step as StepIndex)).copied();
        self.steps.iter().enumerate().map(move |(step, kept)| kept.view(detail(step)))
    }

    /// How it ended, if it has.
    pub const fn status(&self) -> Option<RunStatus> {
        match self.phase {
            RunPhase::Finished(status) => Some(status),
            RunPhase::Active | RunPhase::Delivering => None,
        }
    }

    /// How many steps ended how, so far.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Whether somebody cancelled it, be it at its end already or not.
    pub const fn is_cancelled(&self) -> bool {
        self.cancelled
    }

    /// Whether all that is left is to hand out what the submitter wanted.
    pub const fn is_delivering(&self) -> bool {
        matches!(self.phase, RunPhase::Delivering)
    }

    /// When it was submitted.
    pub const fn submitted_at(&self) -> TimeMs {
        self.submitted_at
    }

    /// When it ended.
    pub const fn finished_at(&self) -> Option<TimeMs> {
        self.finished_at
    }

    /// For people: why the specification was refused or the outputs could not be delivered.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// What happened after the event with this number, which may be 0, each with its number; nothing if the
    /// specification did not ask for it to be kept.
    pub fn events(&self, after: u64) -> impl ExactSizeIterator<Item = (u64, &RunEvent)> {
        let events = self.journal.events();
        let skipped = usize::try_from(after).unwrap_or(usize::MAX).min(events.len());
        events[skipped..].iter().enumerate().map(move |(i, event)| ((skipped + i) as u64 + 1, event))
    }

    /// The name of a worker in one of the events.
    pub fn worker_name(&self, worker: u32) -> Option<&str> {
        self.journal.name(worker)
    }

    /// What lies where in a step's input root, in the order of the specification. `None` if there is no such
    /// step or one of its producers has not succeeded so far: never a part of the inputs.
    pub fn resolved_inputs(&self, step: StepIndex) -> Option<impl Iterator<Item = (&str, TreeRef)>> {
        self.steps.get(step as usize)?;
        let inputs = &self.spec.steps.get(step as usize)?.inputs;
        let tree = |source: &InputSource| match source {
            InputSource::Tree(tree) => Some(**tree),
            InputSource::Output { step, output } => {
                self.steps.get(*step as usize)?.outputs.get(usize::from(*output)).copied()
            }
        };
        if inputs.iter().any(|input| tree(&input.source).is_none()) {
            return None;
        }
        Some(inputs.iter().filter_map(move |input| Some((&*input.path, tree(&input.source)?))))
    }
}

/// What handlers need.
impl Run {
    pub(crate) fn step_spec(&self, step: StepIndex) -> &StepSpec {
        &self.spec.steps[step as usize]
    }

    pub(crate) const fn step_id(&self, step: StepIndex) -> StepId {
        StepId { run: self.id, step }
    }

    pub(crate) fn place(&self, step: StepIndex) -> Place {
        Place { priority: Reverse(self.spec.priority), order: self.order, id: self.step_id(step) }
    }

    /// Whether a result from the cache must not be used for this step.
    pub(crate) fn bypasses_cache(&self, step: StepIndex) -> bool {
        let spec = self.step_spec(step);
        spec.bypass_cache || spec.effects || self.steps[step as usize].rewinds > 0
    }

    /// Of the direct dependencies: how many have not succeeded, and the first that never will.
    pub(crate) fn missing(&self, step: StepIndex) -> (u32, Option<StepIndex>) {
        let mut needed = Vec::new();
        dependencies(self.step_spec(step), &mut needed);
        needed.retain(|&producer| !self.steps[producer as usize].succeeded());
        let lost = needed.iter().copied().find(|&producer| self.steps[producer as usize].status().is_some());
        (needed.len() as u32, lost)
    }

    /// For the dependents of a step that ended badly.
    pub(crate) fn needs_reason(&self, producer: StepIndex) -> String {
        let how = self.steps[producer as usize].status().map_or("is not there", StepStatus::as_predicate);
        format!("needs {}, which {how}", self.step_spec(producer).name)
    }

    /// Writes a step's end down.
    pub(crate) fn record(&mut self, step: StepIndex, ending: Ending, at: TimeMs) {
        let executed = ending.status == StepStatus::Succeeded && !ending.cached;
        let kept = &mut self.steps[step as usize];
        if let (true, Some(action)) = (executed, kept.action) {
            self.landed.insert(action, step);
            self.tolls.remove(&step);
        }
        kept.phase = StepPhase::Finished(ending.status);
        self.pending[step as usize] = 0;
        kept.stale = false;
        kept.stopping = false;
        kept.cached = ending.cached;
        kept.shared = ending.shared;
        kept.took_ms = ending.took_ms;
        kept.exit_code = ending.exit_code;
        kept.finished_at = at;
        kept.reason = ending.reason;
        kept.outputs = ending.outputs;
        self.near.remove(&step);
        let usage = ending.detail.and_then(|detail| detail.usage).filter(|_| !ending.shared);
        match ending.detail.and_then(|detail| detail.blob) {
            Some(detail) => self.details.insert(step, detail),
            None => self.details.remove(&step),
        };
        self.unfinished -= 1;
        *self.counter(step) += 1;
        self.write_end(step, ending.status, usage, at);
    }

    fn write_end(&mut self, step: StepIndex, status: StepStatus, usage: Option<Usage>, at: TimeMs) {
        if !self.journal.is_kept() {
            return;
        }
        let kept = &self.steps[step as usize];
        let detail = self.details.get(&step).copied();
        let view = kept.view(detail);
        let end = Box::new(StepEnd {
            status,
            cached: view.cached,
            shared: view.shared,
            attempt: view.attempt,
            exit_code: view.exit_code,
            saved_ms: view.saved_ms,
            duration_ms: view.duration_ms,
            action: view.action,
            reason: kept.reason.clone(),
            detail,
            usage,
        });
        self.journal.write(at, RunEventKind::StepFinished { step, end });
    }

    /// Drops what only live runs need.
    pub(crate) fn retire(&mut self) {
        self.graph = Graph::default();
        self.pending = Box::default();
        self.landed.clear();
        self.near.clear();
        self.tolls.clear();
        self.journal.close();
    }

    /// The result that an identical step of this run has left for this one.
    pub(crate) fn left_by_identical(&self, step: StepIndex, action: &Digest) -> Option<Ending> {
        let this = &self.steps[step as usize];
        // Lost outputs are not repaired with what may be the lost ones.
        if this.rewinds > 0 || this.stale || self.step_spec(step).runs_alone() {
            return None;
        }
        let other = self.steps.get(*self.landed.get(action)? as usize)?;
        other
            .succeeded()
            .then(|| Ending::executed(other.outputs.clone()).after(other.took_ms, None).for_follower())
    }

    /// The counter that a finished step is counted in.
    pub(crate) fn counter(&mut self, step: StepIndex) -> &mut u32 {
        let kept = &self.steps[step as usize];
        match kept.status() {
            Some(StepStatus::Succeeded) if kept.cached => &mut self.counts.cached,
            Some(StepStatus::Succeeded) | None => &mut self.counts.executed,
            Some(StepStatus::Failed | StepStatus::TimedOut | StepStatus::InfraFailed) => {
                &mut self.counts.failed
            }
            Some(StepStatus::Skipped) => &mut self.counts.skipped,
            Some(StepStatus::Cancelled) => &mut self.counts.cancelled,
        }
    }

    /// How the run ends now that every step has: its own failures tell more than the machines'.
    pub(crate) fn verdict(&self) -> RunStatus {
        if self.cancelled {
            return RunStatus::Cancelled;
        }
        let mut verdict = RunStatus::Succeeded;
        for (spec, step) in self.spec.steps.iter().zip(&self.steps) {
            match step.status() {
                Some(StepStatus::Failed | StepStatus::TimedOut) if !spec.allow_failure => {
                    return RunStatus::Failed;
                }
                Some(StepStatus::InfraFailed) if !spec.allow_failure => verdict = RunStatus::InfraFailed,
                _ => {}
            }
        }
        verdict
    }
}
