//! A disk that fails once is not asked again; a full one is, when there is space.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::sync::{Arc, Mutex};

use cullet_raft_log::simulation::{Faults, FaultyDisk};
use cullet_raft_log::{Error, Log};
use support::{DIR, IDENTITY, Model, Step, entry, history, id, open, wait};

#[test]
fn after_one_failed_sync_nothing_is_acknowledged_and_nothing_acknowledged_is_lost() {
    for seed in 0..200 {
        let steps = history(seed, 12);
        let disk = FaultyDisk::new(seed);
        let failures = Arc::default();
        let log = open_remembering(&disk, &failures);
        disk.set_faults(Faults { fail_sync: Some(disk.syncs() + seed % 9), ..Faults::default() });
        let mut model = Model::default();
        let (mut attempted, mut failed) = (model.clone(), false);
        for step in &steps {
            let result = model.perform(&log, *step);
            if result.is_ok() && matches!(step, Step::Commit) {
                // Promises nothing.
                continue;
            }
            assert!(!failed || result.is_err() || model.after(*step).same(&model), "seed {seed}: {step:?}");
            if !failed {
                attempted = model.after(*step);
                failed = result.is_err();
            }
            if !failed {
                model = attempted.clone();
            }
        }
        let failures = failures.lock().unwrap();
        assert_eq!(failures.len(), usize::from(failed), "seed {seed}");
        if let Some(first) = failures.first() {
            assert!(matches!(first, Error::Io { action: "sync", .. }), "{first}");
            for error in [log.read(0..1, 1).unwrap_err(), wait(|done| log.flush(done)).unwrap_err()] {
                assert!(
                    matches!(&error, Error::Failed { first } if first.to_string().contains("sync")),
                    "{error}"
                );
            }
        }
        drop(log);
        // The page cache still has what the device does not: it must not be believed.
        let disk = disk.restart();
        let found = Model::of(&open(&disk).unwrap());
        let again = Model::of(&open(&disk.power_cut()).unwrap());
        assert!(again.same(&found), "seed {seed}");
        assert!(found.is_between(&model, &attempted), "seed {seed}: {found:?}");
    }
}

fn open_remembering(disk: &FaultyDisk, failures: &Arc<Mutex<Vec<Error>>>) -> Log {
    let told = support::remember(failures);
    Log::open(Arc::new(disk.clone()), DIR.as_ref(), IDENTITY, support::small(), told).unwrap()
}

fn fill(disk: &FaultyDisk, free: usize) {
    let used: usize = disk.paths().iter().map(|path| disk.get(path).unwrap().len()).sum();
    disk.set_faults(Faults { capacity_bytes: Some(used + free), ..Faults::default() });
}

#[test]
fn a_committed_point_is_never_behind_the_entries_that_a_full_disk_left() {
    for seed in 0..50 {
        let disk = FaultyDisk::new(seed);
        let log = open_remembering(&disk, &Arc::default());
        let entries =
            |indexes: std::ops::Range<u64>, len| indexes.map(|index| entry(index, 1, len)).collect();
        wait(|done| log.append(entries(0..4, 10), done)).unwrap();
        fill(&disk, 100 + seed as usize);
        // Too much for what is left, and known to be committed before it turns out to be lost.
        let appended = wait(|done| {
            log.append(entries(4..8, 500), done)?;
            log.save_committed(id(7, 1))
        });
        assert!(matches!(appended, Err(Error::Full { .. })), "seed {seed}: {appended:?}");
        // A vote fits, and takes the point along.
        wait(|done| log.save_vote(vec![1; 9].into(), done)).unwrap();
        drop(log);
        disk.set_faults(Faults::default());
        let log = open(&disk.restart()).unwrap();
        let last = log.last().unwrap();
        assert!(log.committed().is_none_or(|committed| committed.index <= last.index), "seed {seed}");
        log.read(0..log.committed().map_or(0, |committed| committed.index + 1), usize::MAX).unwrap();
    }
}

#[test]
fn a_full_disk_takes_nothing_back_and_works_again_when_it_has_space() {
    for seed in 0..300 {
        let disk = FaultyDisk::new(seed);
        let failures = Arc::default();
        let log = open_remembering(&disk, &failures);
        let mut model = Model::default();
        let mut full = 0;
        for (at, step) in history(seed, 30).into_iter().enumerate() {
            match at % 6 {
                2 => fill(&disk, (seed as usize * 37) % 1200),
                5 => disk.set_faults(Faults::default()),
                _ => (),
            }
            let before = model.clone();
            match model.perform(&log, step) {
                Ok(()) => model = model.after(step),
                Err(Error::Full { .. }) => full += 1,
                // A snapshot may be there although the purge after it found no space.
                Err(Error::StaleSnapshot { .. }) => (),
                Err(error) => panic!("seed {seed}: {error}"),
            }
            let found = Model::of(&log);
            let first_entries =
                matches!(step, Step::Append(..)) && found.entries.len() >= before.entries.len();
            assert!(found.same(&model) || first_entries, "seed {seed}: {step:?}");
            model = Model { term: model.term + 1, ..found };
        }
        assert!(full > 0 || seed % 3 != 0 || seed > 30, "seed {seed} was never full");
        assert_eq!(failures.lock().unwrap().len(), 0, "seed {seed}");
        // It stops while it writes where there was no space before.
        fill(&disk, 200 + seed as usize % 400);
        let full = model.perform(&log, Step::Append(3, 300));
        let model = Model { term: model.term + 1, ..Model::of(&log) };
        assert!(matches!(full, Err(Error::Full { .. })), "seed {seed}: {full:?}");
        disk.set_faults(Faults { stop_at: Some(disk.changes() + seed % 3), ..Faults::default() });
        let acknowledged = model.perform(&log, Step::Append(1, 150)).is_ok();
        drop(log);
        let after = model.after(Step::Append(1, 150));
        let found = Model::of(&open(&disk.power_cut()).unwrap());
        assert!(found.is_between(if acknowledged { &after } else { &model }, &after), "seed {seed}");
    }
}

#[test]
fn room_is_reserved_only_where_there_is_some() {
    for free in 0..800 {
        let disk = FaultyDisk::new(3);
        let config = cullet_raft_log::Config { reserve_bytes: 400, ..support::small() };
        let log = support::open_as(&disk, config.clone()).unwrap();
        fill(&disk, free);
        let written = wait(|done| log.append(vec![entry(0, 1, 100)], done));
        if free >= 250 {
            written.as_ref().unwrap();
        }
        let next = u64::from(written.is_ok());
        disk.set_faults(Faults::default());
        wait(|done| log.append(vec![entry(next, 1, 100)], done)).unwrap();
        // The next segment begins: nothing may be left behind in the first.
        for index in next + 1..20 {
            wait(|done| log.append(vec![entry(index, 1, 100)], done)).unwrap();
        }
        drop(log);
        let log = support::open_as(&disk.power_cut(), config).unwrap();
        assert_eq!(log.read(0..100, usize::MAX).unwrap().len(), 20, "{free} bytes free");
        assert_eq!(log.recovery().torn_bytes, 0);
    }
}

#[test]
fn a_truncation_that_found_no_space_is_undone() {
    let disk = FaultyDisk::new(1);
    let log = open(&disk).unwrap();
    wait(|done| log.append((0..5).map(|index| entry(index, 1, 10)).collect(), done)).unwrap();
    let before = Model::of(&log);
    fill(&disk, 20);
    let error = wait(|done| log.truncate_after(Some(id(2, 1)), done)).unwrap_err();
    assert!(matches!(error, Error::Full { .. }), "{error}");
    assert!(error.to_string().contains("free some space"));
    assert!(Model::of(&log).same(&before));
    let error = wait(|done| log.save_vote("vote".into(), done)).unwrap_err();
    assert!(matches!(error, Error::Full { .. }), "{error}");
    assert_eq!(log.vote(), None);
    disk.set_faults(Faults::default());
    wait(|done| log.save_vote("vote".into(), done)).unwrap();
    wait(|done| log.truncate_after(Some(id(2, 1)), done)).unwrap();
    drop(log);
    let log = open(&disk.power_cut()).unwrap();
    assert_eq!((log.vote().unwrap(), log.last()), ("vote".into(), Some(id(2, 1))));
}
