//! The decisions alone: a run whose every step is answered by the cache, driven without a shell around it.

use std::sync::Arc;
use std::time::Instant;

use cullet_core::spec::{InputSource, InputSpec, RunSpec, StepSpec};
use cullet_core::{Effect, LogCommand, Resolution, RunId, State};
use cullet_digest::{DigestFunction, TreeRef};

use crate::Result;
use crate::check::{Report, Target, seconds};
use crate::measure::middle;
use crate::scale::Scale;

/// Seconds that 100,000 steps may take.
const TARGET: f64 = 0.1;
/// Steps in one layer.
const WIDTH: u32 = 50;

pub(crate) fn run(scale: &Scale, report: &mut Report) -> Result<()> {
    let steps = scale.core_steps;
    let spec = Arc::new(layers(steps));
    report.heading("core: decisions for a run that the cache answers");
    let times: Vec<f64> = (0..scale.runs).map(|_| play(&spec)).collect();
    let target = TARGET * f64::from(steps) / 100_000.0;
    let what = format!("{steps} steps in the core");
    report.compare(&what, middle(times), target, Target::AtMost(1.0), seconds);
    Ok(())
}

fn layers(steps: u32) -> RunSpec {
    RunSpec { pipeline: "layers".into(), steps: (0..steps).map(step).collect(), ..RunSpec::default() }
}

fn step(index: u32) -> StepSpec {
    let (layer, place) = (index / WIDTH, index % WIDTH);
    let producers = [place, (place * 7 + 3) % WIDTH].into_iter();
    let inputs = producers.filter_map(|producer| {
        let step = layer.checked_sub(1)? * WIDTH + producer;
        let path = format!("in-{producer}").into();
        Some(InputSpec { path, source: InputSource::Output { step, output: 0 } })
    });
    let mut inputs: Vec<InputSpec> = inputs.collect();
    inputs.dedup();
    StepSpec { inputs: inputs.into(), ..lone_step(index) }
}

/// A step without inputs.
pub(crate) fn lone_step(index: u32) -> StepSpec {
    StepSpec {
        name: format!("step-{index}").into(),
        command: DigestFunction::Blake3.digest(b"command"),
        inputs: Box::default(),
        after: Box::default(),
        outputs: 1,
        requires: 0,
        cpu_millis: 1000,
        memory_bytes: 0,
        timeout_ms: 3_600_000,
        limits: 0,
        retry_failure: 0,
        retry_infra: 1,
        effects: false,
        allow_failure: false,
        bypass_cache: false,
        skip: None,
    }
}

/// Answers every effect at once with a hit, and gives the seconds that took.
fn play(spec: &Arc<RunSpec>) -> f64 {
    let action = DigestFunction::Blake3.digest(b"action");
    let tree = TreeRef::File { digest: action, executable: false };
    let mut state = State::default();
    let start = Instant::now();
    let submit = LogCommand::Submit { run: RunId(1), spec: Arc::clone(spec), at: 0 };
    let mut effects = state.apply(&submit);
    while let Some(effect) = effects.pop() {
        if let Effect::Resolve { id, .. } = effect {
            let resolution = Resolution::Hit { action, outputs: [tree].into(), saved_ms: 1 };
            effects.append(&mut state.apply(&LogCommand::Resolved { id, resolution, at: 1 }));
        }
    }
    start.elapsed().as_secs_f64()
}
