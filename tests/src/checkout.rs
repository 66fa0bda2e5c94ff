//! A checkout of an example project, for one test alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use tempfile::TempDir;

use crate::repository_root;

/// A copy of a directory of `examples/` somewhere on disk, with the project's sources in it.
#[derive(Debug)]
pub struct Checkout {
    dir: TempDir,
}

impl Checkout {
    /// A fresh copy, fetched first where nobody has done it.
    ///
    /// # Panics
    /// Where the sources cannot be fetched or copied.
    pub fn of_example(name: &str) -> Self {
        let example = repository_root().join("examples").join(name);
        fetch(&example);
        let checkout = Self::empty();
        run(Command::new("cp").arg("-R").arg(example.join(".")).arg(checkout.path()));
        checkout
    }

    /// A directory with nothing in it but a pipeline.
    ///
    /// # Panics
    /// Where it cannot be written.
    pub fn of_pipeline(text: &str) -> Self {
        let checkout = Self::empty();
        checkout.write("cullet.yaml", text);
        checkout
    }

    fn empty() -> Self {
        match tempfile::tempdir() {
            Ok(dir) => Self { dir },
            Err(error) => panic!("cannot make a temporary directory: {error}"),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The pipeline file.
    pub fn pipeline(&self) -> PathBuf {
        self.path().join("cullet.yaml")
    }

    /// Puts text into a file, whose directory is made as needed.
    ///
    /// # Panics
    /// Where it cannot be written.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, text));
        if let Err(error) = written {
            panic!("cannot write {}: {error}", path.display());
        }
    }

    /// Replaces the first occurrence of a text in a file.
    ///
    /// # Panics
    /// Where the text does not occur, for then the test would edit nothing.
    pub fn edit(&self, path: &str, old: &str, new: &str) {
        let text = fs::read_to_string(self.path().join(path)).unwrap_or_default();
        assert!(text.contains(old), "{path} does not contain {old:?}");
        self.write(path, &text.replacen(old, new, 1));
    }
}

/// One at a time: two tests may want the same sources.
fn fetch(example: &Path) {
    static FETCHING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = FETCHING.lock();
    run(Command::new("sh").arg(example.join("fetch.sh")));
}

fn run(command: &mut Command) {
    match command.output() {
        Ok(output) if output.status.success() => {}
        failed => panic!("{command:?}: {failed:?}"),
    }
}
