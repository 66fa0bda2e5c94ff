//! Containers as processes: the same command lines and variables, with other addresses and directories.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use cullet_tests::cluster::{Process, until};
use cullet_tests::cullet_binary;
use serde_json::Value;
use tempfile::TempDir;

/// A container.
#[derive(Debug, Clone)]
pub(crate) struct Pod {
    /// Where the others reach it, as `host:port`.
    pub(crate) host: String,
    /// Its name in the cluster, if it is a worker.
    pub(crate) worker: Option<String>,
    pub(crate) arguments: Vec<String>,
    pub(crate) variables: BTreeMap<String, String>,
    /// Files below [`REGISTRIES`] that are mounted from what the chart renders.
    pub(crate) files: BTreeMap<String, String>,
}

/// Where workers find what they know of registries.
pub(crate) const REGISTRIES: &str = "/registries/";

/// What is in Secrets that the chart is only told the names of: a policy, and an Ed25519 key of nobody.
const TRUST: &str = "[workers]\nrequire-signatures = false\n";
const SIGNING_KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH
-----END PRIVATE KEY-----
";

/// Containers that were started as processes.
pub(crate) struct Started {
    dir: TempDir,
    ports: Vec<u16>,
    pods: Vec<Pod>,
    processes: Vec<Process>,
}

impl Pod {
    fn port(&self) -> &str {
        self.host.rsplit(':').next().unwrap()
    }
}

impl Started {
    /// Starts all of them. Nothing in a command line is changed but places.
    pub(crate) fn start(pods: Vec<Pod>) -> Self {
        let held: Vec<TcpListener> = pods.iter().map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<u16> = held.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        drop(held);
        let dir = TempDir::new().unwrap();
        let mut this = Self { dir, ports, pods, processes: Vec::new() };
        for position in 0..this.pods.len() {
            let process = this.launch(position);
            this.processes.push(process);
        }
        this
    }

    fn launch(&self, position: usize) -> Process {
        let pod = &self.pods[position];
        let data = self.dir.path().join(position.to_string());
        let registries = self.dir.path().join("registries");
        for (path, text) in &pod.files {
            let file = registries.join(path.strip_prefix(REGISTRIES).unwrap());
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        let place = |text: &str| {
            if let Some(path) = text.strip_prefix(REGISTRIES) {
                return registries.join(path).display().to_string();
            }
            let mut text = text.replace(&format!("0.0.0.0:{}", pod.port()), &self.address(position));
            for (other, pod) in self.pods.iter().enumerate() {
                text = text.replace(&pod.host, &self.address(other));
            }
            let here = |name: &str| self.dir.path().join(name);
            std::fs::create_dir_all(here("secrets")).unwrap();
            std::fs::write(here("trust.toml"), TRUST).unwrap();
            std::fs::write(here("worker.pem"), SIGNING_KEY).unwrap();
            let places = [
                ("/data", data.as_path()),
                ("/store", &here("store")),
                ("/secrets", &here("secrets")),
                ("/trust/trust.toml", &here("trust.toml")),
                ("/signing/worker.pem", &here("worker.pem")),
            ];
            for (inside, here) in places {
                match text.split_once('=') {
                    Some((flag, value)) if value == inside => text = format!("{flag}={}", here.display()),
                    _ if text == inside => text = here.display().to_string(),
                    _ => {}
                }
            }
            text
        };
        let mut command = Command::new(cullet_binary());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs(pod.variables.iter().map(|(name, value)| (name, place(value))));
        command.args(pod.arguments.iter().map(|argument| place(argument)));
        Process::start(command, &self.log(position))
    }

    fn address(&self, position: usize) -> String {
        format!("127.0.0.1:{}", self.ports[position])
    }

    fn log(&self, position: usize) -> std::path::PathBuf {
        self.dir.path().join(format!("{position}.log"))
    }

    fn logs(&self) -> String {
        let read = |position| std::fs::read_to_string(self.log(position)).unwrap_or_default();
        (0..self.pods.len())
            .map(|position| format!("\n{:?}\n{}", self.pods[position], read(position)))
            .collect()
    }

    /// Waits until every coordinator answers as its probes ask it to, and knows every worker.
    pub(crate) fn comes_up(mut self, name: &str) {
        let workers: Vec<String> = self.pods.iter().filter_map(|pod| pod.worker.clone()).collect();
        for position in (0..self.pods.len()).filter(|position| self.pods[*position].worker.is_none()) {
            let address = self.address(position);
            let ready = || ["/healthz", "/readyz"].iter().all(|path| get(&address, path) == Some(200));
            self.wait(&format!("{name}: {address} is ready"), ready);
            self.wait(&format!("{name}: {workers:?} have joined"), || {
                joined(&address, self.dir.path(), &workers)
            });
        }
        let ended: Vec<usize> =
            (0..self.pods.len()).filter(|position| self.processes[*position].has_ended()).collect();
        assert!(ended.is_empty(), "{name}: {ended:?} have ended: {}", self.logs());
    }

    fn wait(&self, what: &str, check: impl Fn() -> bool) {
        let waited =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| until(what, || check().then_some(()))));
        assert!(waited.is_ok(), "{what}: {}", self.logs());
    }
}

/// The status of an answer, as a kubelet asks for it.
fn get(address: &str, path: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    String::from_utf8_lossy(&answer).split(' ').nth(1)?.parse().ok()
}

fn joined(address: &str, dir: &Path, workers: &[String]) -> bool {
    let output = Command::new(cullet_binary())
        .args(["cluster", "status", "--format", "json", "--cluster", &format!("http://{address}")])
        .env("CULLET_CACHE_DIR", dir.join("cache"))
        .output()
        .unwrap();
    let status: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let names: Vec<&str> = status["workers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|worker| worker["name"].as_str())
        .collect();
    workers.iter().all(|worker| names.contains(&worker.as_str()))
}
