//! From a step of a plan to the action it will be, but for its input root.

use cullet_cache::action::{ENVIRONMENT, NETWORK, PLAIN, ROOT_OUTPUT};
use cullet_cache::{Action, OutputPath, secret_properties};
use cullet_digest::DigestFunction;
use cullet_pipeline::plan::{self, CacheVolume, Identity, Limits, Network, Output, OutputPattern, Settings};

use crate::deliverable::Deliverable;
use crate::given::GivenAction;
use crate::images::Images;

/// What only executing a run needs to know of its steps. Called often and from several tasks at once.
pub trait Templates: Send + Sync {
    /// The action of the step, with an empty directory as its input root.
    fn template(&self, step: u32) -> Action;

    /// The action of the only step, where somebody else made it.
    fn given(&self) -> Option<&GivenAction> {
        None
    }

    /// Whether executing a step again says something about its result, and harms nobody.
    fn may_be_audited(&self, _step: u32) -> bool {
        false
    }

    /// The paths of the step's declared outputs, sorted. Their positions are what the core calls outputs.
    fn outputs(&self, step: u32) -> Vec<String>;

    /// The paths, as in the action's outputs, of its JUnit reports.
    fn reports(&self, step: u32) -> Vec<String>;

    /// What the step may take.
    fn limits(&self, step: u32) -> Limits;

    /// The reference of the image that the step runs in, as the pipeline says it; none for the image `host`.
    fn image(&self, step: u32) -> Option<&str>;

    /// The references of the images of its services, by their names.
    fn service_images(&self, step: u32) -> Vec<(String, String)>;

    /// The volumes that make the step faster.
    fn caches(&self, step: u32) -> &[CacheVolume];

    /// What the run hands out, of parts that are positions in [`Templates::outputs`].
    fn deliverables(&self) -> Vec<Deliverable<u16>>;
}

/// What the machine is that executes, as far as it is part of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// The digest function of pipelines.
    pub function: DigestFunction,
    /// Its processor, as Rust calls it: `x86_64`, `aarch64`.
    pub arch: String,
    /// Its system, as Rust calls it: `linux`.
    pub os: String,
    /// What tells the `host` image of this machine from others': a fingerprint of its toolchain.
    pub host_image: String,
    /// The name of the executor where it does not isolate, so that its results stay apart.
    pub executor: Option<String>,
}

impl Machine {
    /// The one that this runs on.
    pub fn here(function: DigestFunction, host_image: String, executor: Option<String>) -> Self {
        let (arch, os) = (std::env::consts::ARCH.to_owned(), std::env::consts::OS.to_owned());
        Self { function, arch, os, host_image, executor }
    }
}

/// The action of a plan's step.
pub fn step_action(step: &plan::Step, machine: &Machine, images: &Images) -> Action {
    action(&step.run, &step.outputs, &step.settings, machine, images)
}

/// The action of a step of which this is known.
pub(crate) fn action(
    run: &plan::Run,
    outputs: &[Output],
    settings: &Settings,
    machine: &Machine,
    images: &Images,
) -> Action {
    Action {
        arguments: run.arguments(),
        env: settings.env.clone(),
        working_directory: String::new(),
        outputs: output_paths(outputs, settings),
        input_root: machine.function.digest(b""),
        platform: platform(settings, machine, images),
        timeout: settings.timeout,
        do_not_cache: settings.effects,
        salt: Vec::new(),
        trees: false,
    }
}

/// The paths of a step's declared outputs, sorted: two steps with one action share results by position, whatever
/// names they have for them.
pub fn output_paths_of(outputs: &[Output]) -> Vec<String> {
    let mut paths: Vec<String> = outputs.iter().map(output_path).collect();
    paths.sort_unstable();
    paths
}

/// The position in [`output_paths_of`] of one of a step's outputs.
pub fn output_position(outputs: &[Output], output: u32) -> u16 {
    let path = output_path(&outputs[output as usize]);
    let before = outputs.iter().filter(|other| output_path(other) < path).count();
    // The core refuses a specification with more than it can number.
    u16::try_from(before).unwrap_or(u16::MAX)
}

/// The path by which an output is known in an action and its result.
pub fn output_path(output: &plan::Output) -> String {
    match &output.pattern {
        OutputPattern::Path(path) => path.clone(),
        OutputPattern::Globs(globs) => globs.join("\n"),
        OutputPattern::Root => ROOT_OUTPUT.to_owned(),
    }
}

fn output_paths(outputs: &[Output], settings: &Settings) -> Vec<OutputPath> {
    let declared = outputs.iter().map(|output| OutputPath {
        path: output_path(output),
        globs: matches!(output.pattern, OutputPattern::Globs(_)),
        optional: false,
    });
    let mut paths: Vec<OutputPath> = declared.collect();
    for report in &settings.reports {
        if !paths.iter().any(|output| output.path == report.path) {
            // A step that failed early has no report, and that is not what it should be blamed for.
            paths.push(OutputPath { path: report.path.clone(), globs: true, optional: true });
        }
    }
    paths
}

/// The version of what Cullet itself puts around a step: its user, its files under `/etc`, `HOME`, the umask, how
/// outputs are collected. Raised whenever one of them changes, because results made before may then differ.
const ENVIRONMENT_VERSION: &str = "1";

fn platform(settings: &Settings, machine: &Machine, images: &Images) -> Vec<(String, String)> {
    let image = match &settings.image {
        plan::Image::Host => format!("host:{}", machine.host_image),
        plan::Image::Reference(reference) => match images.digest(reference) {
            Some(digest) => digest.to_owned(),
            // Whoever submits a plan has checked that there is none; this is no key of anything.
            None => format!("unresolved:{reference}"),
        },
    };
    let mut properties = vec![
        ("Arch".to_owned(), machine.arch.clone()),
        ("OSFamily".to_owned(), machine.os.clone()),
        (ENVIRONMENT.to_owned(), ENVIRONMENT_VERSION.to_owned()),
        ("image".to_owned(), image),
    ];
    if settings.network == Network::Full {
        properties.push((NETWORK.0.to_owned(), NETWORK.1.to_owned()));
    }
    // An image is isolated wherever it is.
    if let (Some(executor), plan::Image::Host) = (&machine.executor, &settings.image) {
        properties.push((PLAIN.0.to_owned(), executor.clone()));
    }
    for plan::Secret { name, source, in_env, identity, .. } in &settings.secrets {
        let identity = match identity {
            Identity::None => None,
            // Whoever submits a plan has refused it; this is no key of anything.
            Identity::Wanted => Some("unknown"),
            Identity::Known(identity) => Some(identity.as_str()),
        };
        properties.extend(secret_properties(name, &source.text(), *in_env, identity));
    }
    properties.extend(crate::beside::property(settings, images));
    properties
}
