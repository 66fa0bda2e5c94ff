//! Snapshots are there whole or not at all.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::path::PathBuf;

use cullet_raft_log::simulation::{Faults, FaultyDisk};
use cullet_raft_log::{Error, Log, SnapshotInfo};
use support::{entry, id, open, wait};

fn with_entries(disk: &FaultyDisk, count: u64) -> Log {
    let log = open(disk).unwrap();
    wait(|done| log.append((0..count).map(|index| entry(index, 1, 10)).collect(), done)).unwrap();
    log
}

fn write(log: &Log, index: u64, data: &[u8]) -> SnapshotInfo {
    let mut writer = log.write_snapshot(id(index, 1), format!("meta {index}").into()).unwrap();
    data.chunks(100_001).for_each(|piece| writer.write(piece).unwrap());
    writer.finish().unwrap()
}

fn read(log: &Log) -> Vec<u8> {
    let mut reader = log.read_snapshot().unwrap().unwrap();
    let mut data = Vec::new();
    while let Some(chunk) = reader.next_chunk().unwrap() {
        data.extend_from_slice(&chunk);
    }
    assert_eq!(reader.next_chunk().unwrap(), None);
    data
}

fn files(disk: &FaultyDisk) -> Vec<PathBuf> {
    let is_snapshot = |path: &PathBuf| path.to_string_lossy().contains("snap");
    disk.paths().into_iter().filter(is_snapshot).collect()
}

#[test]
fn the_newest_two_are_kept_and_read_as_they_were_written() {
    let disk = FaultyDisk::new(1);
    let log = with_entries(&disk, 10);
    assert!(log.newest_snapshot().is_none() && log.read_snapshot().unwrap().is_none());
    let large: Vec<u8> = (0..3_000_000u32).map(|at| (at / 7) as u8).collect();
    for (index, data) in [(2, &b""[..]), (3, b"three"), (3, b"again"), (7, &large)] {
        let info = write(&log, index, data);
        assert_eq!(log.newest_snapshot(), Some(info.clone()));
        assert_eq!(info.data_bytes, data.len() as u64);
        assert_eq!(read(&log), data);
    }
    assert_eq!(files(&disk).len(), 2);
    let mut late = log.write_snapshot(id(5, 1), "".into()).unwrap();
    late.write(b"late").unwrap();
    assert!(matches!(late.finish(), Err(Error::StaleSnapshot { index: 5, newest: 7 })));
    drop(log);
    let log = open(&disk.power_cut()).unwrap();
    let newest = log.newest_snapshot().unwrap();
    assert_eq!((newest.last, &newest.meta[..]), (id(7, 1), &b"meta 7"[..]));
    assert_eq!(read(&log), large);
}

#[test]
fn one_that_is_not_finished_leaves_nothing() {
    let disk = FaultyDisk::new(1);
    let log = with_entries(&disk, 10);
    let mut writer = log.write_snapshot(id(2, 1), "".into()).unwrap();
    writer.write(&[1; 5_000_000]).unwrap();
    assert_eq!(files(&disk).len(), 1);
    drop(writer);
    assert_eq!(files(&disk).len(), 0);
    let writer = log.write_snapshot(id(2, 1), "".into()).unwrap();
    let cut = disk.power_cut();
    drop((writer, log));
    let log = open(&cut).unwrap();
    assert!(log.newest_snapshot().is_none() && files(&cut).is_empty());
}

#[test]
fn a_full_disk_ends_the_snapshot_and_not_the_log() {
    let disk = FaultyDisk::new(1);
    let log = with_entries(&disk, 10);
    disk.set_faults(Faults { capacity_bytes: Some(1_500_000), ..Faults::default() });
    let mut writer = log.write_snapshot(id(2, 1), "".into()).unwrap();
    let error = writer.write(&[1; 5_000_000]).unwrap_err();
    assert!(matches!(error, Error::Full { .. }), "{error}");
    drop(writer);
    wait(|done| log.append(vec![entry(10, 1, 10)], done)).unwrap();
    assert_eq!(write(&log, 3, b"small").last, id(3, 1));
}

#[test]
fn a_damaged_one_is_passed_over_only_where_the_log_has_everything_since() {
    let disk = FaultyDisk::new(1);
    let log = with_entries(&disk, 10);
    write(&log, 3, b"three");
    let newest = write(&log, 6, b"six");
    wait(|done| log.purge(id(3, 1), done)).unwrap();
    drop(log);
    let header = 56 + 2 + 6 + 4;
    for (purge, truncate, offset, opens) in [
        (3, 9, header + 9, true),
        (3, 6, header + 9, true),
        (3, 5, header + 9, false),
        (4, 9, header + 9, false),
        (3, 9, 50, false),
    ] {
        let disk = disk.restart();
        let log = open(&disk).unwrap();
        wait(|done| log.purge(id(purge, 1), done)).unwrap();
        wait(|done| log.truncate_after(Some(id(truncate, 1)), done)).unwrap();
        drop(log);
        disk.flip_bit(&newest.path, offset, 1).unwrap();
        let context = format!("purged to {purge}, truncated to {truncate}, damaged at {offset}");
        match open(&disk) {
            Ok(log) => {
                assert!(opens, "{context}");
                assert_eq!(log.newest_snapshot().unwrap().last, id(3, 1), "{context}");
                assert_eq!(read(&log), b"three");
                assert!(log.recovery().damaged_snapshot.is_some());
                write(&log, 6, b"six again");
                drop(log);
                assert_eq!(read(&open(&disk.power_cut()).unwrap()), b"six again");
            }
            Err(error) => assert!(!opens && error.is_corrupt(), "{context}: {error}"),
        }
    }
}
