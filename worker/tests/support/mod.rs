//! What the sandbox tests share: starting one, running scripts in it, and doing so once more as a plain user.
#![allow(dead_code, reason = "every test binary uses its own part of this")]

pub(crate) mod image;
pub(crate) mod plain_user;
pub(crate) mod service;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cullet_worker::host::HostTools;
use cullet_worker::sandbox::{LauncherCommand, Sandbox, SandboxConfig};
use cullet_worker::{ExecuteError, Execution, Exit, Launch, LogSink, ServiceLaunch, StepExecutor, Stream};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// Collects what a step prints.
#[derive(Debug, Clone, Default)]
pub(crate) struct Collected(Arc<Mutex<(Vec<u8>, Vec<u8>)>>);

impl LogSink for Collected {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        assert!(bytes.len() <= 64 << 10);
        let mut both = self.0.lock().unwrap();
        match stream {
            Stream::Stdout => both.0.extend_from_slice(bytes),
            Stream::Stderr => both.1.extend_from_slice(bytes),
        }
    }
}

impl Collected {
    pub(crate) fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap().0).into_owned()
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap().1).into_owned()
    }
}

/// How a step ended and what it printed.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) execution: Execution,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    /// The trimmed standard output of a step that has to succeed.
    #[track_caller]
    pub(crate) fn ok(&self) -> &str {
        assert_eq!(self.execution.exit, Exit::Code(0), "{self:#?}");
        self.stdout.trim()
    }

    pub(crate) fn exit(&self) -> Exit {
        self.execution.exit
    }

    pub(crate) fn upper(&self) -> &Path {
        &self.execution.workspace[0]
    }
}

/// One step to run: directories of its own, deleted at the end.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) dir: TempDir,
    pub(crate) launch: Launch,
    pub(crate) cancel: CancellationToken,
    pub(crate) log: Collected,
}

/// A `sh -c` step, no inputs, no network, a minute.
pub(crate) fn step(script: &str) -> Step {
    command(&["sh", "-c", script])
}

/// A step with these arguments.
pub(crate) fn command(arguments: &[&str]) -> Step {
    let dir = tempfile::tempdir().unwrap();
    let (inputs, scratch) = (dir.path().join("inputs"), dir.path().join("scratch"));
    std::fs::create_dir(&inputs).unwrap();
    std::fs::create_dir(&scratch).unwrap();
    Step {
        launch: Launch {
            arguments: arguments.iter().map(|&text| text.to_owned()).collect(),
            env: Vec::new(),
            working_directory: String::new(),
            inputs,
            scratch,
            network: false,
            timeout: Duration::from_secs(60),
            limits: cullet_worker::StepLimits::default(),
            image: None,
            keeps_root: false,
            keeps_workspace: true,
            visit: None,
            secrets: Vec::new(),
            caches: Vec::new(),
            services: Vec::new(),
        },
        dir,
        cancel: CancellationToken::new(),
        log: Collected::default(),
    }
}

impl Step {
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.launch.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn timeout(mut self, timeout: Duration) -> Self {
        self.launch.timeout = timeout;
        self
    }

    /// With services.
    pub(crate) fn beside(mut self, services: impl Into<Vec<ServiceLaunch>>) -> Self {
        self.launch.services = services.into();
        self
    }

    /// Adds an input file, owned by whoever steps run as.
    pub(crate) fn input(self, owner: Option<u32>, name: &str, contents: &str) -> Self {
        let path = self.launch.inputs.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, contents).unwrap();
        for shown in [path.as_path(), path.parent().unwrap()] {
            std::os::unix::fs::chown(shown, owner, owner).unwrap();
        }
        self
    }

    pub(crate) async fn run_on(&self, executor: &dyn StepExecutor) -> Result<Outcome, ExecuteError> {
        let log = Box::new(self.log.clone());
        let execution = executor.execute(self.launch.clone(), log, self.cancel.clone()).await?;
        Ok(Outcome { execution, stdout: self.log.stdout(), stderr: self.log.stderr() })
    }
}

pub(crate) fn launcher() -> LauncherCommand {
    let built = env!("CARGO_BIN_EXE_cullet-launcher");
    let program = std::env::var_os(plain_user::LAUNCHER).map_or_else(|| built.into(), PathBuf::from);
    LauncherCommand { program, args: Vec::new() }
}

pub(crate) fn config() -> SandboxConfig {
    let path = std::env::var("PATH").unwrap_or_default();
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let mut config = SandboxConfig::new(HostTools::discover(&path, home.as_deref()), Vec::new());
    config.grace = Duration::from_millis(300);
    config
}

pub(crate) fn sandbox() -> Sandbox {
    Sandbox::start(launcher(), config()).unwrap()
}

pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Runs one step in a sandbox of its own.
#[track_caller]
pub(crate) fn run(step: &Step) -> Outcome {
    run_in(&sandbox(), step)
}

#[track_caller]
pub(crate) fn run_in(executor: &dyn StepExecutor, step: &Step) -> Outcome {
    runtime().block_on(step.run_on(executor)).unwrap()
}

/// The processes of this machine whose command line contains `marker`.
pub(crate) fn processes_with(marker: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let own = entry.file_name().to_string_lossy() == std::process::id().to_string();
        if line.contains(marker) && !own {
            found.push(format!("{} {line}", entry.file_name().to_string_lossy()));
        }
    }
    found
}

/// Waits until `condition` holds, at most ten seconds.
#[track_caller]
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(std::time::Instant::now() < end, "not within ten seconds: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
