//! What the sandbox can be told, and the numbers it works with.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::sub_ids::SubIds;
use crate::host::HostTools;

/// The user and group a step runs as when cullet itself is root. Far above what distributions, directory
/// services and `/etc/subuid` hand out, so that it owns nothing but what cullet gives it.
pub const SANDBOX_UID: u32 = 2_147_480_000;

/// The users and groups 0 to 65,535 of images, as far as they are not the step's own, when cullet itself is root: from
/// here on. Just below the ids that systemd reserves for foreign images, and nobody else's either.
pub const IMAGE_BLOCK: u32 = 0x7FFD_0000;

/// The user and group id a step sees as its own, named `cullet`.
pub const INSIDE_UID: u32 = 1000;

/// How the launcher process is started: normally cullet itself with a hidden argument.
#[derive(Debug, Clone)]
pub struct LauncherCommand {
    /// The program, such as `/proc/self/exe`.
    pub program: PathBuf,
    /// Its arguments, such as `__launcher`.
    pub args: Vec<String>,
}

impl LauncherCommand {
    /// The hidden first argument that makes cullet call [`launcher_main`](super::launcher_main).
    pub const ARGUMENT: &'static str = "__launcher";

    /// This very program, with the hidden argument.
    pub fn this_program() -> Self {
        Self { program: PathBuf::from("/proc/self/exe"), args: vec![Self::ARGUMENT.to_owned()] }
    }
}

/// What the sandbox can be told.
#[derive(Debug, Clone)]
pub struct SandboxConfig {
    /// What the step sees of the machine.
    pub view: ViewConfig,
    /// How long a step has to react to SIGTERM before everything in it is killed.
    pub grace: Duration,
    /// How many steps run at the same time; more wait. Every one costs a thread, two pipes and a socket.
    pub max_in_flight: usize,
}

impl SandboxConfig {
    /// The `host` image with these tools, which hides `hidden` (the cache directory, above all).
    pub fn new(tools: HostTools, hidden: Vec<PathBuf>) -> Self {
        Self {
            view: ViewConfig {
                tools,
                hidden,
                extra: Vec::new(),
                max_processes: 4096,
                tmp_bytes: None,
                sub_ids: SubIds::find().ok(),
            },
            // Enough for a test runner to flush its report; short enough that Ctrl-C feels immediate.
            grace: Duration::from_secs(2),
            max_in_flight: 256,
        }
    }
}

/// What a step sees of the machine, and what it may use up.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ViewConfig {
    /// Directories of tools outside the system directories, and their variables.
    pub tools: HostTools,
    /// Directories that stay invisible even when they lie below a visible one.
    pub hidden: Vec<PathBuf>,
    /// Further directories to show read-only at their own path. Nothing about them is in a step's key.
    pub extra: Vec<PathBuf>,
    /// How many processes and threads a step may have at a time (`RLIMIT_NPROC` of its user namespace).
    pub max_processes: u64,
    /// The size of `/tmp`, `/var/tmp` and `/dev/shm` together; half of the memory when not given.
    pub tmp_bytes: Option<u64>,
    /// Further users and groups for images, where an ordinary user has some.
    pub sub_ids: Option<SubIds>,
}
