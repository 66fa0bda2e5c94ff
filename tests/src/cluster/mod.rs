//! Clusters of real processes, on loopback.

mod asking;
mod bucketed;
mod network;
mod ports;
mod process;
mod running;
mod waiting;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

pub use network::Network;
pub use process::Process;
pub use running::Running;
pub use waiting::{settled, until};

use crate::{Outcome, cullet_binary};
use ports::free_port;

/// How long a worker may be silent, in seconds: short, as tests wait for it.
pub const LEASE: &str = "2";

/// Coordinators and workers, each with a directory of its own. They end with it.
#[derive(Debug)]
pub struct Cluster {
    dir: TempDir,
    binary: PathBuf,
    /// Where blobs and results are.
    store: PathBuf,
    lease: &'static str,
    /// Where they run, if not all on this machine's own network.
    network: Option<Network>,
    ports: Vec<u16>,
    coordinators: Vec<Option<Process>>,
    workers: Vec<Option<Process>>,
    /// What all processes get besides.
    variables: Vec<(String, String)>,
}

/// What a command gave.
#[derive(Debug)]
pub struct Answer {
    /// Of the process.
    pub exit_code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it said besides.
    pub stderr: String,
}

impl From<Output> for Answer {
    fn from(output: Output) -> Self {
        Self {
            exit_code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Cluster {
    /// So many coordinators and workers. They have begun to start when this returns.
    ///
    /// # Panics
    /// Where the machine has no room for them.
    pub fn start(coordinators: usize, workers: usize) -> Self {
        let mut this = Self::prepare(cullet_binary().clone(), coordinators, workers);
        (0..coordinators).for_each(|position| this.run_coordinator(position));
        (0..workers).for_each(|position| this.run_worker(position, &[]));
        this
    }

    /// Room for so many coordinators and workers of this program, none of which runs.
    ///
    /// # Panics
    /// Where the machine has no room for them.
    pub fn prepare(binary: PathBuf, coordinators: usize, workers: usize) -> Self {
        // Held until all are known, so that they differ.
        let held: Vec<_> = (0..coordinators).map(|_| free_port()).collect();
        let ports = held.iter().map(|(port, _)| *port).collect();
        drop(held);
        let dir = match TempDir::new() {
            Ok(dir) => dir,
            Err(error) => panic!("no directory: {error}"),
        };
        let none = |count| (0..count).map(|_| None).collect();
        let store = dir.path().join("store");
        Self {
            dir,
            binary,
            store,
            lease: LEASE,
            network: None,
            ports,
            coordinators: none(coordinators),
            workers: none(workers),
            variables: Vec::new(),
        }
    }

    /// Gives every process a machine of its own on a network, and the commands of the test another one.
    #[must_use]
    pub fn on(mut self, network: Network) -> Self {
        self.network = Some(network);
        self
    }

    /// Gives all processes an environment variable.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The network, where there is one.
    pub const fn network(&self) -> Option<&Network> {
        self.network.as_ref()
    }

    /// Lets a worker be silent for so many seconds.
    #[must_use]
    pub fn leasing(mut self, lease: &'static str) -> Self {
        self.lease = lease;
        self
    }

    /// Keeps blobs and results there.
    #[must_use]
    pub fn storing(mut self, store: &Path) -> Self {
        self.store = store.to_owned();
        self
    }

    /// Lets this program be what is started from now on.
    pub fn become_program(&mut self, binary: &Path) {
        self.binary = binary.to_owned();
    }

    /// The directory that everything is in.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Starts a coordinator, the first time or again.
    pub fn run_coordinator(&mut self, position: usize) {
        self.run_coordinator_with(position, &[]);
    }

    /// The same with more arguments.
    pub fn run_coordinator_with(&mut self, position: usize, arguments: &[&str]) {
        let mut command = self.coordinator_command(position);
        command.args(arguments);
        self.put_coordinator(position, Process::start(command, &self.log("c", position)));
    }

    /// What starts a coordinator.
    pub fn coordinator_command(&self, position: usize) -> Command {
        let mut command = self.command_on(position);
        command.arg("coordinator").arg("--data").arg(self.data(position)).arg("--store").arg(self.store());
        command.args(["--listen", &format!("{}:{}", self.ip(position), self.ports[position])]);
        command.args([
            "--expect",
            &self.ports.len().to_string(),
            "--peer",
            &self.urls(),
            "--lease",
            self.lease,
        ]);
        command
    }

    /// Gives a coordinator that does not run another port. Those that run know it by the old one.
    ///
    /// # Panics
    /// Where there is none.
    pub fn move_coordinator(&mut self, position: usize) {
        self.ports[position] = free_port().0;
    }

    /// A coordinator that was started by other means.
    pub fn put_coordinator(&mut self, position: usize, process: Process) {
        self.coordinators[position] = Some(process);
    }

    /// How many workers there may be.
    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    /// Starts a worker, the first time or again, with further arguments. Four steps fit on it.
    pub fn run_worker(&mut self, position: usize, arguments: &[&str]) {
        let host = self.worker_host(position);
        let mut command = self.command_on(host);
        command.args(["worker", "--listen", &format!("{}:0", self.ip(host))]);
        command.args(["--join", &self.urls(), "--name", &format!("w{position}"), "--jobs", "4"]);
        command.arg("--data").arg(self.dir().join(format!("worker-{position}"))).args(arguments);
        self.workers[position] = Some(Process::start(command, &self.log("w", position)));
    }

    /// As `kill -9` does.
    pub fn kill_coordinator(&mut self, position: usize) {
        self.take_coordinator(position).kill();
    }

    /// As `kill -9` does.
    pub fn kill_worker(&mut self, position: usize) {
        self.take_worker(position).kill();
    }

    /// Its process, which the cluster is without from now on.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn take_coordinator(&mut self, position: usize) -> Process {
        self.coordinators[position].take().unwrap_or_else(|| panic!("coordinator {position} does not run"))
    }

    /// Its process, which the cluster is without from now on.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn take_worker(&mut self, position: usize) -> Process {
        self.workers[position].take().unwrap_or_else(|| panic!("worker {position} does not run"))
    }

    /// The process of a coordinator that runs.
    pub fn coordinator(&self, position: usize) -> Option<&Process> {
        self.coordinators[position].as_ref()
    }

    /// The process of a worker that runs.
    pub fn worker(&self, position: usize) -> Option<&Process> {
        self.workers[position].as_ref()
    }

    /// The directory of a coordinator.
    pub fn data(&self, position: usize) -> PathBuf {
        self.dir().join(format!("data-{position}"))
    }

    /// Where blobs and results are.
    pub fn store(&self) -> &Path {
        &self.store
    }

    /// Where a coordinator is.
    pub fn url(&self, position: usize) -> String {
        format!("http://{}:{}", self.ip(position), self.ports[position])
    }

    /// Where all of them are.
    pub fn urls(&self) -> String {
        (0..self.ports.len()).map(|position| self.url(position)).collect::<Vec<_>>().join(",")
    }

    /// The command with an environment of its own; who uses it names the cluster.
    pub fn command(&self) -> Command {
        self.command_on(self.coordinators.len() + self.workers.len())
    }

    /// The number of a worker's machine; those of coordinators come first.
    pub fn worker_host(&self, position: usize) -> usize {
        self.ports.len() + position
    }

    fn ip(&self, host: usize) -> String {
        self.network.as_ref().map_or_else(|| "127.0.0.1".to_owned(), |network| network.ip(host))
    }

    fn command_on(&self, host: usize) -> Command {
        let mut command = match &self.network {
            None => Command::new(&self.binary),
            Some(network) => network.command(host, &self.binary),
        };
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("CULLET_CACHE_DIR", self.dir().join("cache"));
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Executes a command.
    ///
    /// # Panics
    /// Where it cannot be started, or does not end in time.
    pub fn cullet(&self, arguments: &[&str]) -> Answer {
        let mut command = self.command();
        command.args(arguments);
        running::output(command).into()
    }

    /// A directory with a pipeline in it.
    ///
    /// # Panics
    /// Where it cannot be written.
    pub fn pipeline(&self, name: &str, text: &str) -> PathBuf {
        let dir = self.dir().join(name);
        let written =
            std::fs::create_dir_all(&dir).and_then(|()| std::fs::write(dir.join("cullet.yaml"), text));
        assert!(written.is_ok(), "{} cannot be written", dir.display());
        dir
    }

    /// `cullet run` on the cluster, not awaited.
    pub fn begin_run(&self, dir: &Path, arguments: &[&str]) -> Running {
        let mut command = self.command();
        command
            .current_dir(dir)
            .args(["run", "--progress", "json", "--cluster", &self.urls()])
            .args(arguments);
        Running::start(command)
    }

    /// `cullet run --detach` on the cluster: the number of the run.
    ///
    /// # Panics
    /// Where it is not taken in.
    pub fn detach(&self, dir: &Path) -> String {
        let mut command = self.command();
        command.current_dir(dir).args(["run", "--detach", "--progress", "json", "--cluster", &self.urls()]);
        let output = running::output(command);
        let run = serde_json::from_slice(&output.stdout)
            .ok()
            .and_then(|said: serde_json::Value| Some(said["run"].as_str()?.to_owned()));
        run.unwrap_or_else(|| panic!("not taken in: {}", String::from_utf8_lossy(&output.stderr)))
    }

    /// `cullet run` on the cluster.
    pub fn run(&self, dir: &Path, arguments: &[&str]) -> Outcome {
        self.begin_run(dir, arguments).outcome()
    }
}

/// What a failed test leaves to look at.
impl Drop for Cluster {
    #[allow(clippy::print_stderr, reason = "whoever reads why a test failed reads this as well")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("what the cluster said:{}", self.logs());
        }
    }
}
