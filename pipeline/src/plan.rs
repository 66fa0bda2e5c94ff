//! What a checked pipeline asks for, with parameters, matrices and expressions resolved: the only part of this
//! crate that the rest of Cullet builds on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

mod cache;
mod platform;
mod service;

pub use crate::plan_secret::{Identity, Secret, SecretSource};
pub use cache::CacheVolume;
pub use platform::{Platform, PlatformError};
pub use service::{Check, Ready, Service};

/// The position of a step in [`Plan::steps`]. A step's dependencies always have a smaller one.
pub type StepIndex = u32;

/// Everything a run needs to know.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The pipeline's name.
    pub name: String,
    /// The source trees that the steps below use, each read once.
    pub sources: Vec<Source>,
    /// The steps in topological order, only those that the chosen targets need.
    pub steps: Vec<Step>,
    /// What each target means, in the order of the targets, each sorted; nothing where none was named.
    pub targets: Vec<Vec<StepIndex>>,
    /// What `--output DIR` writes: a path relative to DIR and where it comes from.
    pub outputs: Vec<RunOutput>,
    /// Every image reference of the file's `images` and of the steps above, their services included: as written,
    /// sorted, each once.
    pub images: Vec<String>,
    /// What steps have to run on; anything where the file does not say it.
    pub platform: Option<Platform>,
}

impl Plan {
    /// The image references that the steps and their services have, and the first step that has each.
    #[must_use]
    pub fn step_images(&self) -> BTreeMap<&str, &Step> {
        let mut found = BTreeMap::new();
        let mut last: Option<&Arc<Settings>> = None;
        for step in &self.steps {
            // Instances of a step come together and mostly have the same.
            if last.replace(&step.settings).is_some_and(|last| Arc::ptr_eq(last, &step.settings)) {
                continue;
            }
            for reference in step.settings.images() {
                found.entry(reference).or_insert(step);
            }
        }
        found
    }
}

/// A tree of files on the submitting machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its name in the file.
    pub name: String,
    /// Relative to the pipeline file's directory.
    pub path: String,
    /// Globs of what to take; empty for everything.
    pub include: Vec<String>,
    /// Globs of what to leave out.
    pub exclude: Vec<String>,
}

/// One step, ready to be keyed once its inputs are known. A plan can have a million of them: what instances of a
/// matrix have in common is kept once.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Unique in the plan: the name in the file, followed by its matrix values where it has some, as in
    /// `test[shard=2]`.
    pub name: Box<str>,
    /// Line in the pipeline file, from 1.
    pub line: u32,
    /// What is executed.
    pub run: Run,
    /// Sorted by path, no two colliding.
    pub inputs: Box<[Input]>,
    /// Sorted by name.
    pub outputs: Arc<[Output]>,
    /// Steps that must succeed first although nothing of theirs is an input. Sorted.
    pub needs: Box<[StepIndex]>,
    /// Why it will not run, where its `if` says so.
    pub skip: Option<Box<str>>,
    /// Everything else.
    pub settings: Arc<Settings>,
}

/// What a step executes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Run {
    /// A script for `/bin/sh -eu -c`.
    Script(Box<str>),
    /// A program and its arguments.
    Arguments(Box<[Box<str>]>),
}

impl Run {
    /// The program and its arguments.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        match self {
            Self::Script(script) => ["/bin/sh", "-eu", "-c", script].map(str::to_owned).into(),
            Self::Arguments(arguments) => arguments.iter().map(|argument| argument.to_string()).collect(),
        }
    }
}

/// How a step is executed. Instances of a step mostly have the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// What its root is made of.
    pub image: Image,
    /// Declared variables, sorted by name.
    pub env: Vec<(String, String)>,
    /// What it takes of its worker while it runs.
    pub resources: Resources,
    /// What it may take at most.
    pub limits: Limits,
    /// When to stop it.
    pub timeout: Duration,
    /// How often to try again.
    pub retries: Retries,
    /// Whether it sees a network.
    pub network: Network,
    /// Acts on the outside world: never cached, never started twice on its own.
    pub effects: bool,
    /// Its failure does not fail the run; what needs it is still skipped.
    pub allow_failure: bool,
    /// Reports among its files that the summary reads.
    pub reports: Vec<Report>,
    /// What it gets that nobody else may see, sorted by name.
    pub secrets: Vec<Secret>,
    /// Mutable volumes that make it faster, sorted by path; never part of the key.
    pub caches: Vec<CacheVolume>,
    /// What runs beside it, sorted by name.
    pub services: Vec<Service>,
}

impl Settings {
    /// The image references of the step and of its services.
    pub fn images(&self) -> impl Iterator<Item = &str> {
        let own = match &self.image {
            Image::Host => None,
            Image::Reference(reference) => Some(reference.as_str()),
        };
        own.into_iter().chain(self.services.iter().map(|service| service.image.as_str()))
    }
}

/// What a step's root directory is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Image {
    /// A read-only view of the machine's own root.
    Host,
    /// Any other image reference, as written.
    Reference(String),
}

/// A tree or file that a step finds in its workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Relative to `/workspace`, normalised; empty for `/workspace` itself.
    pub path: Arc<str>,
    /// What is there.
    pub from: InputFrom,
}

/// Where an input comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputFrom {
    /// A source tree.
    Source {
        /// Position in [`Plan::sources`].
        source: u32,
        /// Relative to the source's root, normalised; empty for all of it.
        subpath: Arc<str>,
    },
    /// An output of an earlier step.
    Output(OutputRef),
}

/// An output of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputRef {
    /// The step.
    pub step: StepIndex,
    /// Position in its [`Step::outputs`].
    pub output: u32,
}

/// A named output of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its name in the file.
    pub name: String,
    /// What it consists of.
    pub pattern: OutputPattern,
}

/// What an output consists of, relative to `/workspace`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputPattern {
    /// One file or directory that must exist.
    Path(String),
    /// Everything that matches, as one directory that keeps the paths; at least one file must match.
    Globs(Vec<String>),
    /// What it changed of its root directory, which is that of an image. A step has at most one of these.
    Root,
}

/// The name of the root of a step that another one continues, where it has no other. No name of a pipeline has a `~`,
/// and all of them sort before it.
pub const CONTINUED: &str = "~root";

/// What stands in front of the paths of inputs that are no part of the workspace but layers of the root directory. No
/// path of a pipeline begins like this.
pub const ROOT_LAYERS: &str = "//root/";

/// The path of the input that is such a layer; the lowest has the number 0. Sorted as texts, they are in order.
#[must_use]
pub fn root_layer_path(number: usize) -> String {
    format!("{ROOT_LAYERS}{number:03}")
}

/// What a step takes of its worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resources {
    /// Thousandths of a processor.
    pub cpu_millis: u32,
    /// Bytes; 0 where the step does not say.
    pub memory_bytes: u64,
}

/// What a step may take at most. None of it is part of a key: a step that succeeds with less succeeds with more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Thousandths of one processor's time; 0 for what is there.
    pub cpu_millis: u32,
    /// Bytes; 0 for what is there.
    pub memory_bytes: u64,
    /// Processes and threads at a time; 0 for the worker's own limit.
    pub processes: u32,
    /// Bytes that it writes to the disk; 0 for what is there.
    pub disk_bytes: u64,
    /// Bytes of all its outputs together; 0 for the worker's own limit.
    pub output_bytes: u64,
    /// Bytes of each of its two logs; 0 for the worker's own limit.
    pub log_bytes: u64,
}

impl Limits {
    /// Of each kind the one that is larger, so that what is not 0 is limited in one of the two.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            cpu_millis: self.cpu_millis.max(other.cpu_millis),
            memory_bytes: self.memory_bytes.max(other.memory_bytes),
            processes: self.processes.max(other.processes),
            disk_bytes: self.disk_bytes.max(other.disk_bytes),
            output_bytes: self.output_bytes.max(other.output_bytes),
            log_bytes: self.log_bytes.max(other.log_bytes),
        }
    }
}

/// How often a step is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    /// After it failed by itself.
    pub failure: u8,
    /// After the machine failed it.
    pub infra: u8,
}

/// Whether a step sees a network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Network {
    /// Loopback only.
    #[default]
    None,
    /// The machine's own network; part of the key.
    Full,
}

/// A file that says how tests went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Its format.
    pub format: ReportFormat,
    /// Glob relative to `/workspace`.
    pub path: String,
}

/// The formats of reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportFormat {
    /// JUnit's XML.
    Junit,
}

/// A file or tree that the run hands out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunOutput {
    /// Relative to the directory of `--output`.
    pub path: String,
    /// What is written there.
    pub from: OutputRef,
    /// How, where that is a root directory: as an image.
    pub image: Option<ImageOutput>,
}

/// An image that is handed out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageOutput {
    /// How it is written.
    pub format: ImageFormat,
    /// What it is called in an archive: a name with a tag.
    pub name: Option<String>,
}

/// How an image is written to a disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ImageFormat {
    /// A directory in the form of the OCI image layout.
    #[default]
    OciLayout,
    /// A file as `docker save` writes it and `docker load` reads it.
    DockerArchive,
}
