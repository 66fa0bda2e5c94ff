//! Specifications in few words.

use cullet_core::spec::{InputSource, InputSpec, RunSpec, StepSpec};
use cullet_digest::{Digest, DigestFunction, TreeRef};

pub(crate) fn digest(text: &str) -> Digest {
    DigestFunction::Blake3.digest(text.as_bytes())
}

pub(crate) fn tree(text: &str) -> TreeRef {
    TreeRef::Directory(digest(text))
}

/// A step with one output that takes one processor and is never tried again.
pub(crate) fn step(name: &str) -> StepSpec {
    StepSpec {
        name: name.into(),
        command: digest(name),
        inputs: Box::default(),
        after: Box::default(),
        outputs: 1,
        requires: 0,
        cpu_millis: 1000,
        memory_bytes: 0,
        timeout_ms: 60_000,
        limits: 0,
        retry_failure: 0,
        retry_infra: 0,
        effects: false,
        allow_failure: false,
        bypass_cache: false,
        skip: None,
    }
}

/// A step that reads the first output of others and, at `src`, a source.
pub(crate) fn reads(name: &str, producers: &[u32]) -> StepSpec {
    let source = InputSpec { path: "src".into(), source: InputSource::Tree(tree("source").into()) };
    let outputs = producers.iter().map(|&step| InputSpec {
        path: format!("in{step}").into(),
        source: InputSource::Output { step, output: 0 },
    });
    StepSpec { inputs: outputs.chain([source]).collect(), ..step(name) }
}

/// A step that only comes after others.
pub(crate) fn after(name: &str, needed: &[u32]) -> StepSpec {
    StepSpec { after: needed.into(), ..step(name) }
}

/// Steps run to the end of the first failure.
pub(crate) fn run(steps: impl Into<Vec<StepSpec>>) -> RunSpec {
    RunSpec { pipeline: "test".into(), steps: steps.into(), ..RunSpec::default() }
}

/// Steps of which all run that can.
pub(crate) fn keep_going(steps: impl Into<Vec<StepSpec>>) -> RunSpec {
    RunSpec { keep_going: true, ..run(steps) }
}
