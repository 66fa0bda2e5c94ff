//! A program that tries to leave the sandbox, run as a step. What it could do is compared with a list.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use cullet_worker::StepLimits;
use cullet_worker::sandbox::{LauncherCommand, Sandbox, probe};
use support::image::{Image, is_root, link};
use support::{Outcome, Step, command, config, launcher, run_in};

/// The program. A plain user cannot reach where it was built, and has a copy beside that of the launcher.
fn program() -> PathBuf {
    let launcher = std::env::var_os(support::plain_user::LAUNCHER).map(PathBuf::from);
    let copy = launcher.map(|launcher| launcher.with_file_name(support::plain_user::ESCAPES));
    copy.unwrap_or_else(|| env!("CARGO_BIN_EXE_cullet-escapes").into())
}

/// What it may do: launches, a colon, what it says.
const LIST: &str = include_str!("escapes/allowed.txt");

/// Enough for the probe, less than what it tries to take.
const MEMORY: u64 = 512 << 20;

/// What container engines do to a container: parts of `/proc` are masked, and settings are read-only.
const MASKED: &str = "mount --bind /dev/null /proc/version && mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys";

/// The launcher behind a shell script.
fn behind(program: &str, arguments: &[&str]) -> LauncherCommand {
    let args =
        arguments.iter().map(|&text| text.to_owned()).chain([launcher().program.display().to_string()]);
    LauncherCommand { program: program.into(), args: args.collect() }
}

/// As root of a container without real root.
fn in_container() -> LauncherCommand {
    let script = format!("{MASKED} && exec \"$0\"");
    behind("/usr/bin/unshare", &["-Urm", "/bin/sh", "-c", &script])
}

/// As real root without the right to mount, as in a container of Docker's.
fn without_mounts() -> LauncherCommand {
    behind("/usr/bin/setpriv", &["--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"])
}

/// A program that another process wrote: one that is open for writing anywhere cannot be executed.
fn install(at: &Path) {
    assert!(Command::new("cp").arg(program()).arg(at).status().unwrap().success());
    fs::set_permissions(at, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
}

/// An image that leads astray wherever something is mounted, with the probe as a program of root's that gains rights.
fn image(owned: bool) -> Image {
    let mut image = Image::new().layer(|tree| {
        install(&tree.join("gaining"));
        let output = Command::new("ldd").arg(tree.join("gaining")).output().unwrap();
        for library in
            String::from_utf8(output.stdout).unwrap().split_whitespace().filter(|word| word.starts_with('/'))
        {
            let inside = tree.join(library.trim_start_matches('/'));
            fs::create_dir_all(inside.parent().unwrap()).unwrap();
            fs::copy(library, inside).unwrap();
        }
        fs::set_permissions(tree.join("gaining"), std::os::unix::fs::PermissionsExt::from_mode(0o6755))
            .unwrap();
        for place in ["proc", "dev", "sys", "tmp", "workspace"] {
            link(tree, place, "/lower");
        }
        for place in ["etc/hosts", "etc/hostname", "etc/resolv.conf"] {
            link(tree, place, "/proc/sys/kernel/core_pattern");
        }
    });
    image.root.owned = owned;
    image
}

/// A step with the probe, and everything that it looks for outside.
struct Trial {
    step: Step,
    _sockets: [UnixListener; 2],
    _port: std::net::TcpListener,
}

impl Trial {
    fn new(sandbox: &Sandbox, step: Step) -> Self {
        let owner = sandbox.owner();
        let step = step.input(owner, "input", "input\n");
        install(&step.launch.inputs.join("probe"));
        let canary = step.dir.path().join("canary");
        fs::write(&canary, "").unwrap();
        // One for each test, which run beside each other.
        let name = format!("cullet-canary-{}", canary.display());
        let place = step.dir.path().join("socket");
        let abstract_one = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let number = port.local_addr().unwrap().port().to_string();
        let sockets = [abstract_one, UnixListener::bind(&place).unwrap()];
        let mut step = step
            .env("CANARY", canary.to_str().unwrap())
            .env("CANARY_SOCKET", &name)
            .env("CANARY_PATH", place.to_str().unwrap())
            .env("CANARY_PORT", &number);
        step.launch.limits = StepLimits { memory_bytes: MEMORY, ..StepLimits::default() };
        Self { step, _sockets: sockets, _port: port }
    }

    fn run(&self, sandbox: &Sandbox) -> Outcome {
        let outcome = run_in(sandbox, &self.step);
        assert_eq!(fs::read_to_string(self.step.launch.inputs.join("input")).unwrap(), "input\n");
        outcome
    }
}

/// What the probe could do.
fn found(outcome: &Outcome) -> BTreeSet<String> {
    let lines: Vec<&str> = outcome.ok().lines().collect();
    assert!(lines.len() > 90, "{outcome:?}");
    assert!(lines.iter().all(|line| line.starts_with("could ")), "{outcome:?}");
    let could =
        lines.iter().filter_map(|line| line.strip_prefix("could ")).filter(|line| !line.starts_with("not "));
    could.map(str::to_owned).collect()
}

/// What it may do in this launch.
fn listed(launch: &str) -> BTreeSet<String> {
    let lines = LIST.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let lines = lines.map(|line| line.split_once(": ").unwrap());
    let holds = |launches: &str| {
        launches.split(' ').any(|each| {
            each == "all"
                || each == launch
                || launch.starts_with(&format!("{each}-"))
                || launch.ends_with(&format!("-{each}"))
        })
    };
    lines.filter(|(launches, _)| holds(launches)).map(|(_, what)| what.to_owned()).collect()
}

/// Whether the kernel has as much of Landlock as the sandbox uses.
fn has_landlock() -> bool {
    let dir = tempfile::tempdir().unwrap();
    let facts = probe(&launcher(), &config().view, dir.path()).facts;
    facts.iter().any(|fact| fact.name == "landlock" && fact.ok)
}

#[track_caller]
fn compare(launch: &str, sandbox: &Sandbox, step: Step) {
    let trial = Trial::new(sandbox, step);
    let outcome = trial.run(sandbox);
    let mut expected = listed(launch);
    if !sandbox.missing(&trial.step.launch.limits).is_empty() {
        expected.insert("take a gibibyte of memory".to_owned());
    }
    // What a kernel may lack.
    expected.retain(|what| !what.contains("/proc/pressure") || Path::new("/proc/pressure").exists());
    if trial.step.launch.network && !has_landlock() {
        expected.insert("reach an abstract socket of the machine".to_owned());
    }
    let found = found(&outcome);
    let more: Vec<_> = found.difference(&expected).collect();
    let less: Vec<_> = expected.difference(&found).collect();
    assert!(
        more.is_empty() && less.is_empty(),
        "{launch}: could, and is not listed: {more:#?}\nis listed, and could not: {less:#?}\n{}",
        outcome.stdout
    );
}

const HOST: [&str; 1] = ["/workspace/probe"];

fn sandbox(launcher: LauncherCommand) -> Sandbox {
    let mut config = config();
    config.view.max_processes = 500;
    Sandbox::start(launcher, config).unwrap()
}

both_users! {
    fn a_step_can_do_what_is_listed_and_nothing_else() {
        let who = if is_root() { "root" } else { "user" };
        let sandbox = sandbox(launcher());
        compare(&format!("{who}-host"), &sandbox, command(&HOST));
        compare(&format!("{who}-image"), &sandbox, image(is_root()).command(&HOST));
        compare(&format!("{who}-app"), &sandbox, image(is_root()).user("app").command(&HOST));
        let mut open = command(&HOST);
        open.launch.network = true;
        compare(&format!("{who}-network"), &sandbox, open);
    }

    fn a_step_in_a_container_can_do_what_is_listed_and_nothing_else() {
        // Root of the machine would be root in there: no container engine does that.
        if is_root() {
            return;
        }
        let sandbox = sandbox(in_container());
        compare("container-host", &sandbox, command(&HOST));
        compare("container-image", &sandbox, image(false).command(&HOST));
    }
}

#[test]
fn a_step_in_a_container_that_may_not_mount_can_do_what_is_listed_and_nothing_else() {
    if is_root() {
        compare("docker-host", &sandbox(without_mounts()), command(&HOST));
    }
}

/// System calls by which parts of the sandbox are made. Where one does nothing and says that it did, the probe notices.
#[test]
fn a_part_of_the_sandbox_that_is_missing_is_found() {
    let parts = [
        (libc::SYS_seccomp, "add_key", ""),
        (libc::SYS_seccomp, "personality without randomisation", ""),
        (libc::SYS_mount_setattr, "find mounts that gain rights", " /"),
        (libc::SYS_close_range, "find descriptors that are not its own", " "),
        (libc::SYS_landlock_restrict_self, "reach an abstract socket of the machine", ""),
    ];
    let whole = sandbox(launcher());
    let landlock = has_landlock();
    for (call, attempt, place) in parts {
        if call == libc::SYS_landlock_restrict_self && !landlock {
            continue;
        }
        let number = call.to_string();
        let blind = behind(env!("CARGO_BIN_EXE_cullet-escapes"), &["blind", &number]);
        let broken = sandbox(blind);
        let said = |sandbox: &Sandbox| {
            let mut step = command(&[HOST[0], attempt]);
            step.launch.network = call == libc::SYS_landlock_restrict_self;
            Trial::new(sandbox, step).run(sandbox).stdout
        };
        let (found, usual) = (said(&broken), said(&whole));
        assert!(found.contains(&format!("could {attempt}{place}")), "without call {call}: {found}");
        assert!(usual.starts_with(&format!("could not {attempt} ")), "with call {call}: {usual}");
    }
}
