//! Clusters of real processes, on loopback.

mod network;
mod process;
mod running;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

pub use network::Network;
pub use process::Process;
pub use running::Running;

use crate::{Outcome, cullet_binary};

/// A busy machine may need some seconds for an election; nothing here waits that long otherwise.
const PATIENCE: Duration = Duration::from_secs(60);

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
        let free =
            |_| TcpListener::bind("127.0.0.1:0").and_then(|held| Ok((held.local_addr()?.port(), held)));
        // Held until all are known, so that they differ.
        let held: Vec<_> = match (0..coordinators).map(free).collect::<Result<_, _>>() {
            Ok(held) => held,
            Err(error) => panic!("no free ports: {error}"),
        };
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
        }
    }

    /// Gives every process a machine of its own on a network, and the commands of the test another one.
    #[must_use]
    pub fn on(self, network: Network) -> Self {
        Self { network: Some(network), ..self }
    }

    /// The network, where there is one.
    pub const fn network(&self) -> Option<&Network> {
        self.network.as_ref()
    }

    /// Lets a worker be silent for so many seconds.
    #[must_use]
    pub fn leasing(self, lease: &'static str) -> Self {
        Self { lease, ..self }
    }

    /// Keeps blobs and results there.
    #[must_use]
    pub fn storing(self, store: &Path) -> Self {
        Self { store: store.to_owned(), ..self }
    }

    /// The directory that everything is in.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Starts a coordinator, the first time or again.
    pub fn run_coordinator(&mut self, position: usize) {
        let command = self.coordinator_command(position);
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
        command
    }

    /// Executes a command.
    ///
    /// # Panics
    /// Where it cannot be started.
    pub fn cullet(&self, arguments: &[&str]) -> Answer {
        match self.command().args(arguments).output() {
            Ok(output) => output.into(),
            Err(error) => panic!("the command cannot be started: {error}"),
        }
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

    /// `cullet run` on the cluster.
    pub fn run(&self, dir: &Path, arguments: &[&str]) -> Outcome {
        self.begin_run(dir, arguments).outcome()
    }

    /// What one of the coordinators says, if it says anything.
    pub fn status(&self, position: usize) -> Option<Value> {
        let answer =
            self.cullet(&["cluster", "status", "--format", "json", "--cluster", &self.url(position)]);
        (answer.exit_code == 0).then(|| serde_json::from_str(&answer.stdout).unwrap_or_default())
    }

    /// The number of a coordinator that runs.
    ///
    /// # Panics
    /// Where it does not say it.
    pub fn id(&self, position: usize) -> String {
        let status = self.status(position);
        let id = status.as_ref().and_then(|status| status["id"].as_str());
        id.unwrap_or_else(|| panic!("coordinator {position} says nothing: {}", self.logs())).to_owned()
    }

    /// Waits until all coordinators that run can take part and say the same of the cluster.
    ///
    /// # Panics
    /// Where they do not.
    pub fn agreed(&self) -> Value {
        self.agreed_on(&["leader", "members", "applied_index", "log_hash"])
    }

    fn agreed_on(&self, keys: &[&str]) -> Value {
        let found = until_some(|| {
            let running = (0..self.ports.len()).filter(|position| self.coordinators[*position].is_some());
            let said: Option<Vec<Value>> = running.map(|position| self.status(position)).collect();
            let said = said?;
            let same = |status: &Value| keys.iter().all(|key| status[*key] == said[0][*key]);
            (said.iter().all(|status| status["ready"] == true && same(status))).then(|| said[0].clone())
        });
        found.unwrap_or_else(|| panic!("they did not agree: {}", self.logs()))
    }

    /// Waits until every coordinator that runs can take part and knows the same leader, however far it is.
    ///
    /// # Panics
    /// Where they do not.
    pub fn agreed_leader(&self) -> Value {
        self.agreed_on(&["leader", "members"])
    }

    /// Waits until so many workers take steps.
    ///
    /// # Panics
    /// Where they do not come.
    pub fn with_workers(&self, count: usize) {
        let found = until_some(|| {
            let running = (0..self.ports.len()).find(|position| self.coordinators[*position].is_some())?;
            let status = self.status(running)?;
            let ready = status["workers"].as_array()?.iter().filter(|worker| worker["draining"] == false);
            (ready.count() == count).then_some(())
        });
        assert!(found.is_some(), "the workers did not come: {}", self.logs());
    }

    /// The position of the leader.
    ///
    /// # Panics
    /// Where there is none.
    pub fn leader_of(&self, status: &Value) -> usize {
        let members = status["members"].as_array().into_iter().flatten();
        let leader = members.filter(|member| member["id"] == status["leader"]);
        let addresses: Vec<&str> = leader.filter_map(|leader| leader["address"].as_str()).collect();
        let led = (0..self.ports.len()).find(|position| addresses.contains(&&*self.url(*position)));
        led.unwrap_or_else(|| panic!("nobody leads: {status}"))
    }

    /// What all of them said.
    pub fn logs(&self) -> String {
        let all = [("c", self.coordinators.len()), ("w", self.workers.len())];
        let each = all.iter().flat_map(|(kind, count)| (0..*count).map(|position| self.log(kind, position)));
        each.map(|path| {
            format!("\n{}:\n{}", path.display(), std::fs::read_to_string(&path).unwrap_or_default())
        })
        .collect()
    }

    fn log(&self, kind: &str, position: usize) -> PathBuf {
        self.dir().join(format!("{kind}{position}.log"))
    }
}

/// Waits for something that has to happen.
///
/// # Panics
/// Where it does not.
pub fn until<T>(what: &str, check: impl FnMut() -> Option<T>) -> T {
    until_some(check).unwrap_or_else(|| panic!("waited in vain: {what}"))
}

fn until_some<T>(mut check: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(found) = check() {
            return Some(found);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    None
}
