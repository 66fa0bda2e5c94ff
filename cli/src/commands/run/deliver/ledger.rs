//! Which directories below `--output DIR` were written by Cullet, and may be replaced by it.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The file in DIR that lists them, one path a line.
const FILE: &str = ".cullet-outputs";

/// The largest list that is read. A pipeline has few outputs; anything larger is not ours.
const MOST: u64 = 16 << 20;

/// The directories that earlier runs wrote.
#[derive(Debug)]
pub(super) struct Ledger {
    file: PathBuf,
    paths: BTreeSet<String>,
}

impl Ledger {
    /// What is known of a directory. A list that cannot be read is an empty one: then nothing is replaced.
    pub(super) fn of(dir: &Path) -> Self {
        let file = dir.join(FILE);
        let small =
            std::fs::symlink_metadata(&file).is_ok_and(|found| found.is_file() && found.len() <= MOST);
        let text = if small { std::fs::read_to_string(&file).unwrap_or_default() } else { String::new() };
        let paths = text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
        Self { file, paths }
    }

    /// Whether an earlier run wrote the directory.
    pub(super) fn has(&self, path: &str) -> bool {
        self.paths.contains(path)
    }

    /// Remembers that this run writes it, before it does.
    pub(super) fn add(&mut self, path: &str) -> io::Result<()> {
        if path.contains('\n') || !self.paths.insert(path.to_owned()) {
            return Ok(());
        }
        let mut text = "# Directories that `cullet run --output` wrote here and replaces\n".to_owned();
        for path in &self.paths {
            text.push_str(path);
            text.push('\n');
        }
        let draft = self.file.with_extension(format!("{}.new", std::process::id()));
        std::fs::File::create_new(&draft)?.write_all(text.as_bytes())?;
        std::fs::rename(&draft, &self.file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_there_the_next_time_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        Ledger::of(dir.path()).add("docs/html").unwrap();
        let mut ledger = Ledger::of(dir.path());
        ledger.add("a b").unwrap();
        let ledger = Ledger::of(dir.path());
        assert!(ledger.has("docs/html") && ledger.has("a b"));
        assert!(!ledger.has("docs") && !ledger.has("src"));
    }

    #[test]
    fn a_list_that_is_no_file_allows_nothing() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("elsewhere"), "src\n").unwrap();
        std::os::unix::fs::symlink("elsewhere", dir.path().join(FILE)).unwrap();
        assert!(!Ledger::of(dir.path()).has("src"));
    }
}
