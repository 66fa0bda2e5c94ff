//! Going through the whole tree with several threads.

use std::collections::HashMap;
use std::io::{self, Read as _};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use rustix::io::Errno;

use crate::ScanLimits;
use crate::look::{Look, Seen, What};
use crate::node::{Content, Entry, Listing, OwnListing};
use crate::opened::{Names, Opened};
use crate::problem::{ProblemKind, Reports};
use crate::queue::{Queue, StopOnPanic, on_threads};
use crate::rules::{Rules, RulesKey};
use crate::snapshot::Snapshot;
use crate::stat::StatKey;

/// What a walk needs to know, and what its threads share.
pub(crate) struct Walk<'a> {
    pub(crate) root: &'a Opened,
    /// The path from the repository's root to the source's, with a slash at its end unless it is empty.
    pub(crate) prefix: &'a [u8],
    pub(crate) cached: Option<&'a Snapshot>,
    pub(crate) limits: ScanLimits,
    pub(crate) reports: &'a Reports,
    /// By directory, the names in it that are no part of any source.
    pub(crate) skip: &'a HashMap<Vec<u8>, Vec<Vec<u8>>>,
}

/// One directory of the tree.
#[derive(Debug)]
pub(crate) struct Visited {
    pub(crate) id: u32,
    pub(crate) parent: u32,
    /// The ids of its subdirectories follow each other from here on, in the order of their names.
    pub(crate) first_child: u32,
    /// The same directory in the last scan.
    pub(crate) record: Option<u32>,
    /// Its entries; none if they are as the record has them.
    pub(crate) listing: Option<OwnListing>,
    pub(crate) rules: RulesKey,
}

/// A file whose content has to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) dir: u32,
    pub(crate) entry: u32,
    /// Bytes, when it was looked at.
    pub(crate) size: u64,
}

/// There is more than the limits allow.
#[derive(Debug)]
pub(crate) struct TooMany;

struct Job {
    id: u32,
    parent: u32,
    record: Option<u32>,
    path: Vec<u8>,
    depth: u32,
    rules: Rules,
    included: bool,
}

struct Shared<'a> {
    walk: &'a Walk<'a>,
    queue: Queue<Job>,
    next_id: AtomicU32,
    entries: AtomicU64,
    too_many: AtomicBool,
}

impl Walk<'_> {
    /// Visits every directory. The result is in no order.
    pub(crate) fn run(&self, rules: Rules, threads: usize) -> Result<(Vec<Visited>, Vec<Pending>), TooMany> {
        let included = rules.include_all();
        let record = self.cached.map(|_| 0);
        let first = Job { id: 0, parent: 0, record, path: Vec::new(), depth: 0, rules, included };
        let shared = Shared {
            walk: self,
            queue: Queue::new(first),
            next_id: AtomicU32::new(1),
            entries: AtomicU64::new(0),
            too_many: AtomicBool::new(false),
        };
        let results = on_threads(threads, || {
            let mut walker = Walker::new(&shared);
            walker.work();
            (walker.visited, walker.pending)
        });
        if shared.too_many.into_inner() {
            return Err(TooMany);
        }
        let (mut visited, mut pending) = (Vec::new(), Vec::new());
        for (more_visited, more_pending) in results {
            visited.extend(more_visited);
            pending.extend(more_pending);
        }
        Ok((visited, pending))
    }
}

/// One thread of a walk. Its buffers serve one directory after the other.
struct Walker<'a> {
    shared: &'a Shared<'a>,
    names: Names,
    seen: Vec<Seen>,
    path: Vec<u8>,
    visited: Vec<Visited>,
    pending: Vec<Pending>,
}

/// A directory whose entries were looked at.
struct Looked<'a> {
    old: Listing<'a>,
    old_first_child: u32,
    rules: Rules,
    unchanged: bool,
}

impl<'a> Walker<'a> {
    fn new(shared: &'a Shared<'a>) -> Self {
        Self {
            shared,
            names: Names::default(),
            seen: Vec::new(),
            path: Vec::new(),
            visited: Vec::new(),
            pending: Vec::new(),
        }
    }

    fn work(&mut self) {
        let _guard = StopOnPanic(&self.shared.queue);
        while let Some(job) = self.shared.queue.take() {
            match self.visit(&job) {
                Ok(children) => self.shared.queue.done(children),
                Err(TooMany) => {
                    self.shared.too_many.store(true, Ordering::Relaxed);
                    self.shared.queue.stop();
                }
            }
        }
    }

    fn visit(&mut self, job: &Job) -> Result<Vec<Job>, TooMany> {
        let looked = match self.look(job) {
            Ok(looked) => looked,
            Err(kind) => {
                if let Some(kind) = kind {
                    self.shared.walk.reports.problem(&job.path, kind);
                }
                self.keep_nothing(job);
                return Ok(Vec::new());
            }
        };
        let count = self.seen.len() as u64;
        let entries = self.shared.entries.fetch_add(count, Ordering::Relaxed) + count;
        if entries > u64::from(self.shared.walk.limits.max_entries) {
            return Err(TooMany);
        }
        let subdirs = self.seen.iter().filter(|seen| matches!(seen.what, What::Directory { .. })).count();
        // Below the bound that was just checked, so it fits.
        let first_child = self.shared.next_id.fetch_add(subdirs as u32, Ordering::Relaxed);
        let listing = if looked.unchanged { None } else { Some(self.take_down(job, looked.old)?) };
        self.visited.push(Visited {
            id: job.id,
            parent: job.parent,
            first_child,
            record: job.record,
            listing,
            rules: looked.rules.key(),
        });
        Ok(self.children(job, &looked, first_child))
    }

    /// A directory that cannot be read, or is gone, has no entries.
    fn keep_nothing(&mut self, job: &Job) {
        self.visited.push(Visited {
            id: job.id,
            parent: job.parent,
            first_child: 0,
            record: None,
            listing: Some(OwnListing::default()),
            rules: job.rules.key(),
        });
    }

    /// Fills `self.seen`. The error is empty for a directory that is gone.
    fn look(&mut self, job: &Job) -> Result<Looked<'a>, Option<ProblemKind>> {
        let walk = self.shared.walk;
        if job.depth > walk.limits.max_depth {
            return Err(Some(ProblemKind::TooDeep(walk.limits.max_depth)));
        }
        let dir = walk.root.below(&job.path).map_err(unopened)?;
        let unreadable = |errno: Errno| Some(ProblemKind::Unreadable(errno.into()));
        dir.list(&mut self.names).map_err(unreadable)?;
        self.set_path(job);
        let rules = self.rules_of(job, &dir);
        let record = job.record.and_then(|record| walk.cached?.record(record));
        let old =
            job.record.zip(walk.cached).map_or(Listing::EMPTY, |(record, cached)| cached.listing(record));
        let same_rules = record.is_some_and(|record| record.rules == rules.key());
        let skip = walk.skip.get(&job.path).map_or(&[][..], Vec::as_slice);
        Look {
            dir: &dir,
            names: &self.names,
            rules: &rules,
            included: job.included,
            old,
            same_rules,
            skip: &skip.iter().map(Vec::as_slice).collect::<Vec<_>>(),
            reports: walk.reports,
            path: &mut self.path,
            base: walk.prefix.len(),
        }
        .at_all(&mut self.seen);
        let all_old = self.seen.iter().all(|seen| match seen.what {
            What::Directory { old, .. } => old.is_some(),
            What::Unchanged { .. } => true,
            What::File { .. } | What::Symlink { .. } => false,
        });
        let unchanged = same_rules && all_old && self.seen.len() == old.subdirs.len() + old.entries.len();
        let old_first_child = record.map_or(0, |record| record.first_child);
        Ok(Looked { old, old_first_child, rules, unchanged })
    }

    fn set_path(&mut self, job: &Job) {
        self.path.clear();
        self.path.extend_from_slice(self.shared.walk.prefix);
        if !job.path.is_empty() {
            self.path.extend_from_slice(&job.path);
            self.path.push(b'/');
        }
    }

    /// The rules above this directory and those of its own ignore file.
    fn rules_of(&self, job: &Job, dir: &Opened) -> Rules {
        const NAME: &[u8] = b".gitignore";
        if !self.names.has_file(NAME) {
            return job.rules.clone();
        }
        let limit = self.shared.walk.limits.max_ignore_bytes;
        match read_ignore_file(dir, NAME, limit) {
            Ok(Some(text)) => job.rules.with_file(&text, self.path.len()),
            Ok(None) => job.rules.clone(),
            Err(kind) => {
                let path = [&self.path[self.shared.walk.prefix.len()..], NAME].concat();
                self.shared.walk.reports.problem(&path, kind);
                job.rules.clone()
            }
        }
    }

    /// The new list of a directory that is not as the last scan left it.
    fn take_down(&mut self, job: &Job, old: Listing<'_>) -> Result<OwnListing, TooMany> {
        let mut listing = OwnListing::default();
        for seen in &self.seen {
            // Every name was checked when it was seen.
            let name = std::str::from_utf8(self.names.name(seen.name)).unwrap_or_default();
            let name = listing.keep(name).ok_or(TooMany)?;
            let (content, stat) = match &seen.what {
                What::Directory { .. } => {
                    listing.subdirs.push(name);
                    continue;
                }
                What::Unchanged { old: at } => {
                    let entry = old.entries[*at];
                    let content = match entry.content {
                        Content::Symlink { target } => {
                            Content::Symlink { target: listing.keep(old.text(target)).ok_or(TooMany)? }
                        }
                        file => file,
                    };
                    (content, entry.stat)
                }
                What::File { size, executable } => {
                    let entry = listing.entries.len() as u32;
                    self.pending.push(Pending { dir: job.id, entry, size: *size });
                    let content = Content::File { hash: [0; 32], size: *size, executable: *executable };
                    (content, StatKey::UNTRUSTED)
                }
                What::Symlink { target, stat } => {
                    (Content::Symlink { target: listing.keep(target).ok_or(TooMany)? }, *stat)
                }
            };
            listing.entries.push(Entry { name, content, stat });
        }
        Ok(listing)
    }

    fn children(&self, job: &Job, looked: &Looked<'_>, first_child: u32) -> Vec<Job> {
        let directories = self.seen.iter().filter_map(|seen| match seen.what {
            What::Directory { old, included } => Some((seen.name, old, included)),
            _ => None,
        });
        let prefix = &self.path[self.shared.walk.prefix.len()..];
        let child = |(at, (name, old, included)): (usize, (usize, Option<usize>, bool))| Job {
            id: first_child + at as u32,
            parent: job.id,
            record: old.map(|old| looked.old_first_child.saturating_add(old as u32)),
            path: [prefix, self.names.name(name)].concat(),
            depth: job.depth + 1,
            rules: looked.rules.clone(),
            included,
        };
        directories.enumerate().map(child).collect()
    }
}

fn unopened(errno: Errno) -> Option<ProblemKind> {
    match errno {
        // Gone since its parent was listed: as if it never was there.
        Errno::NOENT => None,
        Errno::LOOP | Errno::NOTDIR => Some(ProblemKind::Changed),
        errno => Some(ProblemKind::Unreadable(errno.into())),
    }
}

/// Reads an ignore file. None if it is gone, or became a link: git follows no link here either.
fn read_ignore_file(dir: &Opened, name: &[u8], limit: u64) -> Result<Option<Vec<u8>>, ProblemKind> {
    let file = match dir.file(name) {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::LOOP) => return Ok(None),
        Err(errno) => return Err(ProblemKind::Unreadable(errno.into())),
    };
    let mut text = Vec::new();
    let read: io::Result<usize> = std::fs::File::from(file).take(limit + 1).read_to_end(&mut text);
    read.map_err(ProblemKind::Unreadable)?;
    if text.len() as u64 > limit {
        return Err(ProblemKind::IgnoreFileTooLarge(limit));
    }
    Ok(Some(text))
}
