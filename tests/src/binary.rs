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
    BINARY.get_or_init(|| match std::env::var_os("CULLET_BIN") {
        Some(binary) => binary.into(),
        None => build(),
    })
}

fn build() -> PathBuf {
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
