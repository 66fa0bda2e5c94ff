//! From a plan and the trees of its sources to what the core takes.

use std::sync::Arc;

use cullet_cache::Action;
use cullet_core::spec::{InputSource, InputSpec, RunSpec, StepSpec};
use cullet_digest::TreeRef;
use cullet_pipeline::plan::{self, InputFrom, Plan};

use crate::template::{Machine, Templates, output_paths_of, output_position, step_action};

/// How a run is to be run.
#[derive(Debug, Clone, Copy, Default)]
pub struct RunOptions {
    /// Steps that do not depend on a failed one still start.
    pub keep_going: bool,
    /// No step is looked up in the action cache; results are still written.
    pub no_cache: bool,
    /// The run's outputs are to be delivered before it counts as finished.
    pub deliver: bool,
    /// Steps are told to take no more than this many thousandths of a processor: one that asks for more than
    /// there is runs alone.
    pub cpu_millis: u32,
    /// The same for bytes of memory.
    pub memory_bytes: u64,
}

/// A plan that makes its actions when they are needed, so that 100,000 of them need not be kept.
#[derive(Debug)]
pub struct PlanTemplates {
    plan: Arc<Plan>,
    machine: Machine,
}

impl PlanTemplates {
    /// Templates of `plan` on `machine`.
    pub const fn new(plan: Arc<Plan>, machine: Machine) -> Self {
        Self { plan, machine }
    }
}

impl Templates for PlanTemplates {
    fn template(&self, step: u32) -> Action {
        step_action(&self.plan.steps[step as usize], &self.machine)
    }

    fn outputs(&self, step: u32) -> Vec<String> {
        output_paths_of(&self.plan.steps[step as usize])
    }

    fn reports(&self, step: u32) -> Vec<String> {
        self.plan.steps[step as usize].reports.iter().map(|report| report.path.clone()).collect()
    }

    fn deliverables(&self) -> Vec<(String, u32, u16)> {
        let deliverable = |output: &plan::RunOutput| {
            let plan::OutputRef { step, output: position } = output.from;
            let position = output_position(&self.plan.steps[step as usize], position);
            (output.path.clone(), step, position)
        };
        self.plan.outputs.iter().map(deliverable).collect()
    }
}

/// The specification of a run. `source_tree(source, subpath)` gives the tree of a part of a source.
pub fn run_spec<E>(
    plan: &Plan,
    machine: &Machine,
    options: RunOptions,
    mut source_tree: impl FnMut(u32, &str) -> Result<TreeRef, E>,
) -> Result<RunSpec, E> {
    let mut steps = Vec::with_capacity(plan.steps.len());
    for step in &plan.steps {
        steps.push(step_spec(plan, step, machine, options, &mut source_tree)?);
    }
    let mut deliver: Vec<u32> = Vec::new();
    if options.deliver {
        deliver.extend(plan.outputs.iter().map(|output| output.from.step));
        deliver.sort_unstable();
        deliver.dedup();
    }
    Ok(RunSpec {
        pipeline: plan.name.as_str().into(),
        steps,
        keep_going: options.keep_going,
        deliver: deliver.into(),
    })
}

fn step_spec<E>(
    plan: &Plan,
    step: &plan::Step,
    machine: &Machine,
    options: RunOptions,
    source_tree: &mut impl FnMut(u32, &str) -> Result<TreeRef, E>,
) -> Result<StepSpec, E> {
    let mut inputs = Vec::with_capacity(step.inputs.len());
    for input in &step.inputs {
        let source = match &input.from {
            InputFrom::Source { source, subpath } => InputSource::Tree(source_tree(*source, subpath)?),
            InputFrom::Output(output) => {
                let producer = &plan.steps[output.step as usize];
                InputSource::Output { step: output.step, output: output_position(producer, output.output) }
            }
        };
        inputs.push(InputSpec { path: input.path.as_str().into(), source });
    }
    Ok(StepSpec {
        name: step.name.as_str().into(),
        command: step_action(step, machine).encode(machine.function).command_digest,
        inputs: inputs.into(),
        after: step.needs.as_slice().into(),
        outputs: step.outputs.len() as u16,
        cpu_millis: step.resources.cpu_millis.min(options.cpu_millis),
        memory_bytes: step.resources.memory_bytes.min(options.memory_bytes),
        timeout_ms: step.timeout.as_millis() as u64,
        retry_failure: step.retries.failure,
        retry_infra: step.retries.infra,
        effects: step.effects,
        allow_failure: step.allow_failure,
        bypass_cache: options.no_cache,
        skip: step.skip.as_deref().map(Into::into),
    })
}
