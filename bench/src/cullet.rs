//! The program under test.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

use crate::Result;
use crate::measure::Measured;

/// The `cullet` that `CULLET_BIN` names, or the one that Cargo builds with the profile of this program.
pub(crate) fn binary() -> Result<&'static PathBuf> {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    if let Some(known) = BINARY.get() {
        return Ok(known);
    }
    let found = match std::env::var_os("CULLET_BIN") {
        Some(binary) => binary.into(),
        None => build()?,
    };
    Ok(BINARY.get_or_init(|| found))
}

fn build() -> Result<PathBuf> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--package", "cullet", "--bin", "cullet"]);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let status = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status()?;
    if !status.success() {
        return Err(format!("cargo build: {status}").into());
    }
    // Both end up in the directory of the profile.
    let this = std::env::current_exe()?;
    Ok(this.with_file_name("cullet"))
}

/// `cullet run` with a cache of its own.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) file: PathBuf,
    pub(crate) cache: PathBuf,
    pub(crate) jobs: Option<&'static str>,
}

impl Run {
    pub(crate) fn new(file: &Path, cache: &Path) -> Self {
        Self { file: file.to_owned(), cache: cache.to_owned(), jobs: None }
    }

    fn arguments(&self) -> Vec<&str> {
        let mut arguments = vec!["run", "--file"];
        arguments.extend(self.file.to_str());
        if let Some(jobs) = self.jobs {
            arguments.extend(["--jobs", jobs]);
        }
        arguments
    }

    /// To be measured, with plain progress to nowhere.
    pub(crate) fn measured(&self) -> Result<Measured> {
        let command = Measured::new(binary()?)?.args(self.arguments()).env("CULLET_CACHE_DIR", &self.cache);
        Ok(command.env("CULLET_PROGRESS", "plain"))
    }

    /// Runs it and gives its events.
    pub(crate) fn events(&self, targets: &[&str]) -> Result<Vec<Value>> {
        let mut command = Command::new(binary()?);
        command.args(self.arguments()).args(["--progress", "json"]).args(targets);
        command.env("CULLET_CACHE_DIR", &self.cache).stdin(Stdio::null());
        let output = command.output()?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stdout);
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("cullet run: {}\n{said}{}", output.status, last_lines(&text)).into());
        }
        let lines = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        Ok(lines.map(serde_json::from_slice).collect::<std::result::Result<_, _>>()?)
    }

    /// Runs it and makes sure that the cache answers every step: what is measured after it is what it says.
    pub(crate) fn expect_all_cached(&self) -> Result<()> {
        let events = self.events(&[])?;
        let end = events.last().ok_or("no events")?;
        match (end["executed"].as_u64(), end["cached"].as_u64()) {
            (Some(0), Some(_)) => Ok(()),
            _ => Err(format!("not every step was cached: {end}").into()),
        }
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().rev().take(5).collect();
    lines.join("\n")
}
