//! How a step's process is run. One trait; the sandbox, a plain process and Docker stand behind it.

use std::fmt::Debug;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
pub use cullet_cache::{Stream, Usage};
use tokio_util::sync::CancellationToken;

pub use crate::image_root::{EngineUpper, ImageRoot, RootUpper};
pub use crate::secrets::SecretFile;
pub use crate::service::ServiceLaunch;
pub use crate::visit::{TerminalHost, Visit};
pub use crate::volumes::VolumeMount;

/// A process to run, with everything around it decided.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The program and its arguments. Without a `/` the program is looked up in `PATH` of `env`.
    pub arguments: Vec<String>,
    /// The declared environment; the executor adds what the image defines and nothing declares.
    pub env: Vec<(String, String)>,
    /// Where it starts, relative to the workspace; empty for the workspace itself.
    pub working_directory: String,
    /// A directory with the step's inputs. Its files may be hard links to the CAS: the executor never lets
    /// the step write to them.
    pub inputs: PathBuf,
    /// An empty directory on the same filesystem for whatever the step writes. The caller removes it.
    pub scratch: PathBuf,
    /// Whether the step sees the machine's network.
    pub network: bool,
    /// When the whole process tree is stopped.
    pub timeout: Duration,
    /// What all processes together may take.
    pub limits: StepLimits,
    /// The root directory it runs in. None is what the executor shows of the machine.
    pub image: Option<ImageRoot>,
    /// Whether somebody wants to have what it changes of that.
    pub keeps_root: bool,
    /// Whether somebody wants to have what it leaves in its workspace; where not, an executor may return an empty one.
    pub keeps_workspace: bool,
    /// Somebody who looks into the step.
    pub visit: Option<Visit>,
    /// What it finds in `/run/secrets`, in memory. An executor that cannot do that does not run it.
    pub secrets: Vec<SecretFile>,
    /// Volumes, sorted by path, none in another.
    pub caches: Vec<VolumeMount>,
    /// What runs beside it. Nothing of the step runs before all of them are ready, and they end with it.
    pub services: Vec<ServiceLaunch>,
}

/// What all processes of a step together may take. 0 is what is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StepLimits {
    /// Thousandths of one processor's time.
    pub cpu_millis: u32,
    /// Bytes.
    pub memory_bytes: u64,
    /// Processes and threads at a time; never more than any step may have.
    pub processes: u32,
    /// Of what it writes to the disk, in bytes; one file alone never takes more.
    pub disk_bytes: u64,
    /// Of all its outputs together, in bytes; never more than any step may have.
    pub output_bytes: u64,
    /// Of each of its two logs, in bytes; never more than any step may have.
    pub log_bytes: u64,
}

impl StepLimits {
    /// These, and of each kind that is not limited here what `usual` says of it.
    #[must_use]
    pub const fn or_else(self, usual: Self) -> Self {
        const fn first(own: u64, usual: u64) -> u64 {
            if own == 0 { usual } else { own }
        }
        Self {
            cpu_millis: first(self.cpu_millis as u64, usual.cpu_millis as u64) as u32,
            memory_bytes: first(self.memory_bytes, usual.memory_bytes),
            processes: first(self.processes as u64, usual.processes as u64) as u32,
            disk_bytes: first(self.disk_bytes, usual.disk_bytes),
            output_bytes: first(self.output_bytes, usual.output_bytes),
            log_bytes: first(self.log_bytes, usual.log_bytes),
        }
    }
}

/// What an execution left behind.
#[derive(Debug)]
pub struct Execution {
    /// How it ended.
    pub exit: Exit,
    /// When the process started.
    pub started_at: SystemTime,
    /// How long it ran.
    pub duration: Duration,
    /// What it took.
    pub usage: Usage,
    /// How often a process was killed because the step had all the memory that it may have.
    pub out_of_memory: u64,
    /// How many bytes it had on the disk, where that is more than it may have. 0 otherwise.
    pub out_of_disk: u64,
    /// The workspace as layers, uppermost first: a name in an upper one hides the same name below, directories
    /// are merged unless marked opaque, and overlayfs whiteouts (character device 0:0, or the
    /// `user.overlay.whiteout` attribute) hide. No process of the step is alive any more.
    pub workspace: Vec<PathBuf>,
    /// What it changed of its root directory, where that was an image and its main process ended by itself.
    pub root_upper: Option<RootUpper>,
    /// The same of a step in a container engine, where it was asked for.
    pub engine_upper: Option<EngineUpper>,
    /// What is to be said of its services, in sentences: one that never became ready, or did not last as long as the step.
    pub services: Vec<String>,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal, which nobody here sent.
    Signal(i32),
    /// Stopped after [`Launch::timeout`].
    TimedOut,
    /// Stopped because somebody asked.
    Cancelled,
}

/// Takes what a process prints, in the order in which it was read. Called from one thread; the process is
/// not read any further while a call lasts.
pub trait LogSink: Send {
    /// Some bytes, at most 64 KiB, cut anywhere.
    fn write(&mut self, stream: Stream, bytes: &[u8]);
}

/// Why a process could not be run. Never the step's own fault.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    /// The machine does not allow this way of running a process.
    #[error("{0}")]
    Unavailable(String),
    /// The disk of the working directory was full when the step was to begin, or when it had failed.
    #[error("no space left where steps work, in {}: free some, or give the worker another directory (--data)", .path.display())]
    NoSpace {
        /// Where.
        path: PathBuf,
    },
    /// The step's first process was killed from outside, by the machine's OOM killer or with the launcher.
    #[error("cannot learn how the step ended: its first process was killed")]
    Lost {
        /// When it was begun.
        started_at: SystemTime,
        /// How long it took until that was seen.
        duration: Duration,
    },
    /// Some preparation failed before the step's program was reached.
    #[error("cannot {action} for the step")]
    Setup {
        /// What failed, such as `mount the workspace overlay`.
        action: String,
        /// Why.
        source: std::io::Error,
    },
}

/// Runs processes in one way.
#[async_trait]
pub trait StepExecutor: Debug + Send + Sync {
    /// The name of this way, such as `sandbox`.
    fn name(&self) -> &'static str;

    /// Runs the process to its end, or until `cancel` or the timeout stops it and everything it started.
    /// A program that does not exist or cannot be executed is the step's fault: exit code 127 or 126, with a
    /// line on standard error, as a shell does it.
    async fn execute(
        &self,
        launch: Launch,
        log: Box<dyn LogSink>,
        cancel: CancellationToken,
    ) -> Result<Execution, ExecuteError>;
}
