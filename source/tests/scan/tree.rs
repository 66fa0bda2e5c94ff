//! Directories to scan.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cullet_digest::{Digest, DigestFunction};
use cullet_source::{ScanError, Scanner, SourceSpec, SourceTree};
use tempfile::TempDir;

/// A temporary directory with a source in `src` and a place for a stat cache in `cache`.
pub(crate) struct Tree {
    dir: TempDir,
}

impl Tree {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("src")).unwrap();
        Self { dir }
    }

    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        let tree = Self::new();
        files.iter().for_each(|(path, content)| tree.write(path, content));
        tree
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("src")
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.dir.path().join("cache")
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    pub(crate) fn write(&self, path: &str, content: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn link(&self, path: &str, target: &str) {
        symlink(target, self.path(path)).unwrap();
    }

    pub(crate) fn mode(&self, path: &str, mode: u32) {
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(mode)).unwrap();
    }

    pub(crate) fn spec(&self) -> SourceSpec {
        SourceSpec::new(self.root())
    }

    /// A scanner that remembers.
    pub(crate) fn scanner(&self) -> Scanner {
        Scanner::new(DigestFunction::Blake3, Some(self.cache()))
    }

    /// The digest without any memory.
    pub(crate) fn digest(&self) -> Digest {
        scan(&self.root()).unwrap().root()
    }
}

/// Scans without memory.
pub(crate) fn scan(root: &Path) -> Result<SourceTree, ScanError> {
    Scanner::new(DigestFunction::Blake3, None).scan(&SourceSpec::new(root))
}

/// Lets enough time pass for what was just written to be trusted.
pub(crate) fn settle() {
    std::thread::sleep(Duration::from_millis(50));
}

/// Every path of the tree, directories with a slash at the end.
pub(crate) fn paths(tree: &SourceTree) -> Vec<String> {
    let mut paths = Vec::new();
    let mut waiting = vec![(String::new(), tree.root())];
    while let Some((prefix, digest)) = waiting.pop() {
        let directory = tree.directory(&digest).unwrap();
        paths.extend(directory.files().iter().map(|file| format!("{prefix}{}", file.name)));
        paths.extend(directory.symlinks().iter().map(|link| format!("{prefix}{}", link.name)));
        for child in directory.directories() {
            paths.push(format!("{prefix}{}/", child.name));
            waiting.push((format!("{prefix}{}/", child.name), child.digest));
        }
    }
    paths.sort();
    paths
}
