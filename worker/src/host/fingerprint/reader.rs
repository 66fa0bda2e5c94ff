//! Reading files, directories and trees, or remembering them.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::content;
use super::memory::{self, Content, Details, Memory};
use super::watch::{self, Watched};
use crate::host::looks::{Facts, Looks};
use crate::host::stamp::{self, Stamp};

/// Reads what has changed since the last time, and remembers the rest.
pub(in crate::host) struct Reader {
    root: PathBuf,
    file: Option<PathBuf>,
    pub(super) known: Memory,
    pub(super) seen: Memory,
    /// Read when a tree has changed, and not before.
    pub(super) details: Option<Details>,
    pub(super) now: Duration,
    /// Every look but those at the insides of trees.
    pub(super) looks: Looks,
    /// A tree changed just now.
    pub(super) restless: bool,
    /// The remembered trees of which nothing that is watched has changed.
    pub(super) unchanged: BTreeSet<PathBuf>,
}

impl Reader {
    /// A reader of the machine whose root directory is `root`; `file` keeps what it reads.
    pub(in crate::host) fn new(root: &Path, file: Option<&Path>) -> Self {
        let (known, now): (Memory, _) = (memory::load(file), stamp::now());
        let unchanged = watch::unchanged(&known.trees, now.as_secs());
        Self {
            root: root.to_path_buf(),
            file: file.map(Path::to_path_buf),
            known,
            seen: Memory::default(),
            details: None,
            now,
            looks: Looks::default(),
            restless: false,
            unchanged,
        }
    }

    /// What to look at again to see that everything would be read as it was; none when something changed just now.
    pub(in crate::host) fn facts(&self) -> Option<(Facts, Vec<Watched>)> {
        let facts = self.looks.facts(self.now).filter(|_| !self.restless)?;
        Some((facts, self.seen.trees.values().map(|tree| tree.watched.clone()).collect()))
    }

    /// Writes down what was read, unless it was known before.
    pub(in crate::host) fn finish(self) {
        let Some(file) = self.file else { return };
        if let Some(details) = &self.details {
            memory::store(&memory::details_path(&file), details);
        }
        if self.seen != self.known {
            memory::store(&file, &self.seen);
        }
    }

    /// Where a path of the machine lies.
    pub(super) fn at(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// What is at a path, which may be a link.
    pub(super) fn symlink_metadata(&mut self, path: &Path) -> Option<fs::Metadata> {
        let path = self.at(path);
        self.looks.symlink_metadata(&path)
    }

    /// Where a link leads; none where there is no link.
    pub(super) fn link(&mut self, path: &Path) -> Option<PathBuf> {
        let path = self.at(path);
        self.looks.read_link(&path)
    }

    /// Whether there is a directory.
    pub(super) fn is_dir(&mut self, path: &Path) -> bool {
        let path = self.at(path);
        self.looks.is_dir(&path)
    }

    /// The text of a file that is read each time; empty when there is none to read.
    pub(super) fn text(&mut self, path: &Path) -> String {
        let path = self.at(path);
        self.looks.metadata(&path).and_then(|_| fs::read_to_string(&path).ok()).unwrap_or_default()
    }

    /// What is remembered of the files of trees.
    pub(super) fn details(&mut self) -> &mut Details {
        let file = self.file.as_deref().map(memory::details_path);
        self.details.get_or_insert_with(|| memory::load(file.as_deref()))
    }

    /// The digest of a file's contents; `None` when there is none to read. Links are followed. In a script, the
    /// home directory is read as `~`: wrappers contain their own path.
    pub(super) fn file(&mut self, path: &Path, home: Option<&Path>) -> Option<String> {
        let path = self.at(path);
        let found = self.looks.metadata(&path).filter(fs::Metadata::is_file)?;
        let read = || content::digest(&path, found.len(), home).map(Content::File);
        match self.remember(&path, &found, read)? {
            Content::File(digest) => Some(digest),
            Content::Names(_) => None,
        }
    }

    /// The names in a directory, sorted; none when there is no such directory.
    pub(super) fn names(&mut self, path: &Path) -> Vec<String> {
        let path = self.at(path);
        let Some(found) = self.looks.metadata(&path).filter(fs::Metadata::is_dir) else {
            return Vec::new();
        };
        match self.remember(&path, &found, || names(&path).map(Content::Names)) {
            Some(Content::Names(names)) => names,
            _ => Vec::new(),
        }
    }

    fn remember(
        &mut self,
        path: &Path,
        found: &fs::Metadata,
        read: impl FnOnce() -> io::Result<Content>,
    ) -> Option<Content> {
        let stamp = Stamp::of(found);
        let key = path.to_string_lossy().into_owned();
        if let Some((known, content)) = self.known.single.get(&key)
            && *known == stamp
        {
            self.seen.single.insert(key, (stamp, content.clone()));
            return Some(content.clone());
        }
        let content = read().ok()?;
        if stamp.is_settled(self.now) {
            self.seen.single.insert(key, (stamp, content.clone()));
        }
        Some(content)
    }
}

/// All of them: a part of them would depend on the order in which the filesystem lists them.
fn names(path: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}
