//! What is evicted, in which order, and what never is.

use std::fs;
use std::time::Instant;

use super::*;
use crate::{StoreError, conformance};

const BLOCK: u64 = 4096;

#[test]
fn the_longest_unused_goes_first() {
    let (dir, store) = store();
    let digests: Vec<Digest> = (0..10).map(|number| put_block(&store, number, BLOCK)).collect();
    // Used in an order of their own.
    let minutes = [50, 90, 20, 70, 30, 100, 10, 80, 40, 60];
    for (digest, minutes) in digests.iter().zip(minutes) {
        age(&blob_path(dir.path(), digest), minutes);
    }
    let report = store.gc(4 * BLOCK).unwrap();
    assert_eq!((report.bytes_before, report.bytes_after), (10 * BLOCK, 4 * BLOCK));
    assert_eq!(report.evicted_blobs, 6);
    for (digest, minutes) in digests.iter().zip(minutes) {
        assert_eq!(store.has(digest).unwrap(), minutes <= 40, "{minutes}");
    }
}

#[test]
fn a_result_goes_before_its_blobs_and_leaves_a_tombstone() {
    let (dir, store) = store();
    let actions = actions(&store);
    let blob = put_block(&store, 1, BLOCK);
    actions.put_blocking(&digest("a"), &conformance::result("")).unwrap();
    age(&blob_path(dir.path(), &blob), 101);
    age(&entry(dir.path(), "ac", &digest("a")), 100);
    assert_eq!(store.tombstone(&digest("a")).unwrap(), None);
    let report = store.gc(BLOCK).unwrap();
    assert_eq!((report.evicted_results, report.evicted_blobs), (1, 0));
    let buried = store.tombstone(&digest("a")).unwrap().unwrap();
    assert!(buried.elapsed().unwrap() < Duration::from_secs(60));
    assert_eq!(store.tombstone(&digest("b")).unwrap(), None);
    // A torn and a damaged record are no tombstones, and the next one finds its place.
    let path = dir.path().join("gc/tombstones");
    let mut bytes = fs::read(&path).unwrap();
    bytes[10] ^= 1;
    bytes.push(7);
    fs::write(&path, bytes).unwrap();
    assert_eq!(store.tombstone(&digest("a")).unwrap(), None);
    actions.put_blocking(&digest("c"), &conformance::result("")).unwrap();
    store.gc(0).unwrap();
    assert!(store.tombstone(&digest("c")).unwrap().is_some());
}

#[test]
fn tombstones_are_bounded_and_the_newest_stay() {
    let (_dir, store) = store();
    let bury = |from: u32, to: u32| {
        let tombstone = |number: u32| {
            let hash = *digest(&number.to_string()).hash();
            super::super::tombstones::Tombstone::now(DigestFunction::Blake3, hash)
        };
        store.disk.bury(&(from..to).map(tombstone).collect::<Vec<_>>());
    };
    bury(0, 60_000);
    bury(60_000, 70_000);
    assert!(store.tombstone(&digest("69999")).unwrap().is_some());
    assert!(store.tombstone(&digest("40000")).unwrap().is_some());
    assert_eq!(store.tombstone(&digest("100")).unwrap(), None);
    assert!(fs::metadata(store.dir().join("gc/tombstones")).unwrap().len() <= 48 << 16);
}

#[test]
fn what_a_live_run_used_stays_and_the_rest_goes() {
    let (dir, store) = store();
    let [used, unused] = [1, 2].map(|number| put_block(&store, number, BLOCK));
    for digest in [used, unused] {
        age(&blob_path(dir.path(), &digest), 30);
    }
    let run = store.live_run().unwrap();
    assert!(store.has(&used).unwrap());
    let made = put_block(&store, 3, BLOCK);
    // Another process collects.
    let report = reopen(dir.path(), 1 << 30).gc(0).unwrap();
    assert_eq!((report.evicted_blobs, report.bytes_after), (1, 2 * BLOCK));
    assert!(store.has(&used).unwrap() && store.has(&made).unwrap() && !store.has(&unused).unwrap());
    drop(run);
    assert_eq!(store.gc(0).unwrap().bytes_after, 0);
}

#[test]
fn the_oldest_of_several_runs_counts() {
    let (_dir, store) = bounded(MIB);
    put_block(&store, 1, 600 << 10);
    let old = store.live_run().unwrap();
    let used_by_old = put_block(&store, 2, BLOCK);
    let new = store.live_run().unwrap();
    store.gc(0).unwrap();
    assert!(store.has(&used_by_old).unwrap());
    drop(old);
    drop(new);
    store.gc(0).unwrap();
    assert!(!store.has(&used_by_old).unwrap());
}

#[test]
fn a_wrong_counter_is_put_right() {
    let (dir, store) = store();
    for number in 0..5 {
        put_block(&store, number, BLOCK);
    }
    drop(store);
    let counter = dir.path().join("gc/size");
    for bytes in [&b""[..], b"garbage", &[0xff; 16]] {
        fs::write(&counter, bytes).unwrap();
        let store = reopen(dir.path(), 1 << 30);
        put_block(&store, 5, BLOCK);
        assert_eq!(store.disk.total().unwrap(), 6 * BLOCK);
        drop(store);
        assert_eq!(reopen(dir.path(), 1 << 30).disk.usage.total(), Some(6 * BLOCK));
    }
    fs::remove_file(&counter).unwrap();
    assert_eq!(reopen(dir.path(), 1 << 30).disk.total().unwrap(), 6 * BLOCK);
}

#[test]
fn a_cache_never_grows_past_its_bound_and_a_tenth() {
    let (_dir, store) = bounded(MIB);
    for number in 0..2000 {
        put_block(&store, number, BLOCK);
        if number % 50 == 0 {
            let stats = store.stats().unwrap();
            assert!(stats.blob_bytes <= MIB + MIB / 10, "{number}: {stats:?}");
        }
    }
    let (newest, _) = block(1999, BLOCK);
    assert!(store.has(&newest).unwrap());
}

#[test]
fn when_live_runs_hold_everything_there_is_no_space_and_it_says_so_at_once() {
    let (_dir, store) = bounded(MIB);
    let run = store.live_run().unwrap();
    let mut number = 0;
    let error = loop {
        let (digest, bytes) = block(number, BLOCK);
        match store.put_bytes_blocking(&digest, &bytes) {
            Ok(()) => number += 1,
            Err(error) => break error,
        }
        assert!(number * BLOCK <= MIB + MIB / 10);
    };
    assert!(matches!(error, StoreError::OverBound { .. }) && number * BLOCK >= MIB, "{number}: {error}");
    let start = Instant::now();
    for number in 1000..1100 {
        let (digest, bytes) = block(number, BLOCK);
        assert!(store.put_bytes_blocking(&digest, &bytes).is_err());
    }
    assert!(start.elapsed() < Duration::from_secs(1), "it does not scan for each");
    for number in 0..number {
        assert!(store.has(&block(number, BLOCK).0).unwrap(), "what the run made is there");
    }
    drop(run);
    std::thread::sleep(Duration::from_millis(1100));
    put_block(&store, 5000, BLOCK);
}

#[test]
fn what_could_never_fit_evicts_nothing() {
    let (_dir, store) = bounded(MIB);
    let kept = put(&store, "kept");
    let (digest, bytes) = block(1, 3 * MIB);
    assert!(matches!(store.put_bytes_blocking(&digest, &bytes), Err(StoreError::OverBound { .. })));
    assert!(store.has(&kept).unwrap());
}

#[test]
fn clear_empties_all_but_not_under_the_feet_of_others() {
    let (dir, store) = store();
    let blob = put(&store, "blob");
    actions(&store).put_blocking(&digest("a"), &conformance::result("")).unwrap();
    let other = reopen(dir.path(), 1 << 30);
    let run = other.live_run().unwrap();
    assert!(matches!(store.clear(false), Err(StoreError::InUse { runs: 1, .. })));
    assert!(store.has(&blob).unwrap());
    other.clear(false).unwrap();
    assert!(!store.has(&blob).unwrap(), "one's own run is no obstacle");
    put(&store, "blob");
    store.clear(true).unwrap();
    let stats = store.stats().unwrap();
    assert_eq!((stats.blobs, stats.results, stats.live_runs), (0, 0, 1));
    drop(run);
    put(&store, "blob");
    assert_eq!(store.stats().unwrap().blobs, 1, "it can be used as before");
}
