//! The tools of the machine work in the sandbox, and what lies beside them stays hidden.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use cullet_worker::host::HostTools;
use cullet_worker::sandbox::{Sandbox, SandboxConfig};
use support::{run, run_in, step};

/// Whether the caller has this program at all.
fn has(program: &str) -> bool {
    let works = std::process::Command::new(program).arg("--version").output();
    works.is_ok_and(|output| output.status.success())
}

both_users! {
    fn the_callers_tools_work() {
        for program in ["cargo", "rustc", "python3", "gcc", "git", "make", "node", "perl"] {
            if has(program) {
                let outside = std::process::Command::new(program).arg("--version").current_dir("/").output().unwrap();
                let expected = String::from_utf8_lossy(&outside.stdout).into_owned();
                assert_eq!(run(&step(&format!("{program} --version"))).ok(), expected.trim(), "{program}");
            }
        }
    }

    fn a_rust_program_can_be_built() {
        if has("cargo") {
            let script = "cargo init -q --vcs none --name hello . && cargo build -q --offline && target/debug/hello";
            assert_eq!(run(&step(script)).ok(), "Hello, world!");
        }
    }

    fn a_program_can_be_compiled_and_run() {
        if has("gcc") {
            let outcome = run(&step("echo 'int main(){return 3;}' > a.c; gcc a.c -o a; ./a || echo $?"));
            assert_eq!(outcome.ok(), "3");
        }
    }
}

fn write_program(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A home directory with tools and with things that are nobody's business.
fn home(base: &Path) -> PathBuf {
    let home = base.join("home-of-u");
    write_program(&home.join(".cargo/bin/fake-cargo"), "#!/bin/sh\ncat \"$RUSTUP_HOME/toolchain\"\n");
    fs::create_dir_all(home.join(".rustup")).unwrap();
    for (name, text) in
        [(".rustup/toolchain", "1.2.3"), (".cargo/credentials.toml", "canary"), (".netrc", "canary")]
    {
        fs::write(home.join(name), text).unwrap();
    }
    write_program(&home.join(".ssh/id"), "canary");
    write_program(&home.join("bin/mine"), "#!/bin/sh\necho mine\n");
    home
}

/// A directory that can be shown to steps: not below `/tmp`, which is their own. A checkout may lie there.
fn directory_to_show() -> Option<tempfile::TempDir> {
    let places = [env!("CARGO_TARGET_TMPDIR").to_owned(), std::env::var("HOME").unwrap_or_default()];
    let shown = places.iter().filter(|place| place.starts_with('/') && !place.starts_with("/tmp"));
    shown.into_iter().find_map(|place| tempfile::tempdir_in(place).ok())
}

/// Only directories outside /tmp can be shown, and a plain user has none that a test may use.
#[test]
fn tools_of_a_home_come_without_the_rest_of_it() {
    let Some(base) = directory_to_show() else {
        println!("skipped: no directory outside of /tmp can be written");
        return;
    };
    let home = home(base.path());
    fs::set_permissions(base.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let path = format!("{0}/bin:{0}/.cargo/bin:{0}:{0}/.ssh/missing:/usr/bin:/bin", home.display());
    let tools = HostTools::discover(&path, Some(&home));
    let sandbox = Sandbox::start(support::launcher(), SandboxConfig::new(tools, Vec::new())).unwrap();
    let script = format!(
        "mine; fake-cargo; echo; ls -A {0} {0}/.cargo; touch {0}/bin/x 2>/dev/null && echo wrote; grep -rl canary {0}; true",
        home.display()
    );
    let expected = format!("mine\n1.2.3\n{0}:\n.cargo\n.rustup\nbin\n\n{0}/.cargo:\nbin", home.display());
    assert_eq!(run_in(&sandbox, &step(&script)).ok(), expected);
}
