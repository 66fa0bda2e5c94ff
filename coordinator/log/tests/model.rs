//! Any history gives what it says, whenever the log is opened again.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use cullet_raft_log::simulation::FaultyDisk;
use cullet_raft_log::{Config, Error};
use proptest::prelude::*;
use support::{Model, Step, entry, id, open, wait};

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..5u8, 0..900u16).prop_map(|(count, len)| Step::Append(count, len)),
        2 => any::<u8>().prop_map(Step::Vote),
        2 => (0..6u8).prop_map(Step::Truncate),
        1 => (0..6u8).prop_map(Step::Purge),
        1 => (0..3u8).prop_map(Step::Jump),
        1 => Just(Step::Commit),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn the_log_opened_after_every_step_equals_the_model(steps in prop::collection::vec(step(), 1..25), seed: u64) {
        let mut disk = FaultyDisk::new(seed);
        let mut log = open(&disk).unwrap();
        let mut model = Model::default();
        for step in steps {
            let after = model.after(step);
            model.perform(&log, step).unwrap();
            model = after;
            prop_assert!(Model::of(&log).same(&model), "before opening it again, {step:?}");
            disk = disk.power_cut();
            drop(log);
            log = open(&disk).unwrap();
            prop_assert!(Model::of(&log).same(&model), "opened again, {step:?}");
            prop_assert_eq!(log.recovery().torn_bytes, 0);
        }
    }

    #[test]
    fn a_log_that_stays_open_equals_the_model(steps in prop::collection::vec(step(), 1..60), from in 0..30u64, max in 0..3000usize) {
        let disk = FaultyDisk::new(1);
        let log = open(&disk).unwrap();
        let mut model = Model::default();
        for step in steps {
            let after = model.after(step);
            model.perform(&log, step).unwrap();
            model = after;
            prop_assert!(Model::of(&log).same(&model), "{step:?}");
        }
        let first = log.purged().map_or(0, |id| id.index + 1);
        let found = log.read(first + from..first + from + 10, max).unwrap();
        let expected: Vec<_> = model.entries.range(first + from..first + from + 10).map(|pair| pair.1.clone()).collect();
        prop_assert_eq!(&found[..], &expected[..found.len()]);
        prop_assert!(expected.is_empty() || !found.is_empty());
        let bytes: usize = found.iter().skip(1).map(|entry| entry.payload.len()).sum();
        prop_assert!(bytes <= max);
    }
}

#[test]
fn segments_go_when_they_are_purged_and_their_vote_stays() {
    let disk = FaultyDisk::new(1);
    let log = open(&disk).unwrap();
    wait(|done| log.save_vote("the vote".into(), done)).unwrap();
    for index in 0..100 {
        wait(|done| log.append(vec![entry(index, 1, 300)], done)).unwrap();
    }
    log.save_committed(id(97, 1)).unwrap();
    let segments = |disk: &FaultyDisk| {
        disk.paths()
            .iter()
            .filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
            .count()
    };
    assert!(segments(&disk) > 10);
    let error = wait(|done| log.purge(id(98, 1), done)).unwrap_err();
    assert!(matches!(error, Error::NotCovered { index: 98, newest: None }), "{error}");
    log.write_snapshot(id(98, 1), "".into()).unwrap().finish().unwrap();
    wait(|done| log.purge(id(98, 1), done)).unwrap();
    assert_eq!(segments(&disk), 1);
    drop(log);
    let log = open(&disk.power_cut()).unwrap();
    assert_eq!(log.vote().unwrap(), "the vote");
    assert_eq!((log.purged(), log.last()), (Some(id(98, 1)), Some(id(99, 1))));
    assert_eq!(log.committed(), Some(id(97, 1)));
    assert!(matches!(log.read(98..100, 1), Err(Error::Purged { index: 98, first: 99 })));
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let disk = FaultyDisk::new(1);
    let log = open(&disk).unwrap();
    let append = |index| wait(|done| log.append(vec![entry(index, 1, 5)], done));
    assert!(matches!(append(1), Err(Error::Gap { expected: 0, given: 1 })));
    append(0).unwrap();
    assert!(matches!(append(0), Err(Error::Gap { expected: 1, given: 0 })));
    let hole = vec![entry(1, 1, 5), entry(3, 1, 5)];
    assert!(matches!(wait(|done| log.append(hole, done)), Err(Error::Gap { expected: 2, given: 3 })));
    let large = cullet_raft_log::Entry { id: id(1, 1), payload: vec![0; 65 << 20].into() };
    assert!(matches!(wait(|done| log.append(vec![large], done)), Err(Error::TooLarge { .. })));
    assert_eq!(log.last(), Some(id(0, 1)));
    append(1).unwrap();
}

#[test]
fn one_sync_covers_what_waits_and_nothing_needs_none() {
    let disk = FaultyDisk::new(1);
    let config = Config { batch_bytes: 1 << 20, ..support::small() };
    let log = support::open_with(std::sync::Arc::new(disk.clone()), support::DIR.as_ref(), config).unwrap();
    let before = disk.syncs();
    wait(|done| log.append((0..500).map(|index| entry(index, 1, 1)).collect(), done)).unwrap();
    assert_eq!(disk.syncs() - before, 1);
    wait(|done| log.flush(done)).unwrap();
    log.save_committed(id(3, 1)).unwrap();
    assert_eq!(disk.syncs() - before, 1);
    assert_eq!((log.statistics().frames, log.statistics().operations), (1, 2));
}
