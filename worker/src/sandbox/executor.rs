//! The executor on top of the launcher.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::config::{LauncherCommand, SandboxConfig};
use super::protocol::{Company, Mode, StepRequest, VisitRequest};
use super::runner::{Bounds, Runner, setup};
use super::services::{self, Party};
use super::tier::Tier;
use crate::host::{HostTools, complete_env, complete_image_env};
use crate::{ExecuteError, Execution, Launch, LogSink, RootUpper, StepExecutor, StepLimits};

/// Overlayfs would take the layers and show another image.
const OTHER_FORM: &str = "this machine lets cullet mount what it does not let it mark (`trusted.overlay` attributes), or the \
                          other way round: run it as root of the machine or as an ordinary user";

/// The layers were unpacked for somebody who had them.
const NO_RANGE: &str = "the sub-ids of /etc/subuid and /etc/subgid that the image's layers were unpacked with cannot be used any \
                        more: `cullet doctor` says why";

/// Runs steps in Linux namespaces of their own.
#[derive(Debug)]
pub struct Sandbox {
    tools: Arc<HostTools>,
    runner: Arc<Runner>,
}

impl Sandbox {
    /// Starts the launcher and prepares what all steps share. Blocks for some milliseconds.
    ///
    /// # Errors
    /// [`ExecuteError::Unavailable`] with the reason and what to do when the machine forbids it;
    /// [`ExecuteError::Setup`] when the launcher cannot be started.
    pub fn start(command: LauncherCommand, config: SandboxConfig) -> Result<Self, ExecuteError> {
        let tools = Arc::new(config.view.tools.clone());
        let mode = Mode::Sandbox(config.view);
        let runner = Runner::start(command, mode, config.grace, config.max_in_flight)?;
        Ok(Self { tools, runner })
    }

    /// How strong this sandbox is. Anything but [`Tier::Full`] is to be told to the user.
    pub fn tier(&self) -> Tier {
        if self.runner.footing().own_proc { Tier::Full } else { Tier::without_own_proc() }
    }

    /// The user and group id that must own what steps may modify (files and directories of input roots), when
    /// that is not the caller: when cullet runs as root.
    pub fn owner(&self) -> Option<u32> {
        self.runner.footing().owner
    }

    /// Which form the layers of images must have: with the owners and the `trusted.overlay` attributes of real root, or
    /// those that a plain user can make, `user.overlay`, with every file owned by that user.
    pub fn takes_owned_layers(&self) -> bool {
        self.runner.footing().owned_layers
    }

    /// Whether this is an ordinary user with sub-ids, for whom files of layers can have all owners.
    pub fn has_sub_ids(&self) -> bool {
        self.runner.footing().ranged
    }

    /// Which of these limits this machine does not enforce.
    pub fn missing(&self, limits: &StepLimits) -> Vec<&'static str> {
        self.runner.cgroups().missing(limits)
    }

    /// The process id of the launcher, for `doctor` and tests.
    pub fn launcher_pid(&self) -> u32 {
        self.runner.launcher_pid()
    }
}

fn prepare(launch: Launch, tools: &HostTools, owner: Option<u32>) -> Result<StepRequest, ExecuteError> {
    prepare_scratch(&launch.scratch, owner)
        .map_err(|source| setup("prepare the scratch directory", source))?;
    Ok(StepRequest {
        env: match &launch.image {
            Some(image) => complete_image_env(launch.env, &image.env),
            None => complete_env(launch.env, tools),
        },
        arguments: launch.arguments,
        working_directory: launch.working_directory,
        inputs: launch.inputs,
        scratch: launch.scratch,
        network: launch.network,
        image: launch.image,
        caches: launch.caches,
        processes: 0,
        file_bytes: 0,
        groups: 0,
        visit: launch.visit.as_ref().map(VisitRequest::of),
        secrets: launch.secrets,
        company: Company::default(),
    })
}

fn upper(scratch: &Path) -> PathBuf {
    scratch.join("upper")
}

/// Of the overlay that is the root directory of a step in an image; its first process makes it.
pub(super) fn root_scratch(scratch: &Path) -> PathBuf {
    scratch.join("root")
}

/// Makes the overlay's two directories; the upper one is what the step sees as its workspace.
pub(super) fn prepare_scratch(scratch: &Path, owner: Option<u32>) -> io::Result<()> {
    for dir in [upper(scratch), scratch.join("work")] {
        DirBuilder::new().mode(0o755).create(&dir)?;
        // Whatever the umask of cullet is, every step finds the same workspace.
        std::fs::set_permissions(&dir, Permissions::from_mode(0o755))?;
        if owner.is_some() {
            chown(&dir, owner, owner)?;
        }
    }
    Ok(())
}

/// Overlayfs makes its working directories without any permissions, which would keep a plain user's recursive
/// removal out. Removing them here would cost more than the rest of a small step on filesystems that discard at
/// once.
pub(super) fn open_overlay_work(scratch: &Path) {
    let mut dir = scratch.join("work");
    for name in ["work", "incompat", "volatile"] {
        dir.push(name);
        // A failure shows when the caller removes the scratch directory.
        let _ = std::fs::set_permissions(&dir, Permissions::from_mode(0o700));
    }
}

#[async_trait]
impl StepExecutor for Sandbox {
    fn name(&self) -> &'static str {
        "sandbox"
    }

    async fn execute(
        &self,
        mut launch: Launch,
        log: Box<dyn LogSink>,
        cancel: CancellationToken,
    ) -> Result<Execution, ExecuteError> {
        let mut images = launch.image.iter().chain(launch.services.iter().map(|service| &service.image));
        if images.any(|image| image.owned != self.takes_owned_layers()) {
            return Err(ExecuteError::Unavailable(OTHER_FORM.to_owned()));
        }
        let mut images = launch.image.iter().chain(launch.services.iter().map(|service| &service.image));
        if !self.has_sub_ids() && images.any(|image| image.ranged.is_some()) {
            return Err(ExecuteError::Unavailable(NO_RANGE.to_owned()));
        }
        let secrets = !launch.secrets.is_empty();
        let ranged = launch.image.as_ref().is_some_and(|image| image.ranged.is_some());
        let workspace = vec![upper(&launch.scratch), launch.inputs.clone()];
        let (bounds, scratch) = (Bounds::of(&launch), launch.scratch.clone());
        let (tools, owner, in_image) = (Arc::clone(&self.tools), self.owner(), launch.image.is_some());
        let beside = std::mem::take(&mut launch.services);
        let prepare = move || prepare(launch, &tools, owner);
        let (ran, said) = if beside.is_empty() {
            (self.runner.run(prepare, bounds, log, cancel).await?, Vec::new())
        } else {
            let party =
                Party { runner: Arc::clone(&self.runner), scratch: scratch.clone(), services: beside };
            services::run(party, prepare, bounds, log, cancel).await?
        };
        open_overlay_work(&scratch);
        if in_image && owner.is_none() {
            open_overlay_work(&root_scratch(&scratch));
        }
        let path = upper(&root_scratch(&scratch));
        let root_upper = ran.ended.owners.map(|owners| RootUpper { path, owners, ranged, secrets });
        Ok(Execution { root_upper, services: said, ..ran.execution(workspace) })
    }
}
