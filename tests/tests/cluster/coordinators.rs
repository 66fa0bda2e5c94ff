//! Processes of `cullet coordinator`.

use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cullet_tests::cullet_binary;
use serde_json::Value;
use tempfile::TempDir;

/// A busy machine may need some seconds for an election; nothing here waits that long otherwise.
const PATIENCE: Duration = Duration::from_secs(60);

/// Some of them, each with a directory and a port of its own. They end with it.
pub(crate) struct Coordinators {
    dir: TempDir,
    ports: Vec<u16>,
    processes: Vec<Option<Child>>,
}

/// What a command gave.
pub(crate) struct Answer {
    pub(crate) exit_code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Coordinators {
    pub(crate) fn start(count: usize) -> Self {
        // Held until all are known, so that they differ.
        let held: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports = held.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        drop(held);
        let processes = (0..count).map(|_| None).collect();
        let mut this = Self { dir: TempDir::new().unwrap(), ports, processes };
        for position in 0..count {
            this.run(position);
        }
        this
    }

    pub(crate) fn run(&mut self, position: usize) {
        let log =
            File::options().create(true).append(true).open(self.dir.path().join(format!("{position}.log")));
        let peers: Vec<String> = (0..self.ports.len()).map(|other| self.url(other)).collect();
        let mut command = self.command();
        command.args(["coordinator", "--data", self.data(position).to_str().unwrap()]);
        command.args(["--listen", &format!("127.0.0.1:{}", self.ports[position])]);
        command.args(["--expect", &self.ports.len().to_string(), "--peer", &peers.join(",")]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log.unwrap()).spawn().unwrap();
        self.processes[position] = Some(child);
    }

    /// As `kill -9` does.
    pub(crate) fn kill(&mut self, position: usize) {
        let mut child = self.processes[position].take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Sends SIGTERM, and gives the exit code.
    pub(crate) fn terminate(&mut self, position: usize, patience: Duration) -> Option<i32> {
        let mut child = self.processes[position].take().unwrap();
        assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status.code();
            }
            if Instant::now() > deadline {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("it did not end: {}", self.logs());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn data(&self, position: usize) -> PathBuf {
        self.dir.path().join(format!("data-{position}"))
    }

    pub(crate) fn url(&self, position: usize) -> String {
        format!("http://127.0.0.1:{}", self.ports[position])
    }

    pub(crate) fn cullet(&self, arguments: &[&str]) -> Answer {
        let output = self.command().args(arguments).output().unwrap();
        Answer {
            exit_code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// What one of them says, if it says anything.
    pub(crate) fn status(&self, position: usize) -> Option<Value> {
        let answer =
            self.cullet(&["cluster", "status", "--format", "json", "--cluster", &self.url(position)]);
        (answer.exit_code == 0).then(|| serde_json::from_str(&answer.stdout).unwrap())
    }

    pub(crate) fn id(&self, position: usize) -> String {
        self.status(position).unwrap()["id"].as_str().unwrap().to_owned()
    }

    /// Waits until all that run can take part and say the same of the cluster.
    pub(crate) fn agreed(&self) -> Value {
        let found = until_some(|| {
            let running = (0..self.processes.len()).filter(|position| self.processes[*position].is_some());
            let said: Option<Vec<Value>> = running.map(|position| self.status(position)).collect();
            let said = said?;
            let same = |status: &Value| {
                ["leader", "members", "applied_index", "log_hash"]
                    .iter()
                    .all(|key| status[key] == said[0][key])
            };
            (said.iter().all(|status| status["ready"] == true && same(status))).then(|| said[0].clone())
        });
        found.unwrap_or_else(|| panic!("they did not agree: {}", self.logs()))
    }

    /// The position of the leader.
    pub(crate) fn leader_of(&self, status: &Value) -> usize {
        let members = status["members"].as_array().unwrap();
        let leader = members.iter().find(|member| member["id"] == status["leader"]).unwrap();
        (0..self.ports.len()).find(|position| leader["address"] == *self.url(*position)).unwrap()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(cullet_binary());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("CULLET_CACHE_DIR", self.dir.path().join("cache"));
        command
    }

    fn logs(&self) -> String {
        let log = |position| std::fs::read_to_string(self.dir.path().join(format!("{position}.log")));
        (0..self.ports.len())
            .map(|position| format!("\n{position}:\n{}", log(position).unwrap_or_default()))
            .collect()
    }
}

impl Drop for Coordinators {
    fn drop(&mut self) {
        for child in self.processes.iter_mut().flatten() {
            // One that has ended already needs no killing.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub(crate) fn until<T>(what: &str, check: impl FnMut() -> Option<T>) -> T {
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
