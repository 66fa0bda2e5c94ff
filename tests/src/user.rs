//! Somebody who uses Cullet.

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::{Checkout, Outcome, cullet_binary};

/// A user with a cache of their own, and nothing of the surrounding environment but what finds tools.
#[derive(Debug)]
pub struct User {
    cache: TempDir,
}

impl User {
    /// A user whose cache is empty.
    ///
    /// # Panics
    /// Where no temporary directory can be made.
    pub fn new() -> Self {
        match tempfile::tempdir() {
            Ok(cache) => Self { cache },
            Err(error) => panic!("cannot make a temporary directory: {error}"),
        }
    }

    /// The cache directory.
    pub fn cache(&self) -> &Path {
        self.cache.path()
    }

    /// The binary with arguments, about to be started in a directory.
    pub fn command<'a>(&self, dir: &Path, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = Command::new(cullet_binary());
        command.args(arguments).current_dir(dir).env_clear().stdin(std::process::Stdio::null());
        for name in
            ["PATH", "HOME", "RUSTUP_HOME", "CARGO_HOME", "RUSTUP_TOOLCHAIN", "TMPDIR", "CULLET_EXECUTOR"]
        {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.env("CULLET_CACHE_DIR", self.cache());
        command
    }

    /// Starts the binary in a checkout and waits for its end.
    ///
    /// # Panics
    /// Where it cannot be started.
    pub fn cullet<'a>(&self, checkout: &Checkout, arguments: impl IntoIterator<Item = &'a str>) -> Output {
        match self.command(checkout.path(), arguments).output() {
            Ok(output) => output,
            Err(error) => panic!("cannot start {}: {error}", cullet_binary().display()),
        }
    }

    /// Runs the checkout's pipeline, all of it.
    pub fn run(&self, checkout: &Checkout) -> Outcome {
        self.run_with(checkout, [])
    }

    /// Runs the checkout's pipeline with more arguments.
    pub fn run_with<'a>(&self, checkout: &Checkout, arguments: impl IntoIterator<Item = &'a str>) -> Outcome {
        let arguments = ["run", "--progress", "json"].into_iter().chain(arguments);
        Outcome::of(&self.cullet(checkout, arguments))
    }
}

impl Default for User {
    fn default() -> Self {
        Self::new()
    }
}
