//! The cache directory as a whole: with real files, real mounts and real processes.

mod aging;
mod collecting;
mod conforming;
mod crashing;
mod damage;
mod files;
mod full;
mod read_only;
mod sharing;
mod versions;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use cullet_digest::{Digest, DigestFunction};
use tempfile::TempDir;

use super::{DiskActionCache, DiskStore, OpenOptions};

const MIB: u64 = 1 << 20;

/// A store in a directory of its own, bounded to `bound` bytes.
fn bounded(bound: u64) -> (TempDir, DiskStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = reopen(dir.path(), bound);
    (dir, store)
}

fn store() -> (TempDir, DiskStore) {
    bounded(1 << 30)
}

/// As another process would see it: nothing remembered.
fn reopen(dir: &Path, bound: u64) -> DiskStore {
    DiskStore::open(&OpenOptions { bound, ..OpenOptions::new(dir) }).unwrap()
}

fn digest(text: &str) -> Digest {
    DigestFunction::Blake3.digest(text.as_bytes())
}

fn put(store: &DiskStore, text: &str) -> Digest {
    store.put_bytes_blocking(&digest(text), text.as_bytes()).unwrap();
    digest(text)
}

/// A blob of a whole number of blocks, told from others by its number.
fn block(number: u64, len: u64) -> (Digest, Vec<u8>) {
    let mut bytes = vec![0; len as usize];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    (DigestFunction::Blake3.digest(&bytes), bytes)
}

fn put_block(store: &DiskStore, number: u64, len: u64) -> Digest {
    let (digest, bytes) = block(number, len);
    store.put_bytes_blocking(&digest, &bytes).unwrap();
    digest
}

fn actions(store: &DiskStore) -> DiskActionCache {
    DiskActionCache::new(store)
}

/// Where a blob or a result is.
fn entry(dir: &Path, area: &str, digest: &Digest) -> PathBuf {
    let hex = digest.hash_hex();
    dir.join(area).join(digest.function().name()).join(&hex[..2]).join(hex)
}

fn blob_path(dir: &Path, digest: &Digest) -> PathBuf {
    entry(dir, "cas", digest)
}

/// As if it was last used so long ago.
fn age(path: &Path, minutes: u64) {
    let then = SystemTime::now() - Duration::from_secs(60 * minutes);
    let times = std::fs::FileTimes::new().set_accessed(then);
    File::options().write(true).open(path).unwrap().set_times(times).unwrap();
}

fn minutes_unused(path: &Path) -> u64 {
    let accessed = std::fs::metadata(path).unwrap().accessed().unwrap();
    SystemTime::now().duration_since(accessed).map_or(0, |unused| unused.as_secs() / 60)
}

fn flip_a_bit(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(path, bytes).unwrap();
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Another process that runs one test of this binary with `CULLET_TEST_DIR` set.
fn child(test: &str, dir: &Path) -> std::process::Child {
    std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("disk::tests::{test}"), "--nocapture"])
        .env("CULLET_TEST_DIR", dir)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap()
}

/// What [`child`] told this process; none in an ordinary run of all tests, where those children have nothing to do.
fn child_dir() -> Option<PathBuf> {
    std::env::var_os("CULLET_TEST_DIR").map(PathBuf::from)
}
