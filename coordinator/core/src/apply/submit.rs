//! A run is submitted.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Transition;
use crate::ending::Ending;
use crate::graph::{Graph, dependencies};
use crate::journal::{Journal, RunEventKind};
use crate::labels::LabelSetId;
use crate::run::{Counts, Run, RunPhase};
use crate::spec::{Label, RunSpec};
use crate::step::Step;
use crate::validate::refusal;
use crate::{Effect, Refusal, RunId, RunStatus, StepId, StepIndex, TimeMs};

impl Transition<'_> {
    pub(super) fn submit(&mut self, id: RunId, spec: &Arc<RunSpec>) {
        if self.state.runs.contains_key(&id) {
            return self.effects.push(Effect::SubmitAccepted { run: id, existed: true });
        }
        if self.state.forgotten.contains(id) {
            let (reason, retry_after_ms) = (Refusal::Forgotten, None);
            return self.effects.push(Effect::SubmitRefused { run: id, reason, retry_after_ms });
        }
        let refusal = refusal(spec);
        if refusal.is_none()
            && let Some((reason, retry_after_ms)) = self.state.no_room(spec)
        {
            return self.effects.push(Effect::SubmitRefused { run: id, reason, retry_after_ms });
        }
        self.effects.push(Effect::SubmitAccepted { run: id, existed: false });
        self.state.submissions += 1;
        let mut run = new_run(id, Arc::clone(spec), self.state.submissions, self.at);
        if let Some(reason) = refusal {
            self.state.runs.insert(id, run);
            let reason = format!("the specification is not valid: {reason}");
            return self.end_run(id, RunStatus::Failed, Some(reason));
        }
        run.last_start = self.state.last_epoch;
        run.tenant =
            Some(self.state.tenants.enter(&spec.tenant, spec.steps.len() as u64, &self.state.settings));
        run.graph = Graph::new(spec);
        run.pending = pending(spec);
        let ranks = {
            let expected = self.state.durations.of(&spec.pipeline);
            run.graph.ranks(|step| expected(&spec.steps[step].name))
        };
        run.steps = ranks.into_iter().map(Step::new).collect();
        run.label_sets = spec.requirements.iter().map(|labels| self.ask_for(labels)).collect();
        run.unfinished = run.steps.len() as u32;
        self.state.runs.insert(id, run);
        self.open(id, spec);
        self.conclude(id);
    }

    fn ask_for(&mut self, labels: &[Label]) -> LabelSetId {
        let (id, new) = self.state.labels.enter(labels);
        if new {
            self.state.workers.watch(id, labels);
        }
        id
    }

    /// Ends what is not to run and resolves what has nothing to wait for.
    fn open(&mut self, run: RunId, spec: &RunSpec) {
        for (step, step_spec) in (0..).zip(&spec.steps) {
            let id = StepId { run, step };
            if let Some(reason) = &step_spec.skip {
                self.finish(id, Ending::skipped(reason.clone()));
            } else if self.waits_for_nothing(id) {
                self.resolve(id);
            }
        }
    }

    fn waits_for_nothing(&self, id: StepId) -> bool {
        let run = self.state.runs.get(&id.run);
        run.is_some_and(|run| run.pending[id.step as usize] == 0 && run.steps[id.step as usize].is_waiting())
    }
}

fn new_run(id: RunId, spec: Arc<RunSpec>, order: u64, at: TimeMs) -> Run {
    let mut journal = Journal::new(spec.journal);
    journal.write(at, RunEventKind::RunStarted);
    Run {
        id,
        journal,
        retired: 0,
        spec,
        order,
        used: 0,
        last_start: 0,
        tenant: None,
        label_sets: Box::default(),
        near: BTreeMap::new(),
        steps: Box::default(),
        graph: Graph::default(),
        pending: Box::default(),
        unfinished: 0,
        counts: Counts::default(),
        phase: RunPhase::Active,
        cancelled: false,
        halted: false,
        deliveries: 0,
        landed: BTreeMap::new(),
        details: BTreeMap::new(),
        tolls: BTreeMap::new(),
        shunned: BTreeMap::new(),
        submitted_at: at,
        finished_at: None,
        reason: None,
    }
}

/// How many dependencies each step has.
fn pending(spec: &RunSpec) -> Box<[u32]> {
    let mut needed: Vec<StepIndex> = Vec::new();
    let count = |step| {
        dependencies(step, &mut needed);
        needed.len() as u32
    };
    spec.steps.iter().map(count).collect()
}
