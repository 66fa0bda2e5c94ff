//! One large file, hashed by several threads.
//!
//! BLAKE3 is a tree (section 2.1 of its paper): the halves of a file that begin at multiples of a power of two
//! can be hashed apart and put together. The file is read, not mapped: a mapped file that somebody shortens
//! kills the process that looks at it.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use blake3::hazmat::{ChainingValue, HasherExt as _, Mode, merge_subtrees_non_root, merge_subtrees_root};
use rustix::io::{Errno, pread};

use crate::read::{Before, Hashed, ReadError};
use crate::walk::Pending;

/// What one thread takes at a time: a power of two, about 4 ms of work, so that no thread waits long for the
/// last part of the last file.
pub(crate) const PART: u64 = 16 << 20;

/// A file of more than one part.
pub(crate) struct Large {
    pub(crate) pending: Pending,
    /// Opened by whoever comes first, so that few are open at once.
    open: Mutex<Option<Arc<(OwnedFd, Before)>>>,
    values: Mutex<Vec<ChainingValue>>,
    left: AtomicUsize,
    failed: AtomicBool,
}

impl Large {
    /// The file has to be larger than [`PART`].
    pub(crate) fn new(pending: Pending) -> Self {
        let parts = pending.size.div_ceil(PART) as usize;
        Self {
            pending,
            open: Mutex::new(None),
            values: Mutex::new(vec![[0; 32]; parts]),
            left: AtomicUsize::new(parts),
            failed: AtomicBool::new(false),
        }
    }

    pub(crate) fn parts(&self) -> usize {
        self.pending.size.div_ceil(PART) as usize
    }

    /// Hashes one part. Whoever finishes the last one gets the result; an error means that the file has to be
    /// hashed as a whole, by one thread, which then finds out what is wrong.
    pub(crate) fn part(
        &self,
        part: usize,
        open: impl FnOnce() -> Result<OwnedFd, Errno>,
        buffer: &mut [u8],
    ) -> Option<Result<Hashed, ReadError>> {
        if !self.failed.load(Ordering::Relaxed) {
            match self.try_part(part, open, buffer) {
                Ok(value) => lock(&self.values)[part] = value,
                Err(_) => self.failed.store(true, Ordering::Relaxed),
            }
        }
        // The last to count sees what the others stored before they did.
        let last = self.left.fetch_sub(1, Ordering::AcqRel) == 1;
        last.then(|| self.finish())
    }

    fn try_part(
        &self,
        part: usize,
        open: impl FnOnce() -> Result<OwnedFd, Errno>,
        buffer: &mut [u8],
    ) -> Result<ChainingValue, ReadError> {
        let file = self.opened(open)?;
        let start = part as u64 * PART;
        let end = self.pending.size.min(start + PART);
        let mut hasher = blake3::Hasher::new();
        hasher.set_input_offset(start);
        let mut at = start;
        while at < end {
            let wanted = (buffer.len() as u64).min(end - at) as usize;
            match pread(&file.0, &mut buffer[..wanted], at) {
                Ok(0) => return Err(ReadError::Changed),
                Ok(some) => {
                    hasher.update(&buffer[..some]);
                    at += some as u64;
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(hasher.finalize_non_root())
    }

    fn opened(
        &self,
        open: impl FnOnce() -> Result<OwnedFd, Errno>,
    ) -> Result<Arc<(OwnedFd, Before)>, ReadError> {
        let mut slot = lock(&self.open);
        if let Some(file) = &*slot {
            return Ok(Arc::clone(file));
        }
        let file = open()?;
        let before = Before::look(&file)?;
        if before.stat.key.size != self.pending.size {
            return Err(ReadError::Changed);
        }
        Ok(Arc::clone(slot.insert(Arc::new((file, before)))))
    }

    fn finish(&self) -> Result<Hashed, ReadError> {
        let opened = lock(&self.open).take().ok_or(ReadError::Changed)?;
        if self.failed.load(Ordering::Relaxed) {
            return Err(ReadError::Changed);
        }
        let (file, before) = &*opened;
        let values = lock(&self.values);
        let (left, right) = values.split_at(left_half(values.len()));
        let hash = merge_subtrees_root(&merge(left), &merge(right), Mode::Hash);
        before.confirm(file, *hash.as_bytes(), self.pending.size)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Values are stored whole; a thread that panicked takes the scan with it anyway.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The left half of a tree of that many parts: the largest power of two below it.
const fn left_half(parts: usize) -> usize {
    parts.next_power_of_two() / 2
}

/// Halves each time, so it is never deeper than 64.
fn merge(values: &[ChainingValue]) -> ChainingValue {
    match values {
        [] => [0; 32],
        [one] => *one,
        many => {
            let (left, right) = many.split_at(left_half(many.len()));
            merge_subtrees_non_root(&merge(left), &merge(right), Mode::Hash)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt as _;

    use super::*;

    fn hash_parts(path: &std::path::Path, size: u64) -> Result<Hashed, ReadError> {
        let large = Large::new(Pending { dir: 0, entry: 0, size });
        let mut buffer = vec![0; 64 << 10];
        let open = || File::open(path).map(OwnedFd::from).map_err(|_| Errno::NOENT);
        // In any order.
        let mut results = (0..large.parts()).rev().filter_map(|part| large.part(part, open, &mut buffer));
        results.next().unwrap()
    }

    #[test]
    fn parts_give_the_hash_of_the_whole() {
        let dir = tempfile::tempdir().unwrap();
        for size in [PART + 1, 2 * PART, 2 * PART + 12_345, 3 * PART, 5 * PART + 7] {
            let path = dir.path().join(size.to_string());
            let file = File::create(&path).unwrap();
            for at in (0..size).step_by(1 << 20) {
                file.write_at(&at.to_le_bytes(), at).unwrap();
            }
            file.set_len(size).unwrap();
            let mut hasher = blake3::Hasher::new();
            hasher.update_reader(File::open(&path).unwrap()).unwrap();
            let hashed = hash_parts(&path, size).unwrap();
            assert_eq!(hashed.hash, *hasher.finalize().as_bytes(), "{size} bytes");
        }
    }

    #[test]
    fn a_file_of_another_size_is_not_hashed_in_parts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        File::create(&path).unwrap().set_len(PART).unwrap();
        assert!(matches!(hash_parts(&path, PART + 1), Err(ReadError::Changed)));
    }
}
