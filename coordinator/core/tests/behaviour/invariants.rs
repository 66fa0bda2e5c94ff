//! What holds after every command.

use std::collections::{BTreeMap, BTreeSet};

use cullet_core::spec::InputSource;
use cullet_core::{
    AttemptOutcome, Effect, Epoch, LogCommand, Refusal, Run, RunId, RunStatus, State, StepId, StepPhase,
    StepStatus, StepView, Wait, WorkerView,
};

use crate::bookkeeping::{
    a_submission_is_answered, capacity_is_neither_lost_nor_lent_twice, counts_are_true,
    what_happened_is_written_down, what_is_live_is_counted, who_has_the_most_gives_way,
};
use crate::owed::Owed;
use crate::shell::Shell;
use crate::shunned::Machines;
use crate::turns::who_has_least_is_next;

/// Remembers what must not change.
#[derive(Default)]
pub(crate) struct Watch {
    ended: BTreeMap<RunId, RunStatus>,
    last_epoch: Epoch,
    /// Starts of steps that act on the outside world, less those that started nothing.
    acted: BTreeMap<StepId, u32>,
    /// Runs of which only the id is known.
    forgotten: BTreeSet<RunId>,
    machines: Machines,
}

impl Watch {
    /// Applies a command and checks everything.
    pub(crate) fn step(&mut self, shell: &mut Shell, command: LogCommand) {
        let before = shell.state.clone();
        self.before(&before, &command);
        self.machines.note_time(&before, &command);
        self.machines.note_failures(&before, &command);
        let effects = shell.apply(command.clone());
        let state = &shell.state;
        assert!(state.refused() > before.refused() || is_current(&before, &command), "took in {command:?}");
        if state.refused() > before.refused() {
            assert!(
                effects.is_empty() && state.runs().eq(before.runs()) && state.workers().eq(before.workers())
            );
        }
        a_submission_is_answered(&before, state, &command, &effects);
        self.what_is_forgotten_stays_so(&command, &effects);
        self.runs_end_once(&before, state, &effects);
        self.starts(state, &effects);
        for (id, run) in state.runs() {
            counts_are_true(run);
            nothing_starts_after_a_halt(run);
            ends_are_kept(before.run(id), run, id, &effects);
        }
        what_happened_is_written_down(&before, state, &effects);
        if !matches!(command, LogCommand::Forget { .. }) {
            who_has_the_most_gives_way(&before, state, &effects);
        }
        capacity_is_neither_lost_nor_lent_twice(state, &effects);
        identical_work_is_done_once(state);
        who_has_least_is_next(state, &effects, |id| self.machines.are_avoided_by(id));
        self.machines.note_starts(state, &effects);
        self.everything_unfinished_has_a_reason(shell);
        what_is_live_is_counted(state);
        what_is_outstanding_is_what_is_owed(shell);
    }

    /// When nobody is owed anything.
    pub(crate) fn end(&self, shell: &Shell) {
        for (id, run) in shell.state.runs() {
            assert!(run.status().is_some(), "{id} did not end");
        }
        assert!(
            shell.state.workers().all(|worker| worker.used_cpu_millis == 0 && worker.used_memory_bytes == 0)
        );
    }

    fn before(&mut self, state: &State, command: &LogCommand) {
        let LogCommand::AttemptFinished { id, attempt, outcome: AttemptOutcome::InputLost { .. }, .. } =
            command
        else {
            return;
        };
        let current = view(state, *id).is_some_and(|step| step.attempt == *attempt);
        if let Some(acted) = self.acted.get_mut(id).filter(|acted| current && **acted > 0) {
            *acted -= 1;
        }
    }

    fn runs_end_once(&mut self, before: &State, state: &State, effects: &[Effect]) {
        for effect in effects {
            if let Effect::RunFinished { run } = effect {
                let status = state.run(*run).and_then(Run::status).expect("it says so");
                assert_eq!(self.ended.insert(*run, status), None, "{run} ended twice");
            }
            if let Effect::RunForgotten { run } = effect {
                assert!(
                    before.run(*run).is_some_and(|run| run.status().is_some()) && state.run(*run).is_none()
                );
                if before.run(*run).is_some_and(|run| run.spec().operation) {
                    self.ended.remove(run);
                    continue;
                }
                assert!(self.forgotten.insert(*run) && state.has_forgotten(*run), "forgotten once");
            }
        }
        for (id, run) in state.runs() {
            assert!(!self.forgotten.contains(&id), "{id} is back");
            assert_eq!(run.status(), self.ended.get(&id).copied());
            if let Some(status) = run.status() {
                let unfinished = run.steps().any(|step| step.status().is_none());
                assert!(!unfinished, "a run ends after its steps");
                assert_eq!(status == RunStatus::Cancelled, run.is_cancelled(), "cancellation wins");
            }
            let cancelled = before.run(id).is_some_and(Run::is_cancelled);
            assert!(!cancelled || run.is_cancelled());
        }
    }

    /// Nothing of it starts, is looked up or is delivered again, whoever submits it.
    fn what_is_forgotten_stays_so(&self, command: &LogCommand, effects: &[Effect]) {
        let submits = match command {
            LogCommand::Submit { run, .. } => self.forgotten.get(run),
            _ => None,
        };
        for effect in effects {
            let refusal = matches!(effect, Effect::SubmitRefused { reason: Refusal::Forgotten, .. });
            assert_eq!(refusal, submits.is_some(), "{effect:?}");
            let owed = Owed::by(effect).map(|owed| owed.key().0);
            assert!(owed.is_none_or(|run| !self.forgotten.contains(&run)), "{effect:?} of what is forgotten");
        }
    }

    fn starts(&mut self, state: &State, effects: &[Effect]) {
        for effect in effects {
            match *effect {
                Effect::Start { id, attempt, epoch, worker, action } => {
                    assert!(epoch > self.last_epoch, "epochs rise");
                    self.last_epoch = epoch;
                    let step = view(state, id).expect("a step");
                    assert_eq!((step.attempt, step.epoch, step.worker), (attempt, epoch, Some(worker)));
                    assert_eq!((step.action, step.phase), (Some(action), StepPhase::Running));
                    assert!(dependencies_succeeded(state, id), "started before its dependencies succeeded");
                    let spec = &state.run(id.run).expect("a run").spec().steps[id.step as usize];
                    let acted = self.acted.entry(id).or_default();
                    *acted += u32::from(spec.effects);
                    assert!(*acted <= 1, "acted twice on the outside world");
                }
                Effect::Resolve { id, .. } => {
                    let over = view(state, id).is_some_and(|step| step.status().is_some());
                    assert!(over || dependencies_succeeded(state, id), "resolved without its inputs");
                }
                _ => {}
            }
        }
    }

    /// No wake-up is lost: whoever is not at its end waits for something that will come.
    fn everything_unfinished_has_a_reason(&self, shell: &Shell) {
        for (id, run) in shell.state.runs() {
            assert!(!run.is_delivering() || shell.owed.contains(&Owed::Deliver { run: id }));
            let unfinished = run.steps().any(|step| step.status().is_none());
            assert!(unfinished || run.is_delivering() || run.status().is_some(), "the run forgot to end");
            for (step, view) in (0..).zip(run.steps()) {
                let id = StepId { run: id, step };
                assert!(self.has_a_reason(shell, run, id, &view), "{id:?} {view:?}");
            }
        }
    }

    fn has_a_reason(&self, shell: &Shell, run: &Run, id: StepId, step: &StepView<'_>) -> bool {
        let state = &shell.state;
        match step.phase {
            StepPhase::Finished(_) => true,
            StepPhase::Waiting => {
                let unfinished = |step: u32| run.step(step).is_some_and(|step| step.status().is_none());
                dependencies(run, id.step).any(unfinished)
            }
            StepPhase::Resolving => {
                shell.owed.iter().any(|owed| matches!(owed, Owed::Resolve { id: owed, .. } if *owed == id))
            }
            StepPhase::Ready => {
                let spec = &run.spec().steps[id.step as usize];
                let waits = state.waits_for(id).expect("a ready step");
                let able = |worker: &WorkerView<'_>| able(run, id.step, worker);
                let known = match waits {
                    Wait::Room => state.workers().any(|worker| able(&worker)),
                    Wait::OtherMachine { shunned, until } => {
                        let failed = state.worker_named(&shunned).filter(|worker| able(worker));
                        failed.is_some_and(|failed| self.machines.shun(state, id, &failed))
                            && state.next_deadline().is_some_and(|next| next <= until)
                    }
                    Wait::Worker { until } => {
                        state.workers().all(|worker| worker.draining)
                            && state.next_deadline().is_some_and(|next| next <= until)
                    }
                    Wait::OtherWorker { until, .. } => {
                        !state.workers().any(|worker| able(&worker))
                            && state.next_deadline().is_some_and(|next| next <= until)
                    }
                };
                known
                    && state.workers().filter(able).all(|worker| {
                        let cpu_millis =
                            u64::from(worker.spec.cpu_millis).saturating_sub(worker.used_cpu_millis);
                        let memory_bytes = worker.spec.memory_bytes.saturating_sub(worker.used_memory_bytes);
                        let full = cpu_millis < u64::from(spec.cpu_millis.max(1))
                            || memory_bytes < spec.memory_bytes;
                        let shunned = self.machines.shun(state, id, &worker);
                        let beside = run.spec().operation && worker.has_place_beside;
                        let kept = state.reserved().is_some_and(|(kept, ..)| kept == worker.id);
                        shunned || (full || kept) && !beside
                    })
            }
            StepPhase::Running => {
                let alive = state.workers().any(|worker| Some(worker.id) == step.worker);
                let current = |owed: &Owed| {
                    matches!(*owed, Owed::Attempt { id: of, attempt, epoch, stopped, .. }
                    if (of, attempt, epoch, stopped) == (id, step.attempt, step.epoch, step.stopping))
                };
                alive && shell.owed.iter().any(current)
            }
            StepPhase::WaitingForIdentical => {
                let alike = state.runs().filter(|(_, other)| other.spec().scope == run.spec().scope);
                alike.flat_map(|(_, run)| run.steps()).any(|other| {
                    other.action == step.action
                        && matches!(other.phase, StepPhase::Ready | StepPhase::Running)
                })
            }
        }
    }
}

fn view(state: &State, id: StepId) -> Option<StepView<'_>> {
    state.run(id.run)?.step(id.step)
}

/// Whether a result is that of the one valid attempt. Other commands are fine.
fn is_current(before: &State, command: &LogCommand) -> bool {
    let LogCommand::AttemptFinished { id, attempt, epoch, .. } = command else { return true };
    view(before, *id)
        .is_some_and(|step| (step.phase, step.attempt, step.epoch) == (StepPhase::Running, *attempt, *epoch))
}

fn dependencies(run: &Run, step: u32) -> impl Iterator<Item = u32> {
    let spec = &run.spec().steps[step as usize];
    let inputs = spec.inputs.iter().filter_map(|input| match input.source {
        InputSource::Output { step, .. } => Some(step),
        InputSource::Tree(_) => None,
    });
    inputs.chain(spec.after.iter().copied())
}

fn dependencies_succeeded(state: &State, id: StepId) -> bool {
    let run = state.run(id.run).expect("a run");
    let succeeded = |step| run.step(step).and_then(|step| step.status()) == Some(StepStatus::Succeeded);
    dependencies(run, id.step).all(succeeded)
}

/// Whether the worker could ever run the step.
pub(crate) fn able(run: &Run, step: u32, worker: &WorkerView<'_>) -> bool {
    let spec = &run.spec().steps[step as usize];
    let mut required = run.spec().required(spec).iter();
    required.all(|(label, value)| worker.spec.labels.get(label) == Some(value))
        && !worker.draining
        && worker.spec.cpu_millis >= spec.cpu_millis.max(1)
        && worker.spec.memory_bytes >= spec.memory_bytes
}

/// After a failure that ends the run early, or a cancellation, only what is being stopped is left.
fn nothing_starts_after_a_halt(run: &Run) {
    let fatal = run
        .spec()
        .steps
        .iter()
        .zip(run.steps())
        .any(|(spec, step)| !spec.allow_failure && step.status().is_some_and(StepStatus::is_failure));
    if run.is_cancelled() || (fatal && !run.spec().keep_going) {
        let mut left = run.steps().filter(|step| step.status().is_none());
        assert!(left.all(|step| step.phase == StepPhase::Running && step.stopping));
    }
}

/// A finished step stays as it is, unless it is said that it runs again.
fn ends_are_kept(before: Option<&Run>, run: &Run, id: RunId, effects: &[Effect]) {
    for (step, now) in (0..).zip(run.steps()) {
        let id = StepId { run: id, step };
        let count = |wanted: Effect| effects.iter().filter(|effect| **effect == wanted).count();
        let rewound = count(Effect::StepRewound { id });
        let was = before.and_then(|run| run.step(step));
        let ended_before = was.is_some_and(|was| was.status().is_some());
        if let (Some(was), true, 0) = (was, ended_before, rewound) {
            assert_eq!(was, now);
        }
        if was.is_some_and(|was| was.stopping) && !now.stopping {
            assert_eq!(now.status(), Some(StepStatus::Cancelled), "what was told to stop is cancelled");
        }
        let ends = usize::from(now.status().is_some()) + rewound - usize::from(ended_before);
        assert_eq!(count(Effect::StepFinished { id }), ends, "an end is said once");
    }
}

/// By whoever may have the result.
fn identical_work_is_done_once(state: &State) {
    let mut actions = BTreeSet::new();
    for (_, run) in state.runs() {
        for (spec, step) in run.spec().steps.iter().zip(run.steps()) {
            let alone = spec.effects || spec.bypass_cache;
            if matches!(step.phase, StepPhase::Ready | StepPhase::Running) && !alone {
                assert!(actions.insert((&run.spec().scope, step.action)), "the same work twice");
            }
            let others = step.shared || step.cached || step.phase == StepPhase::WaitingForIdentical;
            assert!(!alone || !others, "not executed");
        }
    }
}

/// Another shell would owe the same answers, but for those that nobody waits for any more.
fn what_is_outstanding_is_what_is_owed(shell: &Shell) {
    let state = &shell.state;
    let outstanding: Vec<Owed> = state.outstanding().iter().filter_map(Owed::by).collect();
    assert_eq!(outstanding.len(), state.outstanding().len());
    let waited_for = |owed: &&Owed| match **owed {
        Owed::Resolve { id, .. } => view(state, id).is_some_and(|step| step.phase == StepPhase::Resolving),
        Owed::Attempt { id, attempt, epoch, .. } => view(state, id).is_some_and(|step| {
            (step.phase, step.attempt, step.epoch) == (StepPhase::Running, attempt, epoch)
        }),
        Owed::Deliver { run } => state.run(run).is_some_and(Run::is_delivering),
    };
    assert!(
        outstanding.is_sorted_by_key(Owed::key) && outstanding.iter().all(|owed| shell.owed.contains(owed))
    );
    // Where a repeated answer came first and the step is looked up again, the shell owes two.
    let keys = |owed: &mut dyn Iterator<Item = &Owed>| owed.map(Owed::key).collect::<BTreeSet<_>>();
    assert_eq!(keys(&mut shell.owed.iter().filter(waited_for)), keys(&mut outstanding.iter()));
}
