//! Attempts that nobody wants any more while their inputs are being made.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cullet_cache::StoreError;
use cullet_cache::disk::DiskStore;
use cullet_digest::{Digest, DigestFunction};
use cullet_worker::logs::NoEvents;
use cullet_worker::{Attempt, AttemptReport, Exit, LocalFiles, Stores, Worker};
use tokio_util::sync::CancellationToken;

use crate::fixture::{Entry, Fixture, action, attempt};

/// A cache on a slow disk.
#[derive(Debug)]
struct Slow(DiskStore);

impl LocalFiles for Slow {
    fn link_to(&self, digest: &Digest, executable: bool, dest: &Path) -> Result<(), StoreError> {
        std::thread::sleep(Duration::from_millis(10));
        self.0.link_to(digest, executable, dest)
    }

    fn adopt_file(&self, path: &Path, function: DigestFunction) -> Result<Digest, StoreError> {
        self.0.adopt_file(path, function)
    }

    fn adopt_copy(&self, path: &Path, function: DigestFunction) -> Result<Digest, StoreError> {
        self.0.adopt_copy(path, function)
    }

    fn ingest_copy(&self, expected: &Digest, source: &Path) -> Result<(), StoreError> {
        self.0.ingest_copy(expected, source)
    }
}

/// A worker that needs ten seconds for the inputs of the attempt.
async fn slow(fixture: &Fixture) -> (Worker, Attempt) {
    let names: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
    let entries: Vec<_> = names.iter().map(|name| (&**name, Entry::File("same"))).collect();
    let mut action = action(&[]);
    action.input_root = fixture.directory(&entries).await;
    let stores = Stores { files: Arc::new(Slow(fixture.store.clone())), ..fixture.stores() };
    let worker = fixture.worker_from(stores, |_, _| Exit::Code(0));
    (worker, attempt(action))
}

fn input_roots(fixture: &Fixture) -> usize {
    let sessions = fs::read_dir(fixture.work_dir()).unwrap().map(|entry| entry.unwrap().path());
    sessions.filter_map(|path| fs::read_dir(path.join("inputs")).ok()).map(Iterator::count).sum()
}

#[tokio::test]
async fn a_cancelled_attempt_leaves_nothing_of_its_inputs() {
    let fixture = Fixture::new();
    let (worker, attempt) = slow(&fixture).await;
    let (cancel, begun) = (CancellationToken::new(), Instant::now());
    let stop = async {
        while input_roots(&fixture) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        cancel.cancel();
    };
    let (report, ()) = tokio::join!(worker.run(attempt, NoEvents, cancel.clone()), stop);
    assert!(matches!(report, AttemptReport::Cancelled { result: None }), "{report:?}");
    assert_eq!(input_roots(&fixture), 0);
    drop(worker);
    fixture.assert_clean();
    assert!(begun.elapsed() < Duration::from_secs(8), "the inputs were made to the end");
}

#[tokio::test]
async fn a_dropped_attempt_leaves_nothing_of_its_inputs() {
    let fixture = Fixture::new();
    let (worker, attempt) = slow(&fixture).await;
    let begun = Instant::now();
    let run = worker.run(attempt, NoEvents, CancellationToken::new());
    assert!(tokio::time::timeout(Duration::from_millis(100), run).await.is_err());
    drop(worker);
    while fs::read_dir(fixture.work_dir()).unwrap().next().is_some() {
        assert!(begun.elapsed() < Duration::from_secs(8), "the inputs are made to the end");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
