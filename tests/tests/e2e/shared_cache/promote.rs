//! `cullet cache promote`: what a branch made becomes everybody's, once it was made again.

use std::path::Path;
use std::process::Command;

use cullet_tests::{Checkout, Outcome, User};

use super::trust::{configured, key};
use super::{checkout, command, outcome, text};

/// What promoting came to: its exit code, and what it said.
fn promote(user: &User, checkout: &Checkout, config: &Path, arguments: &[&str]) -> (i32, String) {
    let all = ["cache", "promote"].into_iter().chain(arguments.iter().copied());
    let mut command: Command = user.command(checkout.path(), all);
    let output = command.env("CULLET_CONFIG", config).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

/// A configuration that names the store.
fn config(dir: &Path, shared: &Path, more: &str) -> std::path::PathBuf {
    let path = dir.join("config.toml");
    std::fs::write(&path, format!("[cache]\nshared = {shared:?}\n{more}\n")).unwrap();
    path
}

fn run_as(checkout: &Checkout, shared: &Path, scope: &str, mode: &str) -> Outcome {
    let mut command = command(&User::new(), checkout, text(shared), &["--scope", scope]);
    outcome(&command.env("CULLET_SHARED_CACHE_MODE", mode).output().unwrap())
}

#[test]
fn what_is_the_same_when_it_is_made_again_is_promoted_and_signed() {
    let (shared, checkout, dir) = (tempfile::tempdir().unwrap(), checkout(), tempfile::tempdir().unwrap());
    let (signing, public) = key(dir.path(), "release.pem");
    run_as(&checkout, shared.path(), "branch/x", "write");
    let signs = config(dir.path(), shared.path(), &format!("mode = \"write\"\nsigning-key = {signing:?}"));
    let (code, said) = promote(&User::new(), &checkout, &signs, &["use", "--from", "branch/x"]);
    assert_eq!(code, 0, "{said}");
    for step in ["make", "other", "use"] {
        let line = format!("{step}: what branch/x has is what was made here; now in protected");
        assert!(said.contains(&line), "{said}");
    }
    let nobody: [&str; 0] = [];
    let trusts = format!("scope = \"user/ada\"\ntrusted-keys = [\"{public}\"]");
    let asking = configured(&User::new(), &checkout, shared.path(), "read", &trusts);
    assert_eq!(asking.executed(), nobody, "it is signed as protected");
    let (code, said) = promote(&User::new(), &checkout, &signs, &["--from", "branch/x", "--to", "branch/x"]);
    assert!(code == 2 && said.contains("--from and --to are both branch/x"), "{said}");
}

#[test]
fn what_differs_or_is_not_there_is_not_promoted() {
    let pipeline = "cullet: 1\nname: p\nsteps:\n  luck: { run: 'cat /proc/sys/kernel/random/uuid > out', outputs: { out: out } }\n  \
                    same: { run: 'echo 1 > out', outputs: { out: out } }\n";
    let (shared, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let checkout = Checkout::of_pipeline(pipeline);
    run_as(&checkout, shared.path(), "branch/x", "write");
    let from = ["--from", "branch/x"];
    let read = config(dir.path(), shared.path(), "");
    let (code, said) = promote(&User::new(), &checkout, &read, &from);
    assert!(code == 2 && said.contains("is only read"), "{said}");
    let write = config(dir.path(), shared.path(), "mode = \"write\"");
    let (code, said) = promote(&User::new(), &checkout, &write, &from);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("luck: differs from what branch/x has: out"), "{said}");
    assert_eq!(run_as(&checkout, shared.path(), "protected", "read").executed(), ["luck"]);
    let (code, said) = promote(&User::new(), &checkout, &write, &["same", "--from", "branch/y"]);
    assert!(code == 1 && said.contains("same: branch/y has no result of it"), "{said}");
}
