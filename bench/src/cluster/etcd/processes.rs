//! Three members of etcd, on loopback.

use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use cullet_tests::cluster::Process;
use tempfile::TempDir;

use crate::Result;

/// They end with it.
pub(super) struct Etcd {
    _processes: Vec<Process>,
    client_ports: Vec<u16>,
    _dir: TempDir,
}

/// How long they may take to agree on a leader.
const PATIENCE: Duration = Duration::from_secs(30);

impl Etcd {
    pub(super) fn start() -> Result<Self> {
        let held: Vec<TcpListener> =
            (0..6).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<std::io::Result<_>>()?;
        let ports: Vec<u16> =
            held.iter().map(|held| held.local_addr().map(|at| at.port())).collect::<std::io::Result<_>>()?;
        drop(held);
        let (client_ports, peer_ports) = ports.split_at(3);
        let dir = tempfile::tempdir()?;
        let peers = (0..3).map(|member| format!("m{member}=http://127.0.0.1:{}", peer_ports[member]));
        let peers = peers.collect::<Vec<_>>().join(",");
        let start = |member: usize| {
            let mut command = Command::new("etcd");
            let (client, peer) = (client_ports[member], peer_ports[member]);
            command.arg("--data-dir").arg(dir.path().join(member.to_string()));
            command.args(["--name", &format!("m{member}"), "--initial-cluster", &peers]);
            for flag in ["--listen-client-urls", "--advertise-client-urls"] {
                command.args([flag, &format!("http://127.0.0.1:{client}")]);
            }
            for flag in ["--listen-peer-urls", "--initial-advertise-peer-urls"] {
                command.args([flag, &format!("http://127.0.0.1:{peer}")]);
            }
            Process::start(command, &dir.path().join(format!("{member}.log")))
        };
        let processes = (0..3).map(start).collect();
        let etcd = Self { _processes: processes, client_ports: client_ports.to_vec(), _dir: dir };
        etcd.wait()?;
        Ok(etcd)
    }

    /// The address of the first member; it passes on what another one has to decide.
    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.client_ports[0])
    }

    fn wait(&self) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match runtime.block_on(super::kv::puts(&self.url(), 1, Duration::from_millis(1))) {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }
}
