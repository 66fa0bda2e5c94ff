//! Drives a core by hand: commands by the names of steps, effects as lines of text.

use std::sync::Arc;

use cullet_core::spec::RunSpec;
use cullet_core::{
    AttemptOutcome, Detail, Effect, LogCommand, Resolution, RunId, Settings, State, StepId, StepView, TimeMs,
    Usage, WorkerId, WorkerSpec,
};
use cullet_digest::TreeRef;

use crate::steps::{digest, tree};

/// A worker `w1`, `w2`, ..., which has this number if it is the first, second, ... to join.
pub(crate) fn worker_spec(worker: u64, cpus: u32) -> WorkerSpec {
    WorkerSpec {
        name: format!("w{worker}").into(),
        incarnation: 1,
        cpu_millis: cpus * 1000,
        memory_bytes: 1 << 30,
        ..WorkerSpec::default()
    }
}

/// A state, a clock, and everything it was told. Steps are called by name, those of runs other than the first
/// by `RUN.NAME`.
#[derive(Default)]
pub(crate) struct Core {
    pub(crate) state: State,
    pub(crate) now: TimeMs,
    pub(crate) log: Vec<LogCommand>,
}

impl Core {
    /// With one worker of so many processors.
    pub(crate) fn with_cpus(cpus: u32) -> Self {
        let mut core = Self::default();
        core.join(1, cpus);
        core
    }

    pub(crate) fn apply(&mut self, command: LogCommand) -> Vec<String> {
        let effects = self.state.apply(&command);
        self.log.push(command);
        effects.iter().map(|effect| self.line(effect)).collect()
    }

    /// The effects that follow from its being accepted, or the answer where it is not.
    pub(crate) fn submit(&mut self, run: u128, spec: RunSpec) -> Vec<String> {
        let mut lines =
            self.apply(LogCommand::Submit { run: RunId(run), spec: Arc::new(spec), at: self.now });
        if lines.first().is_some_and(|line| *line == format!("accepted {run}")) {
            lines.remove(0);
        }
        lines
    }

    pub(crate) fn configure(&mut self, settings: Settings) -> Vec<String> {
        self.apply(LogCommand::Configure { settings: Box::new(settings), at: self.now })
    }

    pub(crate) fn join(&mut self, worker: u64, cpus: u32) -> Vec<String> {
        self.apply(LogCommand::WorkerJoined { spec: worker_spec(worker, cpus), at: self.now })
    }

    pub(crate) fn leave(&mut self, worker: u64) -> Vec<String> {
        let reason = "no word from it".into();
        self.apply(LogCommand::WorkerLeft { worker: WorkerId(worker), reason, at: self.now })
    }

    pub(crate) fn drain(&mut self, worker: u64) -> Vec<String> {
        self.apply(LogCommand::WorkerDraining { worker: WorkerId(worker), at: self.now })
    }

    /// It is as late as the clock says.
    pub(crate) fn tick(&mut self) -> Vec<String> {
        self.apply(LogCommand::Tick { at: self.now })
    }

    pub(crate) fn cancel(&mut self, run: u128) -> Vec<String> {
        self.apply(LogCommand::Cancel { run: RunId(run), at: self.now })
    }

    pub(crate) fn delivered(&mut self, run: u128, lost: &[u32]) -> Vec<String> {
        self.apply(LogCommand::Delivered { run: RunId(run), lost: lost.into(), at: self.now })
    }

    pub(crate) fn resolved(&mut self, name: &str, resolution: Resolution) -> Vec<String> {
        self.apply(LogCommand::Resolved { id: self.id(name), resolution, at: self.now })
    }

    /// Its own action, and as many outputs as it declares, named after it.
    pub(crate) fn hit(&mut self, name: &str) -> Vec<String> {
        let outputs = self.outputs(name);
        self.resolved(name, Resolution::Hit { action: digest(name), outputs, saved_ms: 7 })
    }

    pub(crate) fn miss(&mut self, name: &str) -> Vec<String> {
        self.miss_as(name, name)
    }

    pub(crate) fn miss_as(&mut self, name: &str, action: &str) -> Vec<String> {
        self.resolved(name, Resolution::miss(digest(action)))
    }

    pub(crate) fn resolve_lost(&mut self, name: &str, inputs: &[u16]) -> Vec<String> {
        self.resolved(name, Resolution::InputLost { inputs: inputs.into() })
    }

    /// Ends the current attempt.
    pub(crate) fn done(&mut self, name: &str, outcome: AttemptOutcome) -> Vec<String> {
        let (id, view) = (self.id(name), self.view(name));
        let (attempt, epoch, at) = (view.attempt, view.epoch, self.now);
        let duration_ms = at - view.started_at.unwrap_or(at);
        let blob = Some(digest(&format!("{name}#{attempt}")));
        let usage = Some(Usage { cpu_ms: u64::from(attempt), ..Usage::default() });
        let detail = Some(Detail { blob, usage });
        self.apply(LogCommand::AttemptFinished { id, attempt, epoch, outcome, duration_ms, detail, at })
    }

    pub(crate) fn succeed(&mut self, name: &str) -> Vec<String> {
        let outputs = self.outputs(name);
        self.done(name, AttemptOutcome::Succeeded { outputs })
    }

    pub(crate) fn fail(&mut self, name: &str) -> Vec<String> {
        self.done(name, AttemptOutcome::Failed { exit_code: 3 })
    }

    pub(crate) fn infra(&mut self, name: &str) -> Vec<String> {
        self.done(name, AttemptOutcome::Infra { reason: "no space".into() })
    }

    pub(crate) fn lost(&mut self, name: &str, inputs: &[u16]) -> Vec<String> {
        self.done(name, AttemptOutcome::InputLost { inputs: inputs.into() })
    }

    /// Every step that is resolving misses, in order.
    pub(crate) fn miss_all(&mut self, names: &[&str]) {
        for name in names {
            self.miss(name);
        }
    }

    pub(crate) fn outputs(&self, name: &str) -> Box<[TreeRef]> {
        let id = self.id(name);
        let run = self.state.run(id.run).unwrap();
        (0..run.spec().steps[id.step as usize].outputs).map(|i| tree(&format!("{name}/{i}"))).collect()
    }

    pub(crate) fn id(&self, name: &str) -> StepId {
        let (run, name) = name.split_once('.').map_or((1, name), |(run, name)| (run.parse().unwrap(), name));
        let steps = &self.state.run(RunId(run)).unwrap().spec().steps;
        let step = steps.iter().position(|step| &*step.name == name).unwrap();
        StepId { run: RunId(run), step: step as u32 }
    }

    pub(crate) fn view(&self, name: &str) -> StepView<'_> {
        let id = self.id(name);
        self.state.run(id.run).unwrap().step(id.step).unwrap()
    }

    pub(crate) fn reason(&self, name: &str) -> &str {
        self.view(name).reason.unwrap_or("")
    }

    /// What somebody else would have to do now.
    pub(crate) fn outstanding(&self) -> Vec<String> {
        self.state.outstanding().iter().map(|effect| self.line(effect)).collect()
    }

    fn line(&self, effect: &Effect) -> String {
        match effect {
            Effect::SubmitAccepted { run, existed: false } => format!("accepted {}", run.0),
            Effect::SubmitAccepted { run, existed: true } => format!("known {}", run.0),
            Effect::SubmitRefused { run, reason, retry_after_ms } => {
                format!("refused {}: {reason}, again in {retry_after_ms:?}", run.0)
            }
            Effect::Resolve { id, bypass_cache } => {
                format!("resolve {}{}", self.name(*id), if *bypass_cache { " anew" } else { "" })
            }
            Effect::Start { id, attempt, epoch, worker, .. } => {
                format!("start {}#{attempt}@{epoch} on {}", self.name(*id), worker.0)
            }
            Effect::Stop { id, attempt, worker, .. } => {
                format!("stop {}#{attempt} on {}", self.name(*id), worker.0)
            }
            Effect::StepFinished { id } => {
                let view = self.state.run(id.run).unwrap().step(id.step).unwrap();
                let how = if view.shared {
                    " shared"
                } else if view.cached {
                    " cached"
                } else {
                    ""
                };
                format!("{} {:?}{how}", self.name(*id), view.status().unwrap())
            }
            Effect::StepRewound { id } => format!("rewound {}", self.name(*id)),
            Effect::RunForgotten { run } => format!("forgotten {}", run.0),
            Effect::Deliver { run } => format!("deliver {}", run.0),
            Effect::RunFinished { run } => {
                format!("run {} {:?}", run.0, self.state.run(*run).unwrap().status().unwrap())
            }
        }
    }

    fn name(&self, id: StepId) -> String {
        let name = &self.state.run(id.run).unwrap().spec().steps[id.step as usize].name;
        if id.run == RunId(1) { name.to_string() } else { format!("{}.{name}", id.run.0) }
    }
}
