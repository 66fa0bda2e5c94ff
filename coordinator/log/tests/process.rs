//! On the machine's own disk, with the writer's thread and processes that are killed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cullet_raft_log::{Config, Error, Log, RealDisk};
use support::{entry, id, open_with, told, wait};

const CHILD_DIR: &str = "CULLET_RAFT_LOG_TEST_DIR";

fn open(dir: &Path) -> Log {
    let config = Config { segment_bytes: 100_000, cache_bytes: 20_000, ..Config::default() };
    let opened = || match open_with(Arc::new(RealDisk), dir, config.clone()) {
        // A process that another test is starting shares this one's locks until it runs its own program.
        Err(Error::Locked { .. }) => {
            std::thread::sleep(Duration::from_millis(10));
            None
        }
        opened => Some(opened.unwrap()),
    };
    (0..500).find_map(|_| opened()).unwrap()
}

#[test]
fn many_threads_share_syncs_and_all_are_told() {
    const THREADS: u64 = 16;
    const EACH: u64 = 200;
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    // Indexes have to be given in the order of the calls.
    let turn = Mutex::new(());
    let acknowledged = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..EACH {
                    let (done, receiver) = told();
                    let held = turn.lock().unwrap();
                    let next = log.last().map_or(0, |id| id.index + 1);
                    log.append(vec![entry(next, 1, 200)], done).unwrap();
                    drop(held);
                    assert_eq!(log.read(next..next + 1, 0).unwrap(), [entry(next, 1, 200)]);
                    receiver.recv().unwrap().unwrap();
                    acknowledged.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(acknowledged.into_inner(), THREADS * EACH);
    let statistics = log.statistics();
    assert_eq!((statistics.operations, statistics.waiting_bytes), (THREADS * EACH, 0));
    assert!(statistics.frames < THREADS * EACH, "{statistics:?}: every operation had a sync of its own");
    drop(log);
    let log = open(dir.path());
    let entries = log.read(0..u64::MAX, usize::MAX).unwrap();
    assert!(entries.iter().map(|found| found.id.index).eq(0..THREADS * EACH));
    assert!(entries.iter().all(|found| *found == entry(found.id.index, 1, 200)));
}

#[test]
fn dropping_the_log_writes_what_is_queued() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let (done, receiver) = told();
    log.append((0..50).map(|index| entry(index, 1, 10)).collect(), done).unwrap();
    log.save_committed(id(49, 1)).unwrap();
    drop(log);
    receiver.try_recv().unwrap().unwrap();
    let log = open(dir.path());
    assert_eq!((log.last(), log.committed()), (Some(id(49, 1)), Some(id(49, 1))));
}

#[test]
fn a_callback_that_panics_ends_the_log_instead_of_hanging_it() {
    let dir = tempfile::tempdir().unwrap();
    let failures = Arc::default();
    let told = support::remember(&failures);
    let log = Log::open(Arc::new(RealDisk), dir.path(), support::IDENTITY, Config::default(), told).unwrap();
    log.flush(Box::new(|_| panic!("this test's own"))).unwrap();
    let patience = (0..2000).take_while(|_| log.read(0..0, 0).is_ok());
    patience.for_each(|_| std::thread::sleep(std::time::Duration::from_millis(5)));
    let result = wait(|done| log.flush(done));
    assert!(matches!(result, Err(Error::Failed { .. })), "{result:?}");
    assert_eq!(failures.lock().unwrap().len(), 1);
}

#[test]
#[ignore = "run by the test below"]
fn appends_until_it_is_killed() {
    let Some(dir) = std::env::var_os(CHILD_DIR) else { return };
    let log = open(dir.as_ref());
    let mut next = log.last().map_or(0, |id| id.index + 1);
    loop {
        wait(|done| log.append(vec![entry(next, 1, 150)], done)).unwrap();
        if next.is_multiple_of(10) {
            wait(|done| log.save_vote(next.to_string().into(), done)).unwrap();
        }
        println!("acknowledged {next}");
        next += 1;
    }
}

#[test]
fn a_killed_process_loses_nothing_that_it_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..5 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "appends_until_it_is_killed", "--ignored", "--nocapture"])
            .env(CHILD_DIR, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let number =
            |line: String| line.rsplit_once("acknowledged ").and_then(|(_, number)| number.parse().ok());
        let enough = lines.by_ref().filter_map(number).nth(100 + 37 * round);
        if round == 0 {
            let second = open_with(Arc::new(RealDisk), dir.path(), Config::default());
            assert!(matches!(second, Err(Error::Locked { .. })));
        }
        child.kill().unwrap();
        let last: u64 = lines.filter_map(number).last().or(enough).unwrap();
        child.wait().unwrap();
        let log = open(dir.path());
        let entries = log.read(0..u64::MAX, usize::MAX).unwrap();
        assert!(entries.len() as u64 > last, "{} entries, {last} was acknowledged", entries.len());
        assert!((0..).zip(&entries).all(|(index, found)| *found == entry(index, 1, 150)));
        let vote: u64 = std::str::from_utf8(&log.vote().unwrap()).unwrap().parse().unwrap();
        assert!(vote >= last / 10 * 10, "vote {vote}, {last} was acknowledged");
    }
}
