//! From a plan and the trees of its sources to what the core takes.

use std::collections::BTreeMap;
use std::sync::Arc;

use cullet_cache::Action;
use cullet_core::spec::{InputSource, InputSpec, RunSpec, StepSpec};
use cullet_digest::{Digest, DigestFunction, TreeRef};
use cullet_pipeline::plan::{self, CacheVolume, InputFrom, Limits, Plan};

use crate::deliverable::{Deliverable, ImageExport};
use crate::images::Images;
use crate::template::{Machine, Templates, action, output_paths_of, output_position};

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

/// A run to submit.
#[derive(Debug)]
pub struct Submission {
    /// What the core decides about.
    pub spec: RunSpec,
    /// What executing it needs to know.
    pub templates: PlanTemplates,
}

impl Submission {
    /// One of its steps and nothing else, with these inputs; no step where there is none of this name and with so many.
    pub(crate) fn only(mut self, name: &str, inputs: &[TreeRef]) -> Self {
        let fits = |step: &StepSpec| *step.name == *name && step.inputs.len() == inputs.len();
        let found = self.spec.steps.iter().position(fits);
        let step = found.map(|position| self.spec.steps.swap_remove(position));
        let template = found.map(|position| self.templates.steps.swap_remove(position));
        self.spec.steps = step.into_iter().collect();
        for step in &mut self.spec.steps {
            step.after = Box::default();
            (step.bypass_cache, step.skip) = (true, None);
            for (input, tree) in step.inputs.iter_mut().zip(inputs) {
                input.source = InputSource::Tree(Arc::new(*tree));
            }
        }
        self.templates.steps = template.into_iter().collect();
        // What it handed out were outputs of steps that are not there.
        self.templates.outputs.clear();
        (self.spec.deliver, self.spec.journal) = (Box::default(), false);
        self
    }
}

/// The steps of a plan that make their actions when they are needed, so that 100,000 of them need not be kept.
#[derive(Debug)]
pub struct PlanTemplates {
    steps: Vec<StepTemplate>,
    outputs: Vec<plan::RunOutput>,
    machine: Machine,
    images: Images,
}

/// What is left of a step when the core has its part.
#[derive(Debug)]
struct StepTemplate {
    run: plan::Run,
    outputs: Arc<[plan::Output]>,
    settings: Arc<plan::Settings>,
    /// The layers of its root above the image, the lowest first.
    below: Box<[plan::OutputRef]>,
}

impl PlanTemplates {
    /// Whether something runs beside a step.
    pub(crate) fn has_services(&self, step: u32) -> bool {
        !self.steps[step as usize].settings.services.is_empty()
    }

    /// How many steps there are.
    pub(crate) fn len(&self) -> usize {
        self.steps.len()
    }

    /// The digest of a step's Command.
    pub(crate) fn command(&self, step: usize, function: DigestFunction) -> Option<Digest> {
        self.steps
            .get(step)
            .map(|step| step.action(&self.machine, &self.images).encode(function).command_digest)
    }
}

impl PlanTemplates {
    /// A tree, or for an image the layers of which its root is made.
    fn deliverable(&self, output: &plan::RunOutput) -> Deliverable<u16> {
        let part = |from: &plan::OutputRef| {
            (from.step, output_position(&self.steps[from.step as usize].outputs, from.output))
        };
        let template = &self.steps[output.from.step as usize];
        let below = output.image.as_ref().map_or(&[][..], |_| &template.below);
        let parts = below.iter().chain([&output.from]).map(part).collect();
        let image = output.image.as_ref().and_then(|image| {
            let plan::Image::Reference(reference) = &template.settings.image else { return None };
            let manifest = self.images.digest(reference)?.to_owned();
            let plan::ImageOutput { format, name } = image.clone();
            Some(ImageExport { reference: reference.clone(), manifest, format, name })
        });
        Deliverable { path: output.path.clone(), parts, image }
    }
}

impl StepTemplate {
    fn action(&self, machine: &Machine, images: &Images) -> Action {
        action(&self.run, &self.outputs, &self.settings, machine, images)
    }
}

impl Templates for PlanTemplates {
    fn template(&self, step: u32) -> Action {
        self.steps[step as usize].action(&self.machine, &self.images)
    }

    /// Not where it acts on the outside world, knows a secret, finds what it needs on the network, or leaves its whole root, in
    /// which there are times of files.
    fn may_be_audited(&self, step: u32) -> bool {
        let Some(StepTemplate { outputs, settings, .. }) = self.steps.get(step as usize) else {
            return false;
        };
        let leaves_root = outputs.iter().any(|output| matches!(output.pattern, plan::OutputPattern::Root));
        let is_alone = settings.network != plan::Network::Full && settings.secrets.is_empty();
        !settings.effects && is_alone && !leaves_root
    }

    fn outputs(&self, step: u32) -> Vec<String> {
        output_paths_of(&self.steps[step as usize].outputs)
    }

    fn reports(&self, step: u32) -> Vec<String> {
        self.steps[step as usize].settings.reports.iter().map(|report| report.path.clone()).collect()
    }

    fn limits(&self, step: u32) -> Limits {
        self.steps[step as usize].settings.limits
    }

    fn image(&self, step: u32) -> Option<&str> {
        match &self.steps[step as usize].settings.image {
            plan::Image::Host => None,
            plan::Image::Reference(reference) => Some(reference),
        }
    }

    fn service_images(&self, step: u32) -> Vec<(String, String)> {
        let services = self.steps[step as usize].settings.services.iter();
        services.map(|service| (service.name.clone(), service.image.clone())).collect()
    }

    fn caches(&self, step: u32) -> &[CacheVolume] {
        &self.steps[step as usize].settings.caches
    }

    fn deliverables(&self) -> Vec<Deliverable<u16>> {
        self.outputs.iter().map(|output| self.deliverable(output)).collect()
    }
}

/// Divides a plan into what the core decides about and what executing needs, and keeps nothing of it twice.
/// `images` has to have the images of all steps: see [`Images::check`]. `source_tree(source, subpath)` gives the tree
/// of a part of a source.
///
/// # Errors
/// Of `source_tree`.
pub fn submission<E>(
    plan: Plan,
    machine: Machine,
    images: Images,
    options: RunOptions,
    source_tree: impl FnMut(u32, &str) -> Result<TreeRef, E>,
) -> Result<Submission, E> {
    let mut deliver: Vec<u32> = Vec::new();
    if options.deliver {
        deliver.extend(plan.outputs.iter().flat_map(|output| {
            let layers =
                output.image.as_ref().map_or(&[][..], |_| &plan.steps[output.from.step as usize].inputs);
            [output.from.step].into_iter().chain(root_layers(layers).map(|from| from.step))
        }));
        deliver.sort_unstable();
        deliver.dedup();
    }
    let mut steps = Vec::with_capacity(plan.steps.len());
    let templates = Vec::with_capacity(plan.steps.len());
    let mut dividing = Dividing { machine, images, options, trees: Trees::new(source_tree), templates };
    for step in plan.steps {
        steps.push(dividing.step(step)?);
    }
    let spec = RunSpec {
        pipeline: plan.name.into(),
        steps,
        keep_going: options.keep_going,
        deliver: deliver.into(),
        ..RunSpec::default()
    };
    let Dividing { machine, images, templates, .. } = dividing;
    let templates = PlanTemplates { steps: templates, outputs: plan.outputs, machine, images };
    Ok(Submission { spec, templates })
}

/// The inputs that are layers of a root directory, the lowest first.
fn root_layers(inputs: &[plan::Input]) -> impl Iterator<Item = plan::OutputRef> {
    inputs.iter().filter(|input| input.path.starts_with(plan::ROOT_LAYERS)).filter_map(|input| {
        match input.from {
            InputFrom::Output(from) => Some(from),
            InputFrom::Source { .. } => None,
        }
    })
}

/// How many parts of sources are remembered; most pipelines have a dozen.
const TREES: usize = 4096;

/// Trees of sources. Each that is asked for often is there once.
struct Trees<F> {
    find: F,
    known: BTreeMap<(u32, Arc<str>), Arc<TreeRef>>,
}

impl<E, F: FnMut(u32, &str) -> Result<TreeRef, E>> Trees<F> {
    const fn new(find: F) -> Self {
        Self { find, known: BTreeMap::new() }
    }

    fn get(&mut self, source: u32, subpath: Arc<str>) -> Result<Arc<TreeRef>, E> {
        let part = (source, subpath);
        if let Some(known) = self.known.get(&part) {
            return Ok(Arc::clone(known));
        }
        let tree = Arc::new((self.find)(part.0, &part.1)?);
        if self.known.len() < TREES {
            self.known.insert(part, Arc::clone(&tree));
        }
        Ok(tree)
    }
}

/// The same for the same limits, and almost surely not for others; 0 for none.
fn fingerprint(limits: Limits) -> u64 {
    if limits == Limits::default() {
        return 0;
    }
    let Limits { cpu_millis, memory_bytes, processes, disk_bytes, output_bytes, log_bytes } = limits;
    let (cpu, processes) = (u64::from(cpu_millis), u64::from(processes));
    let amounts = [cpu, processes, memory_bytes, disk_bytes, output_bytes, log_bytes];
    let hash = blake3::hash(amounts.map(u64::to_le_bytes).as_flattened());
    hash.as_bytes()[..8].iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// A plan on its way.
struct Dividing<F> {
    machine: Machine,
    images: Images,
    options: RunOptions,
    trees: Trees<F>,
    /// Of the steps so far, which all later ones may use.
    templates: Vec<StepTemplate>,
}

impl<E, F: FnMut(u32, &str) -> Result<TreeRef, E>> Dividing<F> {
    fn step(&mut self, step: plan::Step) -> Result<StepSpec, E> {
        let below = root_layers(&step.inputs).collect();
        let mut inputs = Vec::with_capacity(step.inputs.len());
        for input in step.inputs {
            let source = match input.from {
                InputFrom::Source { source, subpath } => InputSource::Tree(self.trees.get(source, subpath)?),
                InputFrom::Output(plan::OutputRef { step, output }) => {
                    let output = output_position(&self.templates[step as usize].outputs, output);
                    InputSource::Output { step, output }
                }
            };
            inputs.push(InputSpec { path: input.path, source });
        }
        let template = StepTemplate { run: step.run, outputs: step.outputs, settings: step.settings, below };
        let settings = &template.settings;
        let spec = StepSpec {
            name: step.name,
            command: template
                .action(&self.machine, &self.images)
                .encode(self.machine.function)
                .command_digest,
            inputs: inputs.into(),
            after: step.needs,
            outputs: template.outputs.len() as u16,
            requires: 0,
            cpu_millis: settings.resources.cpu_millis.min(self.options.cpu_millis),
            memory_bytes: settings.resources.memory_bytes.min(self.options.memory_bytes),
            timeout_ms: settings.timeout.as_millis() as u64,
            limits: fingerprint(settings.limits),
            retry_failure: settings.retries.failure,
            retry_infra: settings.retries.infra,
            effects: settings.effects,
            allow_failure: settings.allow_failure,
            bypass_cache: self.options.no_cache,
            skip: step.skip,
        };
        self.templates.push(template);
        Ok(spec)
    }
}
