//! Several processes at once.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::conformance;

const SHARED: u64 = 400;

/// Stores and reads the same blobs as its twin.
#[test]
fn child_stores_the_shared_blobs() {
    let Some(dir) = child_dir() else { return };
    let store = reopen(&dir, 1 << 30);
    let actions = actions(&store);
    for number in 0..SHARED {
        let digest = put_block(&store, number, 5_000);
        actions.put_blocking(&digest, &conformance::result(&number.to_string())).unwrap();
        let blob = store.get_blocking(&digest).unwrap().into_bytes().unwrap();
        assert_eq!(DigestFunction::Blake3.digest(&blob), digest);
        let found = actions.get_blocking(&digest).unwrap();
        assert_eq!(found, Some(conformance::result(&number.to_string())));
    }
}

#[test]
fn two_processes_store_the_same_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let children = [(); 3].map(|()| child("sharing::child_stores_the_shared_blobs", dir.path()));
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let report = reopen(dir.path(), 1 << 30).verify(false, &mut |_| {}).unwrap();
    assert_eq!((report.blobs, report.results, report.damaged.len()), (SHARED, SHARED, 0));
}

/// A run that takes what it finds, makes what it misses, and must then keep it all.
#[test]
fn child_runs_beside_collectors() {
    let Some(dir) = child_dir() else { return };
    for round in 0..15 {
        let store = reopen(&dir, 2 * MIB);
        run_beside_collectors(&store, round);
    }
}

/// Ages what it will use, so that the collector is after it, then uses it.
fn run_beside_collectors(store: &DiskStore, round: u64) {
    let _run = store.live_run().unwrap();
    let wanted = |step: u64| (round * 7 + step) % 60;
    let mut held = Vec::new();
    for step in 0..30 {
        let (digest, bytes) = block(wanted(step), 4096);
        if !store.has(&digest).unwrap() {
            store.put_bytes_blocking(&digest, &bytes).unwrap();
        }
        held.push(digest);
        for digest in &held {
            assert!(store.has(digest).unwrap(), "round {round}, step {step}: lost {digest}");
        }
    }
    for digest in &held {
        assert_eq!(store.get_blocking(digest).unwrap().len(), 4096, "lost {digest}");
    }
}

/// Makes blobs look old between runs, which is what time would do.
fn age_all(dir: &Path) {
    for number in 0..60 {
        let path = blob_path(dir, &block(number, 4096).0);
        let Ok(found) = std::fs::metadata(&path) else { continue };
        // Never what a run has just used: only time itself makes that old, and not within a run.
        let unused = found.accessed().unwrap().elapsed().unwrap_or_default();
        if unused > Duration::from_secs(2) {
            let then = SystemTime::now() - Duration::from_secs(3600);
            let times = std::fs::FileTimes::new().set_accessed(then);
            let _ = File::options().write(true).open(&path).and_then(|file| file.set_times(times));
        }
    }
}

#[test]
fn a_collector_never_takes_what_a_live_run_used() {
    let dir = tempfile::tempdir().unwrap();
    let store = reopen(dir.path(), 2 * MIB);
    for number in 0..60 {
        put_block(&store, number, 4096);
        age(&blob_path(dir.path(), &block(number, 4096).0), 60);
    }
    let done = AtomicBool::new(false);
    let evicted = std::thread::scope(|scope| {
        let collector = scope.spawn(|| {
            let mut evicted = 0;
            while !done.load(Ordering::Relaxed) {
                evicted += reopen(dir.path(), 2 * MIB).gc(0).unwrap().evicted_blobs;
            }
            evicted
        });
        let runner = scope.spawn(|| {
            for round in 100..115 {
                run_beside_collectors(&reopen(dir.path(), 2 * MIB), round);
                age_all(dir.path());
            }
        });
        let mut child = child("sharing::child_runs_beside_collectors", dir.path());
        let child_succeeded = child.wait().unwrap().success();
        let runner_succeeded = runner.join().is_ok();
        done.store(true, Ordering::Relaxed);
        assert!(child_succeeded && runner_succeeded);
        collector.join().unwrap()
    });
    assert!(evicted > 50, "the collector had something to do: {evicted}");
    assert_eq!(store.verify(false, &mut |_| {}).unwrap().damaged, []);
}
