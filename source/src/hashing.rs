//! Reading and hashing what changed, with all threads.

use std::sync::atomic::{AtomicUsize, Ordering};

use cullet_digest::DigestFunction;

use crate::dirs::Dirs;
use crate::large::{Large, PART};
use crate::opened::Opened;
use crate::problem::{ProblemKind, Reports};
use crate::queue::on_threads;
use crate::read::{BUFFER, Hashed, ReadError, hash_file};
use crate::walk::Pending;

/// Files that a thread takes at once: the fewer, the better the threads are balanced; the more, the less they
/// meet and the more files of one directory share its opening.
const BATCH_FILES: usize = 32;
/// Bytes that a thread takes at once, for the same reasons.
const BATCH_BYTES: u64 = 4 << 20;

/// What is read from.
pub(crate) struct Hashing<'a> {
    pub(crate) root: &'a Opened,
    pub(crate) dirs: &'a Dirs,
    pub(crate) reports: &'a Reports,
    pub(crate) threads: usize,
}

enum Unit<'a> {
    Files(&'a [Pending]),
    Part { file: &'a Large, part: usize },
}

impl Hashing<'_> {
    /// Hashes every file of `pending` that can be read, in no order.
    pub(crate) fn run(&self, mut pending: Vec<Pending>) -> Vec<(Pending, Hashed)> {
        pending.sort_unstable_by_key(|file| (file.dir, file.entry));
        let in_parts = |file: &Pending| self.dirs.function == DigestFunction::Blake3 && file.size > PART;
        let large: Vec<Large> = pending.extract_if(.., |file| in_parts(file)).map(Large::new).collect();
        // Without parts, a large file that begins last would keep one thread busy while the others are idle.
        let mut whole: Vec<Pending> = pending.extract_if(.., |file| file.size > PART).collect();
        whole.sort_by_key(|file| std::cmp::Reverse(file.size));
        let parts =
            large.iter().flat_map(|file| (0..file.parts()).map(move |part| Unit::Part { file, part }));
        let units: Vec<Unit<'_>> =
            parts.chain(whole.chunks(1).map(Unit::Files)).chain(batches(&pending).map(Unit::Files)).collect();
        let next = AtomicUsize::new(0);
        let results = on_threads(self.threads.min(units.len()), || {
            let mut worker = Worker { hashing: self, buffer: vec![0; BUFFER], open: None, done: Vec::new() };
            while let Some(unit) = units.get(next.fetch_add(1, Ordering::Relaxed)) {
                worker.work(unit);
            }
            worker.done
        });
        results.into_iter().flatten().collect()
    }
}

fn batches(mut files: &[Pending]) -> impl Iterator<Item = &[Pending]> {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let full = files.iter().take(BATCH_FILES).position(|file| {
            bytes += file.size;
            bytes >= BATCH_BYTES
        });
        let count = full.map_or(BATCH_FILES, |last| last + 1).min(files.len());
        let (batch, rest) = files.split_at(count);
        files = rest;
        (!batch.is_empty()).then_some(batch)
    })
}

struct Worker<'a> {
    hashing: &'a Hashing<'a>,
    buffer: Vec<u8>,
    /// The directory of the last file: the next one is mostly in it as well.
    open: Option<(u32, Opened)>,
    done: Vec<(Pending, Hashed)>,
}

impl Worker<'_> {
    fn work(&mut self, unit: &Unit<'_>) {
        match unit {
            Unit::Files(files) => files.iter().for_each(|file| self.whole(file)),
            Unit::Part { file, part } => self.part(file, *part),
        }
    }

    fn part(&mut self, large: &Large, part: usize) {
        let dirs = self.hashing.dirs;
        let Pending { dir, entry, .. } = large.pending;
        let mut buffer = std::mem::take(&mut self.buffer);
        let open = || {
            let listing = dirs.listing(dir);
            self.directory(dir)?.file(listing.text(listing.entries[entry as usize].name).as_bytes())
        };
        let result = large.part(part, open, &mut buffer);
        self.buffer = buffer;
        match result {
            None => {}
            Some(Ok(hashed)) => self.done.push((large.pending, hashed)),
            Some(Err(_)) => self.whole(&large.pending),
        }
    }

    fn whole(&mut self, file: &Pending) {
        match self.try_whole(file) {
            Ok(hashed) => self.done.push((*file, hashed)),
            Err(error) => self.report(file, error),
        }
    }

    fn try_whole(&mut self, file: &Pending) -> Result<Hashed, ReadError> {
        let Hashing { dirs, .. } = *self.hashing;
        let listing = dirs.listing(file.dir);
        let name = listing.text(listing.entries[file.entry as usize].name);
        let mut buffer = std::mem::take(&mut self.buffer);
        let directory = self.directory(file.dir);
        let hashed = match directory {
            Ok(directory) => hash_file(dirs.function, directory, name.as_bytes(), &mut buffer),
            Err(errno) => Err(errno.into()),
        };
        self.buffer = buffer;
        hashed
    }

    fn directory(&mut self, id: u32) -> Result<&Opened, rustix::io::Errno> {
        let kept = self.open.take().filter(|(open, _)| *open == id);
        let directory = match kept {
            Some((_, directory)) => directory,
            None => self.hashing.root.below(self.hashing.dirs.path(id).as_bytes())?,
        };
        Ok(&self.open.insert((id, directory)).1)
    }

    fn report(&self, file: &Pending, error: ReadError) {
        let dirs = self.hashing.dirs;
        let listing = dirs.listing(file.dir);
        let name = listing.text(listing.entries[file.entry as usize].name);
        let directory = dirs.path(file.dir);
        let path = if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") };
        let kind = match error {
            ReadError::Changed => ProblemKind::Changed,
            ReadError::Io(error) => ProblemKind::Unreadable(error),
        };
        self.hashing.reports.problem(path.as_bytes(), kind);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_cover_everything_once_and_stay_small() {
        let file = |(entry, size)| Pending { dir: 0, entry, size };
        let files: Vec<_> = (0..100).zip([1, 5 << 20, 1000].into_iter().cycle()).map(file).collect();
        let cut: Vec<_> = batches(&files).collect();
        assert_eq!(cut.concat(), files);
        assert!(cut.iter().all(|batch| batch.len() <= BATCH_FILES && !batch.is_empty()));
        assert_eq!(cut[0].len(), 2, "a large file ends a batch");
    }
}
