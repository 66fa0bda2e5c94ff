//! What a cluster built, on a laptop that reaches nothing but the bucket.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::mpsc::{Receiver, Sender, channel};

use cullet_tests::bucket::Bucket;
use cullet_tests::cluster::Cluster;
use cullet_tests::{Checkout, Outcome, User, cullet_binary};
use nix::sched::{CloneFlags, unshare};

use super::support::skip;

#[derive(Clone, Copy)]
struct Example {
    name: &'static str,
    steps: usize,
    /// A file of it, and a comment that it gets.
    file: &'static str,
    more: &'static str,
    /// What is executed then.
    executed: &'static [&'static str],
}

const EXAMPLES: [Example; 3] = [
    Example {
        name: "c-zlib",
        steps: 24,
        file: "src/infback.c",
        more: "/* more */\n",
        executed: &["compile[unit=infback]", "lint"],
    },
    Example {
        name: "python-click",
        steps: 24,
        file: "src/tests/test_commands.py",
        more: "# more\n",
        executed: &["test[module=commands]"],
    },
    Example {
        name: "rust-csv",
        steps: 17,
        file: "src/src/deserializer.rs",
        more: "// more\n",
        // What comes of the build is the same, and so no test of it runs.
        executed: &["build", "documentation", "format", "lint"],
    },
];

/// A command, and who waits for what it gives.
type Asked = (Command, Sender<io::Result<Output>>);

/// A network of its own, in which one address leads somewhere: to the bucket.
struct Laptop {
    commands: Sender<Asked>,
    bucket: String,
}

impl Laptop {
    fn reaching(bucket: &str) -> Self {
        let to = bucket.trim_start_matches("http://").to_owned();
        let (commands, asked) = channel();
        let (tell, told) = channel();
        let (arrived, connections) = channel::<TcpStream>();
        // In the machine's own network.
        std::thread::spawn(move || {
            for laptop in connections {
                relay(&laptop, &TcpStream::connect(&to).unwrap());
            }
        });
        // A network is that of a thread, of its sockets and of the processes that it starts.
        std::thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            let up = Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap();
            assert!(up.success());
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            tell.send(format!("http://{}", listener.local_addr().unwrap())).unwrap();
            std::thread::spawn(move || {
                for connection in listener.incoming() {
                    if arrived.send(connection.unwrap()).is_err() {
                        break;
                    }
                }
            });
            execute(&asked);
        });
        Self { commands, bucket: told.recv().unwrap() }
    }

    fn output(&self, mut command: Command) -> Output {
        command.env("AWS_ENDPOINT_URL", &self.bucket);
        let (sender, answer) = channel();
        self.commands.send((command, sender)).unwrap();
        answer.recv().unwrap().unwrap()
    }
}

fn execute(asked: &Receiver<Asked>) {
    for (mut command, answer) in asked {
        drop(answer.send(command.output()));
    }
}

/// Copies both ways until both are at their ends.
fn relay(one: &TcpStream, other: &TcpStream) {
    for (mut from, mut to) in [(one, other), (other, one)].map(|(from, to)| {
        let clone = |stream: &TcpStream| stream.try_clone().unwrap();
        (clone(from), clone(to))
    }) {
        std::thread::spawn(move || {
            drop(io::copy(&mut from, &mut to));
            drop(to.shutdown(Shutdown::Write));
        });
    }
}

/// Coordinators and workers with the tools of this machine.
fn cluster(bucket: &Bucket) -> Cluster {
    let mut cluster = Cluster::prepare(cullet_binary().clone(), 3, 2).storing_in(bucket, "examples");
    for name in ["HOME", "RUSTUP_HOME", "CARGO_HOME", "RUSTUP_TOOLCHAIN"] {
        if let Ok(value) = std::env::var(name) {
            cluster = cluster.with_variable(name, &value);
        }
    }
    (0..3).for_each(|position| cluster.run_coordinator(position));
    (0..2).for_each(|position| cluster.run_worker(position, &["--store", "s3://bucket/examples"]));
    cluster.with_workers(2);
    cluster
}

fn same(one: &Path, other: &Path) {
    let differences = Command::new("diff").arg("-r").args([one, other]).output().unwrap();
    assert!(differences.status.success(), "{}", String::from_utf8_lossy(&differences.stdout));
}

#[test]
fn a_laptop_has_all_that_the_cluster_built_when_that_is_gone_and_runs_what_it_changes() {
    if !nix::unistd::geteuid().is_root() {
        skip("only root can give a laptop a network of its own");
        return;
    }
    let bucket = Bucket::start();
    let mut cluster = cluster(&bucket);
    let checkouts = EXAMPLES.map(|Example { name, steps, .. }| {
        let checkout = Checkout::of_example(name);
        let built = cluster.run(checkout.path(), &["--output", "built"]);
        built.assert_success();
        assert_eq!(built.executed().len(), steps, "{name}");
        checkout
    });
    (0..3).for_each(|position| cluster.kill_coordinator(position));
    (0..2).for_each(|position| cluster.kill_worker(position));
    let [(_, address), ..] = bucket.variables();
    let laptop = Laptop::reaching(&address);
    for (Example { name, steps, file, more, executed }, checkout) in EXAMPLES.into_iter().zip(&checkouts) {
        // Each time with an empty disk.
        let run = |output: &str| {
            let user = User::new();
            let mut command = cluster.command();
            command.args(["run", "--progress", "json", "--output", output]).current_dir(checkout.path());
            command.env("CULLET_CACHE_DIR", user.cache()).env("CULLET_SHARED_CACHE", "s3://bucket/examples");
            let outcome = Outcome::of(&laptop.output(command));
            outcome.assert_success();
            outcome
        };
        let there = run("there");
        assert_eq!((there.executed(), there.cached().len()), (vec![], steps), "{name}");
        same(&checkout.path().join("built"), &checkout.path().join("there"));
        let text = std::fs::read_to_string(checkout.path().join(file)).unwrap();
        checkout.write(file, &(text + more));
        let changed = run("changed");
        assert_eq!(changed.executed(), executed, "{name}");
        assert_eq!(changed.cached().len(), steps - executed.len(), "{name}");
    }
}
