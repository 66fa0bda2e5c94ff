//! Logs of one process as others see them, and what becomes of them.

mod crashes;
mod trouble;

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cullet_digest::{Digest, DigestFunction};
use futures_util::TryStreamExt as _;
use tempfile::TempDir;

use super::*;
use crate::blob::SMALL;
use crate::object::{Location, ObjectBlobs, Place};
use crate::origin::Origin as _;
use crate::testing::{Kept, Stack};
use crate::{BlobStore, SharedCache, StoreError, conformance};

/// In memory: making everything durable takes no time there, and disturbs nobody.
fn directory() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap()
}

/// No files are made of anything before the store is closed.
fn held() -> Limits {
    let hour = Duration::from_secs(3600);
    Limits { idle: hour, oldest: hour, patience: Duration::ZERO, ..Limits::default() }
}

/// Files are made of everything at once.
fn eager() -> Limits {
    Limits { idle: Duration::ZERO, ..Limits::default() }
}

fn opened(dir: &Path, options: &ObjectOptions, limits: Limits) -> ObjectBlobs {
    let place = Place::open_within(&Location::Directory(dir.to_owned()), options, limits).unwrap();
    place.as_files().unwrap().0
}

/// A store that writes logs.
fn writer(dir: &Path, limits: Limits) -> ObjectBlobs {
    opened(dir, &ObjectOptions { write_ahead: true, ..ObjectOptions::new(dir) }, limits)
}

/// A store that writes files.
fn plain(dir: &Path) -> ObjectBlobs {
    opened(dir, &ObjectOptions::new(dir), Limits::default())
}

/// A store that writes nothing.
fn reader(dir: &Path) -> ObjectBlobs {
    opened(dir, &ObjectOptions { read_only: true, ..ObjectOptions::new(dir) }, Limits::default())
}

/// Blobs of different bytes and functions.
fn blobs(lens: impl IntoIterator<Item = usize>) -> Vec<(Digest, Bytes)> {
    let functions = DigestFunction::ALL.into_iter().cycle();
    let blob = |(len, function): (usize, DigestFunction)| {
        let bytes: Bytes = (0..len).map(|index| ((index * 31) ^ len) as u8).collect::<Vec<u8>>().into();
        (function.digest(&bytes), bytes)
    };
    lens.into_iter().zip(functions).map(blob).collect()
}

fn digests(blobs: &[(Digest, Bytes)]) -> Vec<Digest> {
    blobs.iter().map(|(digest, _)| *digest).collect()
}

fn file(dir: &Path, digest: &Digest) -> PathBuf {
    dir.join(crate::object::place::name_of("cas", digest))
}

/// What is in the directory of the logs.
fn logs(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir.join("wal")) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// All blobs can be read, in every way.
async fn all_there(store: &ObjectBlobs, blobs: &[(Digest, Bytes)]) {
    assert_eq!(store.find_missing(&digests(blobs)).await.unwrap(), []);
    for (digest, bytes) in blobs {
        assert_eq!(store.get(digest).await.unwrap().into_bytes().unwrap(), bytes, "{digest}");
        for offset in [0, 1, digest.size() / 2, digest.size(), digest.size() + 1] {
            let pieces = store.open(digest, offset).await.unwrap();
            let rest = pieces.try_collect::<Vec<Bytes>>().await.unwrap().concat();
            assert_eq!(rest, bytes[bytes.len().min(offset as usize)..], "{digest} {offset}");
        }
    }
}

/// Waits for what another thread does.
async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..4000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{what}");
}

fn own(store: &ObjectBlobs) -> &Own {
    store.files.logs.own.as_ref().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_writes_ahead_is_a_blob_store() {
    let stack = || {
        let dir = directory();
        let options = ObjectOptions { write_ahead: true, ..ObjectOptions::new(dir.path().join("spool")) };
        let location = dir.path().join("shared").display().to_string();
        let SharedCache { blobs, actions, .. } = SharedCache::open(&location, &options).unwrap();
        Kept(Stack { blobs, actions }, Arc::new(dir))
    };
    conformance::blob_store(stack).await;
    // As it is while nothing becomes a file, and while everything does.
    for limits in [held(), eager()] {
        let store = || {
            let dir = directory();
            Kept(writer(dir.path(), limits), Arc::new(dir))
        };
        conformance::blob_store(store).await;
    }
}

#[tokio::test]
async fn others_have_a_blob_as_soon_as_it_is_acknowledged_and_when_it_is_a_file() {
    let dir = directory();
    let (others, one) = (reader(dir.path()), writer(dir.path(), held()));
    let small = SMALL as usize;
    let (first, second) = (blobs([1, 4096, small]), blobs([2, 70_000, small - 1]));
    assert_eq!(others.find_missing(&digests(&first)).await.unwrap(), digests(&first));
    one.put_small(first.clone()).await.unwrap();
    all_there(&others, &first).await;
    one.put(&second[0].0, second[0].1.clone().into()).await.unwrap();
    one.put_small(second.clone()).await.unwrap();
    let large = blobs([small + 1]);
    one.put_small(large.clone()).await.unwrap();
    for store in [&one, &others] {
        let missing = blobs([5000, 6000]);
        let asked = [digests(&missing[..1]), digests(&second), digests(&missing[1..])].concat();
        assert_eq!(store.find_missing(&asked).await.unwrap(), digests(&missing), "in order");
        for (digest, _) in &missing {
            assert!(matches!(store.get(digest).await, Err(StoreError::NotFound { .. })));
            assert!(matches!(store.open(digest, 0).await, Err(StoreError::NotFound { .. })));
        }
        all_there(store, &first).await;
        all_there(store, &second).await;
        all_there(store, &large).await;
        assert_eq!(store.stamp(&first[0].0).await.unwrap(), None);
        assert!(store.stamp(&large[0].0).await.unwrap().is_some());
    }
    let log = std::fs::metadata(&logs(dir.path())[0]).unwrap().len();
    one.put_small(first.clone()).await.unwrap();
    assert_eq!(std::fs::metadata(&logs(dir.path())[0]).unwrap().len(), log, "nothing is written twice");
    assert!(first.iter().chain(&second).all(|(digest, _)| !file(dir.path(), digest).exists()));
    drop(one);
    assert_eq!(logs(dir.path()), [] as [PathBuf; 0]);
    for store in [&others, &reader(dir.path())] {
        all_there(store, &first).await;
        all_there(store, &second).await;
        assert!(store.stamp(&first[0].0).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn files_are_made_when_nothing_comes_when_a_log_is_old_and_when_it_is_large() {
    let hour = Duration::from_secs(3600);
    let soon = Duration::from_millis(50);
    for limits in [
        Limits { idle: soon, oldest: hour, ..held() },
        Limits { idle: hour, oldest: soon, ..held() },
        Limits { log: 1000, ..held() },
    ] {
        let dir = directory();
        let store = writer(dir.path(), limits);
        let blobs = blobs([500, 600]);
        store.put_small(blobs.clone()).await.unwrap();
        eventually("the log becomes files", || logs(dir.path()).is_empty()).await;
        all_there(&store, &blobs).await;
        assert!(blobs.iter().all(|(digest, _)| file(dir.path(), digest).exists()));
        eventually("nothing is left", || own(&store).lock().unsettled.records == 0).await;
        assert!(own(&store).lock().index.is_empty() && own(&store).lock().ids.is_empty());
    }
}

/// Every file with its bytes and its mode.
fn tree(dir: &Path) -> BTreeMap<PathBuf, (Vec<u8>, u32)> {
    let mut tree = BTreeMap::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(next) = dirs.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let found = std::fs::metadata(&path).unwrap();
            if found.is_dir() {
                dirs.push(path);
            } else {
                let name = path.strip_prefix(dir).unwrap().to_owned();
                tree.insert(name, (std::fs::read(path).unwrap(), found.mode()));
            }
        }
    }
    tree
}

#[tokio::test]
async fn in_the_end_there_are_the_files_that_there_would_be_without_logs() {
    let (with, without) = (directory(), directory());
    let blobs = blobs((1..200).map(|number| number * 131));
    let (store, other) = (writer(with.path(), eager()), plain(without.path()));
    // One is there before, and one of them twice in one call.
    for store in [&store, &other] {
        store.put_small(blobs[..20].to_vec()).await.unwrap();
        for few in blobs.chunks(16) {
            store.put_small(few.iter().chain(&few[..1]).cloned().collect()).await.unwrap();
        }
    }
    drop((store, other));
    assert_eq!(tree(with.path()), tree(without.path()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_share_logs_and_nothing_is_missed_while_they_become_files() {
    let dir = directory();
    let store = writer(dir.path(), Limits { log: 64 << 10, ..eager() });
    let other = reader(dir.path());
    let tasks = (0..8).map(|task| {
        let (store, other) = (store.clone(), other.clone());
        tokio::spawn(async move {
            for round in 0..20 {
                let blobs = blobs((0..8).map(|number| 1000 + task * 1000 + round * 8 + number));
                store.put_small(blobs.clone()).await.unwrap();
                // It is in a log, or in a file, or on its way from one to the other.
                assert_eq!(store.find_missing(&digests(&blobs)).await.unwrap(), []);
                assert_eq!(other.find_missing(&digests(&blobs)).await.unwrap(), []);
                for (digest, bytes) in &blobs {
                    assert_eq!(other.get(digest).await.unwrap().into_bytes().unwrap(), bytes);
                    assert_eq!(store.get(digest).await.unwrap().into_bytes().unwrap(), bytes);
                }
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    drop(store);
    let all: Vec<_> =
        (0..8).flat_map(|task| blobs((0..160).map(|number| 1000 + task * 1000 + number))).collect();
    all_there(&other, &all).await;
}
