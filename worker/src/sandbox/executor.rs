//! The executor on top of the launcher.

use std::fs::DirBuilder;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, chown};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::config::{LauncherCommand, SandboxConfig};
use super::connection::Connection;
use super::protocol::StepRequest;
use super::supervise::{Ended, Supervised, supervise};
use super::tier::Tier;
use crate::host::complete_env;
use crate::pump::Pump;
use crate::stopping::{StopHandle, stop_signal};
use crate::{ExecuteError, Execution, Launch, LogSink, StepExecutor};

/// Runs steps in Linux namespaces of their own.
#[derive(Debug)]
pub struct Sandbox {
    command: LauncherCommand,
    config: SandboxConfig,
    connection: RwLock<Arc<Connection>>,
    room: Semaphore,
}

impl Sandbox {
    /// Starts the launcher and prepares what all steps share. Blocks for some milliseconds.
    ///
    /// # Errors
    /// [`ExecuteError::Unavailable`] with the reason and what to do when the machine forbids it;
    /// [`ExecuteError::Setup`] when the launcher cannot be started.
    pub fn start(command: LauncherCommand, config: SandboxConfig) -> Result<Self, ExecuteError> {
        let connection = Connection::open(&command, &config.view)?;
        Ok(Self {
            room: Semaphore::new(config.max_in_flight.max(1)),
            connection: RwLock::new(Arc::new(connection)),
            command,
            config,
        })
    }

    /// How strong this sandbox is. Anything but [`Tier::Full`] is to be told to the user.
    pub fn tier(&self) -> Tier {
        if self.connection().footing.own_proc {
            Tier::Full
        } else {
            Tier::without_own_proc()
        }
    }

    /// The user and group id that must own what steps may modify (files and directories of input roots), when
    /// that is not the caller: when cullet runs as root.
    pub fn owner(&self) -> Option<u32> {
        self.connection().footing.owner
    }

    /// The process id of the launcher, for `doctor` and tests.
    pub fn launcher_pid(&self) -> u32 {
        self.connection().pid()
    }

    fn connection(&self) -> Arc<Connection> {
        Arc::clone(&self.connection.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// A launcher that runs: a killed one is replaced, its steps are lost.
    fn living_connection(&self) -> Result<Arc<Connection>, ExecuteError> {
        let current = self.connection();
        if current.is_alive() {
            return Ok(current);
        }
        let mut slot = self.connection.write().unwrap_or_else(PoisonError::into_inner);
        if !slot.is_alive() {
            *slot = Arc::new(Connection::open(&self.command, &self.config.view)?);
        }
        Ok(Arc::clone(&slot))
    }

    /// Everything that blocks: hands the step to the launcher and follows it to its end.
    fn begin(&self, launch: Launch) -> Result<Begun, ExecuteError> {
        let connection = self.living_connection()?;
        let upper = prepare_scratch(&launch.scratch, connection.footing.owner)
            .map_err(|source| setup("prepare the scratch directory", source))?;
        let (pump, stdout, stderr) =
            Pump::new().map_err(|source| setup("create the output pipes", source))?;
        let (channel, theirs) = step_socket().map_err(|source| setup("create a socket", source))?;
        let (handle, stop) = stop_signal().map_err(|source| setup("create a pipe", source))?;
        let workspace = vec![upper, launch.inputs.clone()];
        let (timeout, scratch) = (launch.timeout, launch.scratch.clone());
        let request = StepRequest {
            env: complete_env(launch.env, &self.config.view.tools),
            arguments: launch.arguments,
            working_directory: launch.working_directory,
            inputs: launch.inputs,
            scratch: launch.scratch,
            network: launch.network,
        };
        connection
            .send(&request, [stdout.as_fd(), stderr.as_fd(), theirs.as_fd()])
            .map_err(|source| setup("hand over to the launcher", source))?;
        let step = Supervised {
            channel,
            pump,
            stop,
            timeout,
            grace: self.config.grace,
        };
        Ok(Begun { step, handle, workspace, scratch })
    }
}

/// A step that was handed to the launcher.
struct Begun {
    step: Supervised,
    handle: StopHandle,
    workspace: Vec<PathBuf>,
    scratch: PathBuf,
}

fn setup(action: &str, source: io::Error) -> ExecuteError {
    ExecuteError::Setup {
        action: action.to_owned(),
        source,
    }
}

fn step_socket() -> io::Result<(OwnedFd, OwnedFd)> {
    let ends = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
    Ok(ends)
}

/// Makes the overlay's two directories; the upper one is what the step sees as its workspace.
fn prepare_scratch(scratch: &Path, owner: Option<u32>) -> io::Result<PathBuf> {
    let upper = scratch.join("upper");
    for dir in [&upper, &scratch.join("work")] {
        DirBuilder::new().mode(0o755).create(dir)?;
        if owner.is_some() {
            chown(dir, owner, owner)?;
        }
    }
    Ok(upper)
}

/// Removes overlayfs's own working directory: it is of no use to the caller, and its mode keeps a plain user's
/// recursive removal out.
fn remove_overlay_work(scratch: &Path) {
    let work = scratch.join("work");
    // What is left is empty or a marker; a failure shows when the caller removes the scratch directory.
    let _ = std::fs::remove_dir(work.join("work"));
    let _ = std::fs::remove_dir_all(&work);
}

#[async_trait]
impl StepExecutor for Sandbox {
    fn name(&self) -> &'static str {
        "sandbox"
    }

    async fn execute(
        &self,
        launch: Launch,
        mut log: Box<dyn LogSink>,
        cancel: CancellationToken,
    ) -> Result<Execution, ExecuteError> {
        let _room = self
            .room
            .acquire()
            .await
            .map_err(|_| setup("wait for room", io::ErrorKind::Other.into()))?;
        let Begun { step, handle, workspace, scratch } = self.begin(launch)?;
        let follow = tokio::task::spawn_blocking(move || {
            let ended = supervise(step, log.as_mut());
            remove_overlay_work(&scratch);
            ended
        });
        let (exit, started_at, duration) = until_ended(follow, handle, cancel).await?;
        Ok(Execution { exit, started_at, duration, workspace })
    }
}

/// Waits for the following thread, and passes a cancellation on to it. Being dropped stops the step, too: the
/// handle goes, and the thread takes that as a cancellation.
async fn until_ended(
    follow: tokio::task::JoinHandle<Result<Ended, ExecuteError>>,
    handle: StopHandle,
    cancel: CancellationToken,
) -> Result<Ended, ExecuteError> {
    tokio::pin!(follow);
    let joined = tokio::select! {
        joined = &mut follow => joined,
        () = cancel.cancelled() => {
            handle.raise();
            (&mut follow).await
        }
    };
    drop(handle);
    joined.map_err(|error| setup("follow the step", io::Error::other(error)))?
}
