//! `cullet dev-cluster`.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use cullet_tests::cullet_binary;
use serde_json::Value;
use tempfile::TempDir;

use cullet_tests::cluster::until;

/// One that runs.
struct DevCluster {
    home: TempDir,
    process: Child,
    /// What it said when it was ready.
    said: Vec<String>,
}

impl DevCluster {
    fn start(arguments: &[&str]) -> Self {
        let home = TempDir::new().unwrap();
        let mut command = Command::new(cullet_binary());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("CULLET_CACHE_DIR", home.path().join("cache")).env("TMPDIR", home.path());
        command.args(["dev-cluster", "--executor", "plain"]).args(arguments);
        let stderr = File::create(home.path().join("stderr")).unwrap();
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
        // The last one says how to end it.
        let mut said = Vec::new();
        for line in lines {
            said.push(line);
            if said.last().is_some_and(|line| line.starts_with("Ctrl-C")) {
                break;
            }
        }
        let this = Self { home, process, said };
        assert!(this.said.len() > 5, "{:?} {}", this.said, this.stderr());
        this
    }

    fn stderr(&self) -> String {
        std::fs::read_to_string(self.home.path().join("stderr")).unwrap()
    }

    /// What follows a word in what it said.
    fn said(&self, word: &str) -> &str {
        let found = self.said.iter().find_map(|line| line.trim().strip_prefix(word));
        found.unwrap_or_else(|| panic!("{word}: {:?}", self.said)).trim()
    }

    fn dir(&self) -> PathBuf {
        Path::new(self.said("shared store")).parent().unwrap().to_owned()
    }

    fn status(&self) -> Value {
        let output = Command::new(cullet_binary())
            .args(["cluster", "status", "--format", "json", "--cluster", self.said("coordinator-0")])
            .env("CULLET_CACHE_DIR", self.home.path().join("cache"))
            .output()
            .unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// A pipeline runs where the variable says.
    fn run_something(&self) {
        let text = "cullet: 1\nname: d\nsteps: { a: { run: 'echo from a worker' } }\n";
        std::fs::write(self.home.path().join("cullet.yaml"), text).unwrap();
        let output = Command::new(cullet_binary())
            .args(["run", "--progress", "plain"])
            .current_dir(self.home.path())
            .env("CULLET_CLUSTER", self.said("export CULLET_CLUSTER="))
            .env("CULLET_CACHE_DIR", self.home.path().join("cache"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("1 executed"), "{said}");
    }

    /// Processes that it started, and their command lines.
    fn children(&self) -> Vec<(u32, String)> {
        let parent = self.process.id().to_string();
        let listed = Command::new("ps").args(["-o", "pid=,args=", "--ppid", &parent]).output().unwrap();
        let text = String::from_utf8(listed.stdout).unwrap();
        let child = |line: &str| {
            let (pid, arguments) = line.trim().split_once(' ').unwrap();
            (pid.parse().unwrap(), arguments.to_owned())
        };
        text.lines().map(child).collect()
    }

    fn signal(&self, signal: &str) {
        kill(signal, self.process.id());
    }
}

impl Drop for DevCluster {
    fn drop(&mut self) {
        // One that has ended already needs no killing.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn kill(signal: &str, pid: u32) {
    assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
}

/// Whether nothing is left of a process, so that its ports are free.
fn is_gone(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // A zombie is dead, and whoever adopted it may be slow to look; but it keeps its files while another thread of it waits for a disk.
    let threads = || std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    stat.rsplit(')')
        .next()
        .is_none_or(|rest| rest.is_empty() || (rest.trim_start().starts_with('Z') && threads() <= 1))
}

#[test]
fn a_whole_cluster_comes_up_loses_a_worker_and_goes_without_a_trace() {
    let mut cluster = DevCluster::start(&["--coordinators", "3", "--workers", "2"]);
    let urls = cluster.said("export CULLET_CLUSTER=").split(',').count();
    let status = cluster.status();
    assert_eq!((urls, status["members"].as_array().unwrap().len()), (3, 3), "{status}");
    let mut names: Vec<&str> =
        status["workers"].as_array().unwrap().iter().map(|worker| worker["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["worker-0", "worker-1"]);

    cluster.run_something();
    let children = cluster.children();
    assert_eq!(children.len(), 5, "{children:?}");
    let lost = children.iter().find(|(_, arguments)| arguments.contains("worker-1")).unwrap().0;
    kill("-KILL", lost);
    until("its end is reported", || {
        let said = cluster.stderr();
        (said.contains("worker-1 ended (signal 9)") && said.contains("listening")).then_some(())
    });
    assert_eq!(cluster.status()["ready"], true, "the rest goes on");

    let dir = cluster.dir();
    assert!(dir.exists());
    cluster.signal("-INT");
    let ended = cluster.process.wait().unwrap();
    assert_eq!(ended.code(), Some(0), "{}", cluster.stderr());
    assert!(children.iter().all(|(pid, _)| is_gone(*pid)));
    assert!(!dir.exists());
}

#[test]
fn one_that_is_killed_takes_its_processes_along_and_a_named_directory_is_kept() {
    let dir = TempDir::new().unwrap();
    let place = dir.path().join("kept");
    let arguments = ["--coordinators", "1", "--workers", "1", "--dir", place.to_str().unwrap()];
    let mut cluster = DevCluster::start(&arguments);
    let before = cluster.status();
    let children = cluster.children();
    cluster.signal("-KILL");
    cluster.process.wait().unwrap();
    until("its processes are gone", || children.iter().all(|(pid, _)| is_gone(*pid)).then_some(()));
    assert!(place.join("logs/worker-0.log").exists());

    // It is the same cluster afterwards.
    let cluster = DevCluster::start(&arguments);
    assert_eq!(cluster.status()["cluster"], before["cluster"]);
}

#[test]
fn one_that_does_not_come_up_says_why_and_ends() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let home = TempDir::new().unwrap();
    let output = Command::new(cullet_binary())
        .args(["dev-cluster", "--coordinators", "1", "--workers", "0", "--base-port", &port])
        .env("CULLET_CACHE_DIR", home.path().join("cache"))
        .env("TMPDIR", home.path())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(
        said.contains("coordinator-0 ended (exit code 3)") && said.contains("cannot listen on"),
        "{said}"
    );
    let left: Vec<_> = std::fs::read_dir(home.path()).unwrap().flatten().map(|entry| entry.path()).collect();
    assert!(left.iter().all(|path| !path.to_string_lossy().contains("cullet-dev")), "{left:?}");
}
