use std::fs;
use std::process::Command;
use std::sync::Arc;

use cullet_cache::disk::{DiskActionCache, DiskStore, OpenOptions};
use cullet_cache::{ActionCache as _, BlobStore as _};
use cullet_worker::{AttemptReport, Exit, Stream};

use crate::fixture::{FUNCTION, Fixture, action, run, succeeded};

#[tokio::test]
async fn a_success_is_recorded_with_everything_that_explains_it() {
    let fixture = Fixture::new();
    let action = action(&["out"]);
    let result = succeeded(fixture.run(action.clone(), |sight| sight.write("out", "x")).await);
    let encoded = action.encode(FUNCTION);
    assert_eq!(fixture.actions.get(&encoded.digest).await.unwrap(), Some(result));
    let wanted = [encoded.digest, encoded.command_digest, FUNCTION.digest(b"x")];
    assert_eq!(fixture.store.find_missing(&wanted).await.unwrap(), []);
}

#[tokio::test]
async fn what_must_not_be_recorded_is_not() {
    let fixture = Fixture::new();
    let mut action = action(&[]);
    action.do_not_cache = true;
    succeeded(fixture.run(action.clone(), |_| ()).await);
    assert_eq!(fixture.actions.get(&action.encode(FUNCTION).digest).await.unwrap(), None);
    let worker = fixture.worker(|_, _| Exit::TimedOut);
    action.do_not_cache = false;
    assert!(matches!(run(&worker, action.clone()).await, AttemptReport::TimedOut { .. }));
    assert_eq!(fixture.actions.get(&action.encode(FUNCTION).digest).await.unwrap(), None);
}

/// A small filesystem, unmounted at the end.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let args = ["-t", "tmpfs", "-o", "size=1m", "none"];
        let mounted = Command::new("mount").args(args).arg(dir.path()).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(dir))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).output();
    }
}

#[tokio::test]
async fn no_space_for_the_outputs_is_no_failure_of_the_step_and_says_what_to_do() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("skipped: this user cannot mount");
        return;
    };
    let mut fixture = Fixture::new();
    // The cache on a disk that is too small, the working directory elsewhere: what is stored is copied.
    let small = tempfile::tempdir_in(disk.0.path()).unwrap();
    let options = OpenOptions { bound: 1 << 30, ..OpenOptions::new(small.path()) };
    fixture.store = DiskStore::open(&options).unwrap();
    let worker = fixture.worker(|sight, log| {
        sight.write("out", vec![b'x'; 4 << 20]);
        log.write(Stream::Stdout, b"built\n");
        Exit::Code(0)
    });
    match run(&worker, action(&["out"])).await {
        AttemptReport::Infra { reason, result: Some(result) } => {
            assert!(reason.contains("no space left for the cache in"), "{reason}");
            assert!(reason.contains("CULLET_CACHE_SIZE"), "{reason}");
            assert_eq!(result.outputs, []);
        }
        other => panic!("{other:#?}"),
    }
    drop(worker);
    fixture.assert_clean();
}

#[tokio::test]
async fn a_log_that_cannot_be_stored_is_shortened_to_its_end() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("skipped: this user cannot mount");
        return;
    };
    let fixture = Fixture::at(tempfile::tempdir_in(disk.0.path()).unwrap());
    let worker = fixture.worker(|_, log| {
        for line in 0..400_000 {
            log.write(Stream::Stderr, format!("line {line}\n").as_bytes());
        }
        Exit::Code(1)
    });
    match run(&worker, action(&[])).await {
        AttemptReport::Failed { result, warnings, .. } => {
            let [warning] = &*warnings else { panic!("{warnings:?}") };
            assert!(warning.starts_with("only the end of standard error is kept: "), "{warning}");
            let cullet_cache::LogStream::Inline(tail) = result.stderr else { panic!("stored") };
            assert!(!tail.is_empty() && tail.len() <= 32 << 10);
        }
        other => panic!("{other:#?}"),
    }
    drop(worker);
    assert_eq!(fs::read_dir(fixture.work_dir()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_read_only_cache_is_no_failure_of_the_step_and_says_what_to_do() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("skipped: this user cannot mount");
        return;
    };
    let cache = disk.0.path().join("cache");
    drop(DiskStore::open(&OpenOptions::new(&cache)).unwrap());
    let remounted = Command::new("mount").args(["-o", "remount,ro"]).arg(disk.0.path()).output().unwrap();
    assert!(remounted.status.success());
    let mut fixture = Fixture::new();
    fixture.store = DiskStore::open(&OpenOptions::new(&cache)).unwrap();
    fixture.actions = Arc::new(DiskActionCache::new(&fixture.store));
    let worker = fixture.worker(|sight, _| {
        sight.write("out", "x");
        Exit::Code(0)
    });
    match run(&worker, action(&["out"])).await {
        AttemptReport::Infra { reason, .. } => {
            assert!(reason.contains("read-only") && reason.contains("CULLET_CACHE_DIR"), "{reason}");
        }
        other => panic!("{other:#?}"),
    }
    // Without outputs nothing is lost but the record.
    match run(&worker, action(&[])).await {
        AttemptReport::Succeeded { warnings, .. } => {
            assert!(warnings[0].starts_with("the result of 'step' is not recorded: "), "{warnings:?}");
        }
        other => panic!("{other:#?}"),
    }
    drop(worker);
    fixture.assert_clean();
}
