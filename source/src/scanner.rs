//! From a directory to a tree.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::num::NonZero;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use cullet_digest::DigestFunction;

use crate::dirs::Dirs;
use crate::hashing::Hashing;
use crate::node::Content;
use crate::opened::Opened;
use crate::problem::{Reports, ScanError, ScanWarning};
use crate::read::Hashed;
use crate::repository::Surroundings;
use crate::store::{Slot, Store};
use crate::tree::{ScanStats, SourceTree};
use crate::walk::{Pending, Walk};
use crate::{ScanLimits, SourceSpec};

/// Reads source trees. One of them serves any number of scans, also at the same time.
#[derive(Debug)]
pub struct Scanner {
    function: DigestFunction,
    store: Option<Store>,
    skip: Vec<PathBuf>,
    threads: usize,
    limits: ScanLimits,
}

impl Scanner {
    /// A scanner with as many threads as there are cores. `cache` is the directory in which it remembers what
    /// it has read; it is made when there is something to remember. Without one, every scan reads every file.
    pub fn new(function: DigestFunction, cache: Option<PathBuf>) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        let skip = cache.iter().cloned().collect();
        let store = cache.map(|directory| Store::new(directory, function));
        Self { function, store, skip, threads, limits: ScanLimits::default() }
    }

    /// Directories and files that are never part of a source, wherever they lie: Cullet's own state.
    #[must_use]
    pub fn skipping(mut self, paths: impl IntoIterator<Item = PathBuf>) -> Self {
        self.skip.extend(paths);
        self
    }

    /// Another number of threads, at least one.
    #[must_use]
    pub fn with_threads(mut self, threads: NonZero<usize>) -> Self {
        self.threads = threads.get();
        self
    }

    /// Other bounds.
    #[must_use]
    pub const fn with_limits(mut self, limits: ScanLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Reads the tree of `spec`. Files that are as the last scan left them are not opened. Everything that is
    /// wrong with the tree is found before the error is returned.
    pub fn scan(&self, spec: &SourceSpec) -> Result<SourceTree, ScanError> {
        let failed = |source: io::Error| ScanError::Root { path: spec.root.clone(), source };
        let root_path = fs::canonicalize(&spec.root).map_err(failed)?;
        let root = Opened::root(&root_path).map_err(|errno| failed(errno.into()))?;
        let Surroundings { prefix, rules } =
            Surroundings::find(&root_path, &spec.include, &spec.exclude, self.limits.max_ignore_bytes)?;
        let slot = self.store.as_ref().map(|store| (store, store.slot(&root_path, spec)));
        let (cached, own) = slot.as_ref().and_then(|(store, slot)| store.load(slot)).unzip();
        let reports = Reports::new(self.limits.max_reports);
        let walk = Walk {
            root: &root,
            prefix: &prefix,
            cached: cached.as_ref(),
            limits: self.limits,
            reports: &reports,
            skip: &self.skip_below(&root_path),
        };
        let (visited, pending) = walk
            .run(rules, self.threads)
            .map_err(|_| ScanError::TooMany { path: spec.root.clone(), limit: self.limits.max_entries })?;
        let mut dirs = Dirs::new(self.function, visited, cached);
        let hashed =
            Hashing { root: &root, dirs: &dirs, reports: &reports, threads: self.threads }.run(pending);
        let mut stats = ScanStats::default();
        take_in(&mut dirs, hashed, &mut stats);
        let mut warnings = reports.finish().map_err(ScanError::Entries)?;
        stats.reused_directories = dirs.seal()?;
        let changed = dirs.list.iter().any(|dir| dir.listing.is_some());
        if let Some((store, slot)) = slot.filter(|_| changed || own != Some(true)) {
            warnings.extend(save(store, &slot, &dirs));
        }
        Ok(SourceTree::new(root_path, dirs, stats, warnings))
    }

    /// What to skip below `root`, by directory.
    fn skip_below(&self, root: &Path) -> HashMap<Vec<u8>, Vec<Vec<u8>>> {
        let mut below: HashMap<Vec<u8>, Vec<Vec<u8>>> = HashMap::new();
        for path in &self.skip {
            // What is not there yet cannot be found in the tree either.
            let Ok(path) = fs::canonicalize(path) else { continue };
            let Ok(inside) = path.strip_prefix(root) else { continue };
            if let (Some(parent), Some(name)) = (inside.parent(), inside.file_name()) {
                below
                    .entry(parent.as_os_str().as_bytes().to_vec())
                    .or_default()
                    .push(name.as_bytes().to_vec());
            }
        }
        below
    }
}

/// Puts what was hashed where it belongs.
fn take_in(dirs: &mut Dirs, hashed: Vec<(Pending, Hashed)>, stats: &mut ScanStats) {
    for (Pending { dir, entry, .. }, hashed) in hashed {
        stats.hashed_files += 1;
        stats.hashed_bytes += hashed.size;
        let dir = &mut dirs.list[dir as usize];
        if let Some(entry) = dir.listing.as_mut().and_then(|listing| listing.entries.get_mut(entry as usize))
        {
            let Hashed { hash, size, executable, stat } = hashed;
            entry.content = Content::File { hash, size, executable };
            entry.stat = stat;
        }
    }
}

/// A cache that cannot be written makes the next scan slow, not this one wrong.
fn save(store: &Store, slot: &Slot, dirs: &Dirs) -> Option<ScanWarning> {
    let source = match dirs.snapshot() {
        Some(snapshot) => store.save(slot, &snapshot).err()?,
        None => io::ErrorKind::FileTooLarge.into(),
    };
    Some(ScanWarning::CacheNotWritten { path: slot.path().to_owned(), source })
}
