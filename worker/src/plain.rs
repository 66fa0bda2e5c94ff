//! Steps as plain processes, for when somebody asks for exactly that.
//!
//! Nothing is isolated: such a step sees the machine's files, processes and network with the rights of whoever
//! runs cullet, its workspace is not at `/workspace`, and its `/tmp` is everybody's. What remains is an
//! environment of declared variables only, inputs as copies (a step cannot reach the cache through them), no
//! standard input, no inherited descriptors, and the end of every process the step started: its orphans are
//! adopted and killed, unless the adopting process itself is killed first.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::host::{HostTools, complete_env};
use crate::sandbox::LauncherCommand;
use crate::sandbox::protocol::{Company, Mode, StepRequest, VisitRequest};
use crate::sandbox::runner::{Bounds, Runner, setup};
use crate::{ExecuteError, Execution, Launch, LogSink, StepExecutor, StepLimits};

/// As many at a time as in the sandbox; more wait.
const MAX_IN_FLIGHT: usize = 256;

const NO_IMAGES: &str = "a plain process runs with the machine's files: steps with an image need the sandbox";

const NO_SECRETS: &str =
    "a plain process has no place that others cannot see: steps with secrets need the sandbox";
const NO_SERVICES: &str = "a plain process has the machine's network: steps with services need the sandbox";

/// Runs steps as plain processes.
#[derive(Debug)]
pub struct PlainExecutor {
    tools: Arc<HostTools>,
    runner: Arc<Runner>,
}

impl PlainExecutor {
    /// Starts the launcher. `grace` is how long a step has to react to SIGTERM before it is killed.
    ///
    /// # Errors
    /// [`ExecuteError::Setup`] when the launcher cannot be started.
    pub fn start(command: LauncherCommand, tools: HostTools, grace: Duration) -> Result<Self, ExecuteError> {
        let runner = Runner::start(command, Mode::Plain, grace, MAX_IN_FLIGHT)?;
        Ok(Self { tools: Arc::new(tools), runner })
    }
}

impl PlainExecutor {
    /// Which of these limits are not enforced: the kernel counts the processes of a user, and only in a namespace are these
    /// the step's.
    pub fn missing(&self, limits: &StepLimits) -> Vec<&'static str> {
        let processes = (limits.processes > 0).then_some("processes");
        self.runner.cgroups().missing(limits).into_iter().chain(processes).collect()
    }
}

fn prepare(launch: Launch, tools: &HostTools) -> Result<StepRequest, ExecuteError> {
    copy_tree(&launch.inputs, &launch.scratch.join("workspace"))
        .map_err(|source| setup("copy the inputs", source))?;
    Ok(StepRequest {
        env: complete_env(launch.env, tools),
        arguments: launch.arguments,
        working_directory: launch.working_directory,
        inputs: launch.inputs,
        scratch: launch.scratch,
        network: launch.network,
        image: None,
        // It has what the machine has there: whoever wires this says so.
        caches: Vec::new(),
        processes: 0,
        file_bytes: 0,
        groups: 0,
        visit: launch.visit.as_ref().map(VisitRequest::of),
        secrets: Vec::new(),
        company: Company::default(),
    })
}

/// Copies directories, files with their modes, and links as links. The walk keeps its own stack: inputs may be
/// nested deeper than a thread's stack allows.
fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    let mut pending = vec![(from.to_path_buf(), to.to_path_buf())];
    while let Some((source, target)) = pending.pop() {
        fs::create_dir(&target)?;
        for entry in fs::read_dir(&source)? {
            let entry = entry?;
            let (path, copy) = (entry.path(), target.join(entry.file_name()));
            let kind = entry.file_type()?;
            if kind.is_dir() {
                pending.push((path, copy));
            } else if kind.is_symlink() {
                symlink(fs::read_link(&path)?, &copy)?;
            } else {
                fs::copy(&path, &copy)?;
            }
        }
    }
    Ok(())
}

#[async_trait]
impl StepExecutor for PlainExecutor {
    fn name(&self) -> &'static str {
        "plain"
    }

    async fn execute(
        &self,
        launch: Launch,
        log: Box<dyn LogSink>,
        cancel: CancellationToken,
    ) -> Result<Execution, ExecuteError> {
        if launch.image.is_some() {
            return Err(ExecuteError::Unavailable(NO_IMAGES.to_owned()));
        }
        if !launch.secrets.is_empty() {
            return Err(ExecuteError::Unavailable(NO_SECRETS.to_owned()));
        }
        if !launch.services.is_empty() {
            return Err(ExecuteError::Unavailable(NO_SERVICES.to_owned()));
        }
        let workspace = vec![launch.scratch.join("workspace")];
        let bounds = Bounds::of(&launch);
        let tools = Arc::clone(&self.tools);
        let prepare = move || prepare(launch, &tools);
        let ran = self.runner.run(prepare, bounds, log, cancel).await?;
        Ok(ran.execution(workspace))
    }
}
