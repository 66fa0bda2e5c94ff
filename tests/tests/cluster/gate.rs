//! A real registry behind a gate that a test closes and opens: what is asked of it stays on its way for as long as the test
//! wants.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};

use tempfile::TempDir;

/// Debian's `docker-registry`, which `./test` installs. Ends with the value.
pub(super) struct Registry {
    process: Child,
    /// Where it is without a gate.
    address: String,
    gate: Arc<Gate>,
    gated: SocketAddr,
    _dir: TempDir,
}

#[derive(Default)]
struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_closed: bool,
    /// How many answers wait at it.
    held: usize,
}

/// What passes a closed gate of each answer: less than the test image's first layer has.
const PASSES: usize = 256 << 10;

impl Drop for Registry {
    fn drop(&mut self) {
        self.open();
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Registry {
    pub(super) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().display();
        let config = format!(
            "version: 0.1\nlog:\n  level: info\nstorage:\n  filesystem:\n    rootdirectory: {at}/data\n\
             http:\n  addr: 127.0.0.1:0\n"
        );
        let file = dir.path().join("config.yml");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new("docker-registry");
        let process = command.arg("serve").arg(file).stderr(Stdio::piped()).stdout(Stdio::null()).spawn();
        let mut process = process.expect("docker-registry, which ./test installs");
        // It takes a free port and says which.
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let (_, rest) = line.split_once("listening on 127.0.0.1:")?;
            Some(rest.chars().take_while(char::is_ascii_digit).collect::<String>())
        });
        // Nobody reads on, and a full pipe would stop it.
        std::thread::spawn(move || lines.for_each(drop));
        let address = format!("127.0.0.1:{}", port.expect("the registry listens"));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (gate, gated) = (Arc::<Gate>::default(), listener.local_addr().unwrap());
        let (passing, to) = (Arc::clone(&gate), address.clone());
        // Lives as long as the test program.
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(&to) else { continue };
                pass(client, server, &passing);
            }
        });
        Self { process, address, gate, gated, _dir: dir }
    }

    /// Puts an image layout there as `name`, and gives how a pipeline names it by this digest.
    pub(super) fn push(&self, layout: &Path, name: &str, digest: &str) -> String {
        let to = format!("docker://{}/team/{name}:1", self.address);
        let mut command = Command::new("skopeo");
        command.args([
            "--insecure-policy",
            "copy",
            "--quiet",
            "--preserve-digests",
            "--dest-tls-verify=false",
        ]);
        // Nobody's settings and logins.
        command.arg(format!("oci:{}", layout.display())).arg(to).env("HOME", layout);
        let pushed = command.env_remove("XDG_RUNTIME_DIR").output().expect("skopeo, which ./test installs");
        assert!(pushed.status.success(), "{}", String::from_utf8_lossy(&pushed.stderr));
        format!("{}/team/{name}@{digest}", self.gated)
    }

    /// From now on no answer passes whole that is longer than [`PASSES`].
    pub(super) fn close(&self) {
        self.gate.change(|state| state.is_closed = true);
    }

    pub(super) fn open(&self) {
        self.gate.change(|state| state.is_closed = false);
    }

    /// Whether an answer waits at the gate.
    pub(super) fn holds(&self) -> bool {
        self.gate.state.lock().unwrap().held > 0
    }
}

impl Gate {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
        self.changed.notify_all();
    }

    /// Waits while it is closed.
    fn wait(&self) {
        let mut state = self.state.lock().unwrap();
        state.held += 1;
        while state.is_closed {
            state = self.changed.wait(state).unwrap();
        }
        state.held -= 1;
    }
}

/// Copies both ways between two connections. Requests begin an answer, as clients send one when they have the last answer.
fn pass(client: TcpStream, server: TcpStream, gate: &Arc<Gate>) {
    let answered = Arc::new(Mutex::new(0_usize));
    let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let begun = Arc::clone(&answered);
    std::thread::spawn(move || {
        let mut buffer = [0; 16 << 10];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            *begun.lock().unwrap() = 0;
            if to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        drop(to.shutdown(Shutdown::Write));
    });
    let gate = Arc::clone(gate);
    std::thread::spawn(move || {
        let (mut from, mut to) = (server, client);
        let mut buffer = [0; 16 << 10];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let passed = {
                let mut answered = answered.lock().unwrap();
                *answered += count;
                *answered
            };
            if passed > PASSES {
                gate.wait();
            }
            if to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        drop(to.shutdown(Shutdown::Both));
        drop(from.shutdown(Shutdown::Both));
    });
}
