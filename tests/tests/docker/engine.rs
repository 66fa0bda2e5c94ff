//! A Docker engine for tests.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use cullet_tests::{Checkout, Outcome, User};
use serde_json::Value;
use tempfile::TempDir;

use super::support::{said, skip, until};

/// `dockerd` with a directory and a socket of its own.
pub(crate) struct Engine {
    dir: TempDir,
    data: PathBuf,
    process: Mutex<Child>,
}

impl Engine {
    /// The one that tests share while any of them runs. None where there can be none, which is said.
    pub(crate) fn shared() -> Option<Arc<Self>> {
        static SHARED: Mutex<Weak<Engine>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = shared.upgrade() {
            return Some(engine);
        }
        let engine = Arc::new(Self::own()?);
        *shared = Arc::downgrade(&engine);
        Some(engine)
    }

    /// One for the caller alone.
    pub(crate) fn own() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        Self::with_data(dir, data)
    }

    /// One that keeps its images and containers in a directory.
    pub(crate) fn in_place(data: &Path) -> Option<Self> {
        Self::with_data(tempfile::tempdir().unwrap(), data.to_owned())
    }

    fn with_data(dir: TempDir, data: PathBuf) -> Option<Self> {
        let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
        let is_there =
            Command::new("dockerd").arg("--version").output().is_ok_and(|output| output.status.success());
        if !is_root || !is_there {
            skip("a Docker engine takes root and the program dockerd (Debian's package docker.io)");
            return None;
        }
        let process = Mutex::new(start(dir.path(), &data));
        let engine = Self { dir, data, process };
        engine.wait();
        Some(engine)
    }

    fn wait(&self) {
        until("the engine answers", || {
            let ended = self.process.lock().unwrap().try_wait().unwrap();
            let log = || std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            assert!(ended.is_none(), "dockerd has ended: {}", log());
            self.get("_ping").is_some()
        });
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(&self) {
        let mut process = self.process.lock().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// Starts it once more.
    pub(crate) fn start_again(&self) {
        // What died with it has numbers that others may have by now.
        for name in ["pid", "exec/containerd/containerd.pid"] {
            drop(std::fs::remove_file(self.dir.path().join(name)));
        }
        *self.process.lock().unwrap() = start(self.dir.path(), &self.data);
        self.wait();
    }

    /// Stops it where it is, or lets it go on.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.process.lock().unwrap().id().to_string();
        assert!(Command::new("kill").args([&format!("-{signal}"), &pid]).status().unwrap().success());
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("sock")
    }

    /// For `DOCKER_HOST`.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    fn get(&self, path: &str) -> Option<Vec<u8>> {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--fail", "--max-time", "10", "--unix-socket"]).arg(self.socket());
        let output = curl.arg(format!("http://engine/{path}")).output().unwrap();
        output.status.success().then_some(output.stdout)
    }

    /// Removes something by force.
    pub(crate) fn delete(&self, path: &str) {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--fail", "-X", "DELETE", "--unix-socket"]).arg(self.socket());
        assert!(curl.arg(format!("http://engine/{path}?force=1")).output().unwrap().status.success());
    }

    /// As `docker load -i FILE` does it.
    pub(crate) fn load(&self, file: &Path) -> Output {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail-with-body", "--max-time", "60", "--unix-socket"]);
        curl.arg(self.socket()).args([
            "-X",
            "POST",
            "-H",
            "Content-Type: application/x-tar",
            "--data-binary",
        ]);
        curl.arg(format!("@{}", file.display())).arg("http://engine/images/load").output().unwrap()
    }

    fn list(&self, path: &str) -> Vec<Value> {
        serde_json::from_slice(&self.get(path).unwrap()).unwrap()
    }

    /// All containers, in whatever state, whose label says that they are a step's, with a marker in their command.
    pub(crate) fn containers(&self, marker: &str) -> usize {
        let is_marked =
            |one: &&Value| one["Command"].as_str().is_some_and(|command| command.contains(marker));
        self.list("containers/json?all=1").iter().filter(is_marked).count()
    }

    /// Containers in which something runs, with a marker in its arguments.
    pub(crate) fn running(&self, marker: &str) -> usize {
        let has_marker = |id: &&str| {
            let told = self.get(&format!("containers/{id}/top")).unwrap_or_default();
            String::from_utf8_lossy(&told).contains(marker)
        };
        let containers = self.list("containers/json");
        containers.iter().filter_map(|one| one["Id"].as_str()).filter(has_marker).count()
    }

    /// How many containers there are in all.
    pub(crate) fn all(&self) -> usize {
        self.list("containers/json?all=1").len()
    }

    /// All that the engine tells of its containers and volumes.
    pub(crate) fn inspected(&self) -> String {
        let ids = self.list("containers/json?all=1");
        let ids = ids.iter().map(|one| one["Id"].as_str().unwrap());
        let paths =
            ids.flat_map(|id| ["json", "top", "changes"].map(|what| format!("containers/{id}/{what}")));
        // One may have ended meanwhile.
        let told = paths.chain(["volumes".to_owned()]).filter_map(|path| self.get(&path));
        String::from_utf8_lossy(&told.collect::<Vec<_>>().concat()).into_owned()
    }

    /// Where all of it is.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Volumes, of which each container has one.
    pub(crate) fn volumes(&self) -> usize {
        let volumes: Value = serde_json::from_slice(&self.get("volumes").unwrap()).unwrap();
        volumes["Volumes"].as_array().map_or(0, Vec::len)
    }

    /// Names of all images.
    pub(crate) fn images(&self) -> Vec<String> {
        let images = self.list("images/json");
        let names = images.iter().flat_map(|image| image["RepoTags"].as_array().cloned().unwrap_or_default());
        names.map(|name| name.as_str().unwrap().to_owned()).collect()
    }

    /// `cullet` with this engine.
    pub(crate) fn command(&self, user: &User, checkout: &Checkout, arguments: &[&str]) -> Command {
        let mut command = user.command(checkout.path(), arguments.iter().copied());
        command.env("DOCKER_HOST", self.host()).env_remove("CULLET_EXECUTOR");
        command
    }

    /// `cullet run` in its containers.
    pub(crate) fn run(&self, user: &User, checkout: &Checkout, arguments: &[&str]) -> Outcome {
        let all = [&["run", "--progress", "json", "--executor", "docker"], arguments].concat();
        Outcome::of(&self.cullet(user, checkout, &all))
    }

    pub(crate) fn cullet(&self, user: &User, checkout: &Checkout, arguments: &[&str]) -> Output {
        self.command(user, checkout, arguments).output().unwrap()
    }
}

fn start(dir: &Path, data: &Path) -> Child {
    let log = std::fs::File::create(dir.join("log")).unwrap();
    let path = |name: &str| dir.join(name).display().to_string();
    let mut dockerd = Command::new("dockerd");
    dockerd.arg("--data-root").arg(data).args(["--exec-root", &path("exec"), "--pidfile", &path("pid")]);
    // Neither rules nor bridges on the machine: steps have no network, or the machine's.
    dockerd.args(["--host", &format!("unix://{}", path("sock")), "--iptables=false", "--bridge=none"]);
    dockerd.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}

impl Drop for Engine {
    fn drop(&mut self) {
        let process = self.process.get_mut().unwrap_or_else(PoisonError::into_inner);
        if matches!(process.try_wait(), Ok(None)) {
            // In order, so that it ends what it started and unmounts what it mounted.
            let pid = process.id().to_string();
            drop(Command::new("kill").args(["-CONT", &pid]).status());
            drop(Command::new("kill").args(["-TERM", &pid]).status());
            drop(process.wait());
        }
    }
}

/// Waits for something that an engine does: on a loaded machine, it takes it seconds to begin.
#[track_caller]
pub(crate) fn in_time(what: &str, mut there: impl FnMut() -> bool) {
    let start = Instant::now();
    while !there() {
        assert!(start.elapsed() < PATIENCE, "waited too long: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// An engine that is new takes images first, and one of its containers comes after another.
const PATIENCE: Duration = Duration::from_secs(150);

/// An image in the checkout's `app`, unless the checkout has one.
pub(crate) fn checkout(pipeline: &str) -> Checkout {
    let checkout = Checkout::of_pipeline(pipeline);
    super::made::Image::default().layout(&checkout.path().join("app"));
    checkout
}

/// Why a step did not succeed.
pub(crate) fn reason<'a>(outcome: &'a Outcome, step: &str) -> &'a str {
    outcome.steps[step].reason.as_deref().unwrap_or_default()
}

/// What a step printed.
pub(crate) fn log(outcome: &Outcome, step: &str) -> String {
    let of_step = |event: &&Value| event["event"] == "step_log" && event["step"] == step;
    outcome
        .events
        .iter()
        .filter(of_step)
        .map(|event| event["text"].as_str().unwrap().to_owned() + "\n")
        .collect()
}

/// For messages.
pub(crate) fn text(output: &Output) -> String {
    said(output)
}
