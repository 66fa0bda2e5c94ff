//! The servers that are asked, and where they are.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use cullet_tests::cluster::{Cluster, Process, until};
use tempfile::TempDir;
use tokio::runtime::Builder;
use tonic::transport::Endpoint;

use super::api::Api;

/// How long one test may take: some executions on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Whose program a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A cluster of ours.
    Cullet,
    /// buildbox-casd, which stores and executes nothing.
    Casd,
    /// Any other.
    Other,
}

/// A server that runs.
#[derive(Debug)]
struct Server {
    kind: Kind,
    url: String,
    runs: Runs,
    /// With the process of the tests, this pipe ends, and with it what runs.
    _held: Option<ChildStdin>,
}

/// What runs for as long as the tests do.
#[derive(Debug)]
enum Runs {
    Elsewhere,
    Cluster(Box<Cluster>),
    Casd { dir: TempDir, _process: Process },
}

impl Runs {
    /// Where its blobs are.
    fn store(&self) -> Option<PathBuf> {
        match self {
            Self::Elsewhere => None,
            Self::Cluster(cluster) => Some(cluster.store().to_owned()),
            Self::Casd { dir, .. } => Some(dir.path().join("cache/cas/objects")),
        }
    }

    /// What it says.
    fn logs(&self) -> String {
        match self {
            Self::Elsewhere => String::new(),
            Self::Cluster(cluster) => cluster.logs(),
            Self::Casd { dir, .. } => std::fs::read_to_string(dir.path().join("log")).unwrap_or_default(),
        }
    }
}

/// Does a check with each server that stores blobs and results.
pub(crate) fn of_caches(check: impl AsyncFn(&Api)) {
    caches().iter().for_each(|server| server.does(&check));
}

/// Does a check with the server that executes actions.
pub(crate) fn of_execution(check: impl AsyncFn(&Api)) {
    caches()[0].does(&check);
}

/// Does a check with casd in front of a cluster, and with that cluster itself.
pub(crate) fn through_casd(check: impl AsyncFn(&Api, &Api)) {
    let cluster = &caches()[0];
    let Some(program) = std::env::var_os("CULLET_CASD").filter(|_| cluster.kind == Kind::Cullet) else {
        return;
    };
    let casd = casd_of(Path::new(&program), &arguments_of_the_guide(&cluster.url));
    casd.does(&async |api: &Api| check(api, &cluster.api()).await);
}

/// Does a check with casd in front of a cluster that nobody else asks, sending and fetching large blobs in chunks as the guide says.
pub(crate) fn through_chunking_casd(check: impl AsyncFn(&Api, &Api)) {
    let Some(program) = std::env::var_os("CULLET_CASD") else { return };
    let cluster = cluster();
    let mut arguments = arguments_of_the_guide(&cluster.url);
    arguments.push("--enable-chunking-for-instance=".to_owned());
    let casd = casd_of(Path::new(&program), &arguments);
    casd.does(&async |api: &Api| check(api, &cluster.api()).await);
}

/// What stands in the guide between the program and the address that it listens on, with this server in it.
fn arguments_of_the_guide(url: &str) -> Vec<String> {
    let guide = cullet_tests::repository_root().join("docs/clients/buildbox.md");
    let text = std::fs::read_to_string(guide).unwrap();
    let line = text.lines().find(|line| line.starts_with("buildbox-casd ")).unwrap();
    let arguments = line.split(' ').skip(1).take_while(|argument| !argument.starts_with("--bind"));
    arguments.map(|argument| argument.replace("http://coordinator:7400", url)).collect()
}

/// All servers; the first one executes, too.
#[expect(clippy::print_stderr, reason = "somebody should know that servers were left out")]
fn caches() -> &'static [Server] {
    static SERVERS: OnceLock<Vec<Server>> = OnceLock::new();
    SERVERS.get_or_init(|| {
        if let Some(url) = std::env::var_os("CULLET_REAPI") {
            let url = url.into_string().unwrap();
            return vec![Server { kind: Kind::Other, url, runs: Runs::Elsewhere, _held: None }];
        }
        let casd = std::env::var_os("CULLET_CASD").map(PathBuf::from);
        if casd.is_none() {
            eprintln!("left out: CULLET_CASD names no buildbox-casd (tests/tests/reapi/casd.sh)");
            assert!(std::env::var_os("CI").is_none(), "CI has it");
        }
        [Some(cluster()), casd.map(|program| casd_of(&program, &[]))].into_iter().flatten().collect()
    })
}

fn cluster() -> Server {
    let cluster = Cluster::start(1, 1);
    let processes = [cluster.coordinator(0).unwrap().id(), cluster.worker(0).unwrap().id()];
    let _held = Some(ending_with_us(&processes, cluster.dir()));
    cluster.agreed();
    cluster.with_workers(1);
    Server { kind: Kind::Cullet, url: cluster.url(0), runs: Runs::Cluster(Box::new(cluster)), _held }
}

fn casd_of(program: &Path, arguments: &[String]) -> Server {
    let dir = TempDir::new().unwrap();
    let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let mut command = Command::new(program);
    command.args(arguments).arg(format!("--bind=127.0.0.1:{port}")).arg(dir.path().join("cache"));
    let process = Process::start(command, &dir.path().join("log"));
    let _held = Some(ending_with_us(&[process.id()], dir.path()));
    until("casd listens", || TcpStream::connect(("127.0.0.1", port)).ok());
    let url = format!("http://127.0.0.1:{port}");
    Server { kind: Kind::Casd, url, runs: Runs::Casd { dir, _process: process }, _held }
}

/// Ends these processes and removes this directory with the process of the tests: what all tests share is dropped by none of them.
fn ending_with_us(processes: &[u32], dir: &Path) -> ChildStdin {
    let mut shell = Command::new("sh");
    shell.args(["-c", r#"read -r _; dir=$1; shift; kill -9 "$@"; sleep 1; rm -rf "$dir""#, "sh"]);
    shell.arg(dir).args(processes.iter().map(u32::to_string));
    shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let Child { stdin, .. } = shell.spawn().unwrap();
    stdin.unwrap()
}

impl Server {
    /// To be asked in the runtime that this is called in.
    fn api(&self) -> Api {
        let channel = Endpoint::from_shared(self.url.clone()).unwrap().connect_lazy();
        Api::new(self.kind, channel, self.runs.store())
    }

    fn does(&self, check: &impl AsyncFn(&Api)) {
        let _told = Told(self);
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let ended = tokio::time::timeout(PATIENCE, check(&self.api())).await;
            assert!(ended.is_ok(), "no end after {PATIENCE:?}");
        });
    }
}

/// Says which server failed a check.
struct Told<'a>(&'a Server);

impl Drop for Told<'_> {
    #[expect(clippy::print_stderr, reason = "whoever reads why a test failed reads this as well")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("it was {:?}, which said:\n{}", self.0.kind, self.0.runs.logs());
        }
    }
}
