//! What the state says of itself is true.

use std::collections::BTreeMap;

use cullet_core::{
    Counts, Effect, LogCommand, Run, RunEventKind, RunId, State, StepId, StepPhase, StepStatus,
};

/// The journal says what the effects say, in the same order, and nothing that was written changes.
pub(crate) fn what_happened_is_written_down(before: &State, state: &State, effects: &[Effect]) {
    for (id, run) in state.runs() {
        let written = before.run(id).map_or(0, |run| run.events(0).len());
        let old = before.run(id).into_iter().flat_map(|run| run.events(0));
        assert!(run.events(0).take(written).eq(old));
        assert!((written as u64 + 1..).zip(run.events(written as u64)).all(|(n, (number, _))| n == number));
        let said = effects.iter().filter_map(|effect| match *effect {
            Effect::Start { id: of, attempt, .. } => (of.run == id).then_some((Some(of.step), attempt)),
            Effect::StepFinished { id: of } | Effect::StepRewound { id: of } => {
                (of.run == id).then_some((Some(of.step), 0))
            }
            Effect::RunFinished { run } => (run == id).then_some((None, 0)),
            _ => None,
        });
        let events = run.events(written as u64).filter_map(|(_, event)| match event.kind {
            RunEventKind::StepStarted { step, attempt, worker } => {
                assert!(run.worker_name(worker).is_some());
                Some((Some(step), attempt))
            }
            RunEventKind::StepFinished { step, .. } | RunEventKind::StepRewound { step } => {
                Some((Some(step), 0))
            }
            RunEventKind::RunFinished { .. } => Some((None, 0)),
            _ => None,
        });
        assert!(if run.spec().journal { events.eq(said) } else { run.events(0).len() == 0 });
    }
}

/// What is dropped to make room is the oldest that somebody has who has the most.
pub(crate) fn who_has_the_most_gives_way(before: &State, state: &State, effects: &[Effect]) {
    let finished = |state: &State| {
        let finished = state.runs().filter(|(_, run)| run.status().is_some());
        let kept = finished.map(|(id, run)| {
            let spec = run.spec();
            (id, ((spec.tenant.clone(), spec.operation), spec.steps.len()))
        });
        kept.collect::<BTreeMap<_, _>>()
    };
    let mut kept = finished(before);
    kept.extend(finished(state));
    let (most_runs, most_steps) =
        (state.settings().keep_finished_runs as usize, state.settings().keep_finished_steps as usize);
    for effect in effects {
        let Effect::RunForgotten { run } = effect else { continue };
        let mut tenants = BTreeMap::<_, (usize, usize)>::new();
        // Operations have room of their own.
        let kind = kept[run].0.1;
        let alike = || kept.values().filter(|((_, operation), _)| *operation == kind);
        for (tenant, steps) in alike() {
            let has = tenants.entry(tenant).or_default();
            *has = (has.0 + 1, has.1 + steps);
        }
        let has = tenants[&kept[run].0];
        let steps = tenants.values().map(|has| has.1);
        let one_may = state.settings().keep_finished_runs_per_tenant as usize;
        let has_most = tenants.values().all(|other| other.0 <= has.0);
        let by_runs = has_most && (alike().count() > most_runs || has.0 > one_may);
        let by_steps = steps.clone().sum::<usize>() > most_steps && steps.max() == Some(has.1);
        assert!(by_runs || by_steps, "{run} was not one too many");
        let age = |id| before.run(id).and_then(Run::finished_at);
        let older = |(id, (tenant, _)): (&RunId, &(_, _))| *tenant == kept[run].0 && age(*id) < age(*run);
        assert!(
            !kept.iter().any(|other| age(*other.0).is_some() && older(other)),
            "{run} was not the oldest"
        );
        kept.remove(run);
    }
}

pub(crate) fn what_is_live_is_counted(state: &State) {
    let mut live = BTreeMap::new();
    for (_, run) in state.runs().filter(|(_, run)| run.status().is_none()) {
        let live = live.entry(&*run.spec().tenant).or_insert((0, 0, 0, 0));
        live.0 += 1;
        live.1 += run.steps().len() as u64;
        for (spec, step) in run.spec().steps.iter().zip(run.steps()) {
            live.2 += u64::from(spec.cpu_millis.max(1)) * u64::from(step.phase == StepPhase::Running);
            live.3 += usize::from(step.phase == StepPhase::Ready);
        }
    }
    let counted = state.tenants().map(|tenant| {
        (tenant.name, (tenant.live_runs, tenant.live_steps, tenant.used_cpu_millis, tenant.ready))
    });
    assert_eq!(counted.collect::<BTreeMap<_, _>>(), live);
}

pub(crate) fn counts_are_true(run: &Run) {
    let mut counts = Counts::default();
    for step in run.steps() {
        match step.status() {
            Some(StepStatus::Succeeded) if step.cached => counts.cached += 1,
            Some(StepStatus::Succeeded) => counts.executed += 1,
            Some(StepStatus::Skipped) => counts.skipped += 1,
            Some(StepStatus::Cancelled) => counts.cancelled += 1,
            Some(_) => counts.failed += 1,
            None => {}
        }
        let explained = matches!(step.status(), Some(StepStatus::Skipped | StepStatus::Cancelled));
        assert!(!explained || step.reason.is_some_and(|reason| !reason.is_empty()), "no reason given");
    }
    assert_eq!(run.counts(), counts);
}

pub(crate) fn capacity_is_neither_lost_nor_lent_twice(state: &State, effects: &[Effect]) {
    for worker in state.workers() {
        let (mut cpu_millis, mut memory_bytes, mut running) = (0, 0, 0);
        for (id, run) in state.runs() {
            for (index, (spec, step)) in (0..).zip(run.spec().steps.iter().zip(run.steps())) {
                let is_here = step.phase == StepPhase::Running && step.worker == Some(worker.id);
                if is_here && worker.beside == Some(StepId { run: id, step: index }) {
                    assert!(run.spec().operation, "only operations have a place beside");
                    running += 1;
                } else if is_here {
                    cpu_millis += u64::from(spec.cpu_millis.max(1));
                    memory_bytes += spec.memory_bytes;
                    running += 1;
                }
            }
        }
        let used = (worker.used_cpu_millis, worker.used_memory_bytes, worker.running);
        assert_eq!(used, (cpu_millis, memory_bytes, running));
        let starts_here =
            |effect: &&Effect| matches!(effect, Effect::Start { worker: on, .. } if *on == worker.id);
        let takes =
            |effect: &Effect| matches!(effect, Effect::Start { id, .. } if worker.beside != Some(*id));
        let (starts, lends) = (
            effects.iter().any(|effect| starts_here(&effect)),
            effects.iter().filter(starts_here).any(takes),
        );
        let fits =
            cpu_millis <= u64::from(worker.spec.cpu_millis) && memory_bytes <= worker.spec.memory_bytes;
        assert!(fits || !lends, "lent twice");
        assert!(!worker.draining || !starts, "started on a worker that is to be emptied");
    }
}

/// Taken in and there, or refused and nothing of it is there.
pub(crate) fn a_submission_is_answered(
    before: &State,
    state: &State,
    command: &LogCommand,
    effects: &[Effect],
) {
    let LogCommand::Submit { run: id, .. } = command else { return };
    let existed = before.run(*id).is_some();
    match effects.first() {
        Some(Effect::SubmitAccepted { run, existed: said }) => {
            assert_eq!((run, *said, state.run(*id).is_some()), (id, existed, true));
            assert!(!existed || effects.len() == 1, "once is enough");
        }
        Some(Effect::SubmitRefused { run, .. }) => {
            assert_eq!((run, existed, effects.len()), (id, false, 1));
            assert!(state.runs().eq(before.runs()) && state.tenants().eq(before.tenants()));
        }
        answer => panic!("{answer:?} is no answer to a submission"),
    }
}
