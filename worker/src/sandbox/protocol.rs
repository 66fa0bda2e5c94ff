//! What cullet, the launcher and the first process of a step say to each other.
//!
//! cullet → launcher, a stream: [`Mode`], then [`Request`]s. A step's has three descriptors (standard output, standard
//! error, the step's own socket), that of a network if it joins one, and those by which its first process enters its
//! control groups. The stream's end means that cullet is gone.
//! launcher → cullet: one [`Welcome`].
//! On the step's own socket: [`StepReport`]s to cullet, [`Order`]s to the step's first process.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::config::ViewConfig;
use super::fault::Fault;
use crate::{ImageRoot, Owners, SecretFile, Visit, VolumeMount};

/// What the launcher is to prepare.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Mode {
    /// Namespaces and a view of the machine for every step.
    Sandbox(ViewConfig),
    /// Plain processes.
    Plain,
    /// No steps: each part of the sandbox is tried by itself.
    Trials(Grounds),
}

/// What trials are made with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Grounds {
    pub(crate) view: ViewConfig,
    /// As in [`StepRequest`].
    pub(crate) inputs: PathBuf,
    /// As in [`StepRequest`].
    pub(crate) scratch: PathBuf,
}

/// A part of the sandbox that can be tried by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Part {
    UserNamespace,
    SubIds,
    View,
    Isolation,
    Overlay,
    OwnProc,
    Filter,
    Landlock,
    Images,
}

impl Part {
    pub(crate) const ALL: [Self; 9] = [
        Self::UserNamespace,
        Self::SubIds,
        Self::View,
        Self::Isolation,
        Self::Overlay,
        Self::OwnProc,
        Self::Filter,
        Self::Landlock,
        Self::Images,
    ];
}

/// What came of trying a part.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Trial {
    pub(crate) part: Part,
    pub(crate) fault: Option<Fault>,
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Welcome {
    Ready(Footing),
    Tried(Vec<Trial>),
    Refused(Fault),
}

/// On what footing the launcher stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Footing {
    /// The user and group that own what a step may write, when the launcher is root.
    pub(crate) owner: Option<u32>,
    /// Whether a step can have a /proc of its own; otherwise it sees the machine's, read-only.
    pub(crate) own_proc: bool,
    /// Whether layers of images have the owners that the image gives their files.
    pub(crate) owned_layers: bool,
    /// Whether there are further users and groups, though the launcher is an ordinary user.
    pub(crate) ranged: bool,
}

/// What the launcher is asked for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    Step(Box<StepRequest>),
    /// A network for a step and its services, with the socket on which whoever holds it answers: once with
    /// `Result<(), Fault>` and the descriptor of the namespace, then with the same and a socket in it for each [`Family`].
    Network,
}

/// The kind of a socket, one of `AF_*`.
pub(crate) type Family = i32;

/// What a step or a service of it has to do with those beside it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Company {
    /// Whether it is in a network with others.
    pub(crate) joins: bool,
    /// Names that lead to its own network.
    pub(crate) names: Vec<String>,
    /// What finds out whether a service is ready: a program and its arguments.
    pub(crate) check: Vec<String>,
}

/// One step to start, or a service of one.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StepRequest {
    pub(crate) arguments: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) working_directory: String,
    /// The lower layer of the workspace.
    pub(crate) inputs: PathBuf,
    /// Holds `upper` and `work`, the same in `root` for a step in an image, or a plain step's `workspace`.
    pub(crate) scratch: PathBuf,
    pub(crate) network: bool,
    /// In place of the view of the machine. The environment is complete but for `HOME`.
    pub(crate) image: Option<ImageRoot>,
    /// Volumes, sorted by path.
    pub(crate) caches: Vec<VolumeMount>,
    /// Processes and threads at a time; 0 for as many as any step may have.
    pub(crate) processes: u32,
    /// The largest file that it may write, in bytes; 0 for any.
    pub(crate) file_bytes: u64,
    /// Control groups that it has to enter: their descriptors come last.
    pub(crate) groups: usize,
    /// The first process puts them where the step finds them, and forgets them.
    pub(crate) secrets: Vec<SecretFile>,
    /// Somebody who looks into the step.
    pub(crate) visit: Option<VisitRequest>,
    pub(crate) company: Company,
}

/// A program that gets a terminal where the step runs.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct VisitRequest {
    pub(crate) arguments: Vec<String>,
    /// Beside the step's own.
    pub(crate) env: Vec<(String, String)>,
    /// Instead of taking the place of the step's program.
    pub(crate) after_failure: bool,
}

impl VisitRequest {
    pub(crate) fn of(visit: &Visit) -> Self {
        let Visit { arguments, env, after_failure, .. } = visit.clone();
        Self { arguments, env, after_failure }
    }
}

/// What is told about a step.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum StepReport {
    /// From the launcher, with a pidfd of the step's first process: when that process ends, all have ended.
    /// Its number is for cullet having no descriptor free to receive the pidfd.
    Started { pid: i32 },
    /// Nothing of the step ran.
    Failed(Fault),
    /// Somebody looks into the step, at the terminal whose master side comes with this.
    Terminal,
    /// The step's main process ended.
    Ended(Report),
}

/// All about the end of a step's main process.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) ending: Ending,
    pub(crate) started_at: SystemTime,
    pub(crate) duration: Duration,
    pub(crate) taken: Taken,
    /// Of a step in an image.
    pub(crate) owners: Option<Owners>,
}

/// What the processes took that have ended, as getrusage(2) has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Taken {
    pub(crate) cpu_ms: u64,
    /// Of the largest process.
    pub(crate) peak_bytes: u64,
    pub(crate) read_bytes: u64,
    pub(crate) written_bytes: u64,
}

/// How the main process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ending {
    Code(i32),
    Signal(i32),
}

/// What cullet asks of a step's first process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Send SIGTERM to every process of the step.
    Terminate,
    /// End every process of the step. Only a plain step needs the order; a namespace ends with its process 1.
    Kill,
    /// Run the check of [`Company`], with two descriptors: a socket for its [`Ending`], and what it prints to. Without a
    /// check the answer says that the program was started. Closing the socket ends the check.
    Check,
}
