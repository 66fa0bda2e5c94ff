//! The program under test.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use crate::repository_root;

/// The `cullet` binary: the one that `CULLET_BIN` names, or the one that Cargo builds, once per test process.
///
/// # Panics
/// Where Cargo cannot build it.
pub fn cullet_binary() -> &'static PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| named("CULLET_BIN").unwrap_or_else(|| build(&[])))
}

/// The `cullet` binary of a next version, for rehearsing an upgrade: the one that `CULLET_NEXT_BIN` names, or one that Cargo
/// builds beside the other, from nothing.
///
/// # Panics
/// Where Cargo cannot build it.
pub fn next_binary() -> &'static PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        named("CULLET_NEXT_BIN")
            .unwrap_or_else(|| build(&["--features", "next-version", "--target-dir", "target/next-version"]))
    })
}

fn named(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from)
}

fn build(arguments: &[&str]) -> PathBuf {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args([
        "build",
        "--package",
        "cullet",
        "--bin",
        "cullet",
        "--message-format",
        "json-render-diagnostics",
    ]);
    cargo.args(arguments);
    let built = match cargo.current_dir(repository_root()).output() {
        Ok(built) => built,
        Err(error) => panic!("cannot start cargo: {error}"),
    };
    assert!(built.status.success(), "cargo build: {}", String::from_utf8_lossy(&built.stderr));
    let stdout = String::from_utf8_lossy(&built.stdout);
    let mut executables = stdout.lines().filter_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    });
    let Some(binary) = executables.next_back() else { panic!("cargo build named no executable") };
    binary
}
