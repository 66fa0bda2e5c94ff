use std::path::PathBuf;

use crate::{run, stderr, stdout};

/// Help is an interface to people: it changes on purpose. With CULLET_UPDATE_SNAPSHOTS=1 the files are written.
fn check(name: &str, args: &[&str]) {
    let home = tempfile::tempdir().unwrap();
    let output = run(home.path(), args);
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""), "{args:?}");
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/command/help").join(name);
    let text: String = stdout(&output).lines().map(|line| format!("{}\n", line.trim_end())).collect();
    if std::env::var_os("CULLET_UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(&path).unwrap_or_default(), "{}", path.display());
}

#[test]
fn of_the_whole() {
    check("cullet.txt", &["--help"]);
}

#[test]
fn of_run() {
    check("run.txt", &["run", "--help"]);
}

#[test]
fn of_lock() {
    check("lock.txt", &["lock", "-h"]);
}

#[test]
fn of_logs() {
    check("logs.txt", &["logs", "-h"]);
}

#[test]
fn completions_know_the_subcommands() {
    let home = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = run(home.path(), &["completions", shell]);
        assert!(output.status.success() && stdout(&output).contains("validate"), "{shell}");
    }
}
