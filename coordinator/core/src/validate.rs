//! What a specification must be before the core takes it in. Whatever passes can be indexed without a second
//! look.

use crate::StepIndex;
use crate::spec::{InputSource, InputSpec, RunSpec, StepSpec};
use crate::worker_spec::{MAX_LABELS, MAX_NAME};

/// Ten times the largest run anybody has shown us; about 700 MB of state.
const MAX_STEPS: usize = 1_000_000;
/// Positions of inputs are 16 bits wide.
const MAX_INPUTS: usize = 65_536;
/// Sixteen dependencies for each of [`MAX_STEPS`]; offsets of edges are 32 bits wide.
const MAX_EDGES: usize = 16_000_000;
/// Linux's `PATH_MAX`. A name is no longer than a path, since reports and logs are files named after it.
const MAX_TEXT: usize = 4096;
/// Kinds of workers that steps of one run tell apart; most runs know one.
const MAX_REQUIREMENTS: usize = 256;
const PRIORITIES: std::ops::RangeInclusive<i8> = -100..=100;

/// Why this specification cannot be run, or nothing.
pub(crate) fn refusal(spec: &RunSpec) -> Option<String> {
    if spec.steps.len() > MAX_STEPS {
        return Some(format!("{} steps are more than {MAX_STEPS}", spec.steps.len()));
    }
    if spec.pipeline.len() > MAX_TEXT {
        return Some(format!("the pipeline's name is longer than {MAX_TEXT} bytes"));
    }
    if let Some(reason) = belonging_refusal(spec) {
        return Some(reason);
    }
    let edges: usize = spec.steps.iter().map(|step| step.after.len() + step.inputs.len()).sum();
    if edges > MAX_EDGES {
        return Some(format!("{edges} inputs and dependencies are more than {MAX_EDGES}"));
    }
    if let Some(unknown) = spec.deliver.iter().find(|&&step| step as usize >= spec.steps.len()) {
        return Some(format!("step {unknown}, which is to be delivered, does not exist"));
    }
    (0..).zip(&spec.steps).find_map(|(index, step)| {
        let reason = step_refusal(spec, index, step)?;
        Some(format!("step {index}: {reason}"))
    })
}

/// About who asks and what workers must have.
fn belonging_refusal(spec: &RunSpec) -> Option<String> {
    if spec.tenant.is_empty() || spec.tenant.len() > MAX_NAME {
        return Some(format!("the tenant's name is empty or longer than {MAX_NAME} bytes"));
    }
    if spec.scope.is_empty() || spec.scope.len() > MAX_NAME {
        return Some(format!("the scope's name is empty or longer than {MAX_NAME} bytes"));
    }
    if spec.operation && spec.steps.iter().any(|step| step.effects) {
        return Some(
            "an operation, whose name is not remembered, must not act on the outside world".to_owned(),
        );
    }
    if !PRIORITIES.contains(&spec.priority) {
        return Some(format!("priority {} is not between -100 and 100", spec.priority));
    }
    if spec.requirements.len() > MAX_REQUIREMENTS {
        return Some(format!("{} sets of labels are more than {MAX_REQUIREMENTS}", spec.requirements.len()));
    }
    spec.requirements.iter().find_map(|labels| {
        if labels.len() > MAX_LABELS {
            return Some(format!("{} labels in one set are more than {MAX_LABELS}", labels.len()));
        }
        let long = labels.iter().any(|(label, value)| label.len().max(value.len()) > MAX_NAME);
        long.then(|| format!("a label is longer than {MAX_NAME} bytes"))
    })
}

fn step_refusal(spec: &RunSpec, index: StepIndex, step: &StepSpec) -> Option<String> {
    if step.name.is_empty() || step.name.len() > MAX_TEXT {
        return Some(format!("its name is empty or longer than {MAX_TEXT} bytes"));
    }
    if step.skip.as_ref().is_some_and(|reason| reason.len() > MAX_TEXT) {
        return Some(format!("the reason to skip it is longer than {MAX_TEXT} bytes"));
    }
    if step.inputs.len() > MAX_INPUTS {
        return Some(format!("{} inputs are more than {MAX_INPUTS}", step.inputs.len()));
    }
    let sets = spec.requirements.len().max(1);
    if usize::from(step.requires) >= sets {
        return Some(format!("it requires set {} of labels, which is not there", step.requires));
    }
    if let Some(later) = step.after.iter().find(|&&needed| needed >= index) {
        return Some(format!("it needs step {later}, which is not before it"));
    }
    step.inputs.iter().find_map(|input| input_refusal(spec, index, input))
}

fn input_refusal(spec: &RunSpec, index: StepIndex, input: &InputSpec) -> Option<String> {
    if input.path.len() > MAX_TEXT {
        return Some(format!("the path of an input is longer than {MAX_TEXT} bytes"));
    }
    let InputSource::Output { step, output } = input.source else { return None };
    if step >= index {
        return Some(format!("its input '{}' comes from step {step}, which is not before it", input.path));
    }
    (output >= spec.steps[step as usize].outputs)
        .then(|| format!("its input '{}' is output {output} of step {step}, which has fewer", input.path))
}
