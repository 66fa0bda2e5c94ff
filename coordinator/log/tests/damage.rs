//! Damage is told from a power cut, wherever it is.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cullet_raft_log::simulation::FaultyDisk;
use cullet_raft_log::{ClusterId, Config, Error, Identity, Log};
use support::{DIR, Model, entry, id, open, open_as, wait};

/// A log of several segments with a purge point, votes and two snapshots, and its files without the lock.
fn planted() -> (FaultyDisk, Model) {
    let disk = FaultyDisk::new(3);
    let log = open(&disk).unwrap();
    wait(|done| log.save_vote("vote 1".into(), done)).unwrap();
    for index in 0..8 {
        wait(|done| log.append(vec![entry(index, 1, 300)], done)).unwrap();
    }
    for index in [1, 3] {
        let mut snapshot = log.write_snapshot(id(index, 1), "meta".into()).unwrap();
        snapshot.write(b"state").unwrap();
        snapshot.finish().unwrap();
    }
    wait(|done| log.purge(id(2, 1), done)).unwrap();
    wait(|done| log.truncate_after(Some(id(6, 1)), done)).unwrap();
    wait(|done| log.append(vec![entry(7, 2, 40), entry(8, 2, 0)], done)).unwrap();
    wait(|done| log.save_vote("vote 2".into(), done)).unwrap();
    let model = Model::of(&log);
    drop(log);
    (disk.power_cut(), model)
}

fn segments(disk: &FaultyDisk) -> Vec<PathBuf> {
    let is_segment = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "seg");
    disk.paths().into_iter().filter(is_segment).collect()
}

fn assert_corrupt(disk: &FaultyDisk, path: &Path, context: &str) {
    match open(disk) {
        Err(Error::Corrupt { path: named, .. }) => assert_eq!(named, path, "{context}"),
        Err(error) => panic!("{context}: {error}"),
        Ok(_) => panic!("{context}: opened"),
    }
}

#[test]
fn every_bit_of_every_file_is_checked() {
    let (disk, model) = planted();
    assert_eq!(segments(&disk).len(), 2);
    let mut unused = 0;
    for path in disk.paths() {
        let is_older_snapshot = path.to_string_lossy().contains("snapshot-00000000000000000001-");
        for offset in 0..disk.get(&path).unwrap().len() {
            for bit in 0..8 {
                let context = format!("{} byte {offset} bit {bit}", path.display());
                let disk = disk.power_cut();
                disk.flip_bit(&path, offset, bit).unwrap();
                if is_older_snapshot {
                    // Nobody needs it while the newest is good.
                    assert!(Model::of(&open(&disk).unwrap()).same(&model), "{context}");
                    unused += 1;
                } else {
                    assert_corrupt(&disk, &path, &context);
                }
            }
        }
    }
    assert!(unused > 0);
}

#[test]
fn a_tail_torn_at_any_length_is_cut_off() {
    let disk = FaultyDisk::new(3);
    let log = open(&disk).unwrap();
    let path = segments(&disk)[0].clone();
    let len = |disk: &FaultyDisk| disk.get(&path).unwrap().len();
    let beginning = len(&disk);
    let mut ends = vec![beginning];
    for index in 0..3 {
        wait(|done| log.append(vec![entry(index, 1, 250)], done)).unwrap();
        ends.push(len(&disk));
    }
    drop(log);
    let whole = disk.get(&path).unwrap();
    for cut in 0..whole.len() {
        let disk = disk.power_cut();
        disk.put(&path, &whole[..cut]).unwrap();
        if cut < beginning {
            // The first frame was durable before the file had its name.
            assert_corrupt(&disk, &path, &format!("cut at {cut}"));
            continue;
        }
        let kept = ends.iter().rposition(|end| *end <= cut).unwrap();
        let log = open(&disk).unwrap();
        assert_eq!(log.last(), (0..kept as u64).next_back().map(|index| id(index, 1)), "cut at {cut}");
        assert_eq!(log.recovery().torn_bytes, (cut - ends[kept]) as u64);
        wait(|done| log.append(vec![entry(kept as u64, 2, 20)], done)).unwrap();
        drop(log);
        assert_eq!(open(&disk.power_cut()).unwrap().last(), Some(id(kept as u64, 2)), "cut at {cut}");
    }
}

/// A log with one large entry in its last frame, and where that begins and ends. Behind it so much is reserved.
fn with_large_entry(reserve_bytes: u64) -> (FaultyDisk, PathBuf, usize, usize) {
    let disk = FaultyDisk::new(3);
    let config = Config { segment_bytes: 1 << 20, batch_bytes: 1 << 20, reserve_bytes, ..support::small() };
    let log = open_as(&disk, config).unwrap();
    let path = segments(&disk)[0].clone();
    let beginning = disk.get(&path).unwrap().len();
    let end = |log: &Log| beginning + log.statistics().bytes as usize;
    wait(|done| log.append(vec![entry(0, 1, 40), entry(1, 1, 700)], done)).unwrap();
    let start = end(&log);
    // Index 3 is zeros, index 2 is not.
    wait(|done| log.append(vec![entry(2, 1, 3000), entry(3, 1, 2000)], done)).unwrap();
    let end = end(&log);
    // The first frame made the room that the second one found.
    let len = if reserve_bytes == 0 { end } else { (start + reserve_bytes as usize).next_multiple_of(512) };
    assert_eq!(disk.get(&path).unwrap().len(), len);
    (disk, path, start, end)
}

#[test]
fn a_lost_sector_is_a_torn_tail_and_a_damaged_one_is_not() {
    for reserve in [0, 5_700, 40_000] {
        one_sector_is_lost_or_damaged(reserve);
    }
}

fn one_sector_is_lost_or_damaged(reserve: u64) {
    let (disk, path, start, end) = with_large_entry(reserve);
    let whole = disk.get(&path).unwrap();
    let cut = (whole.len() - start) as u64;
    let (mut torn, mut unchanged) = (0, 0);
    for sector in start / 512..end.div_ceil(512) {
        let (from, to) = ((sector * 512).max(start), (sector * 512 + 512).min(end));
        let mut bytes = whole.clone();
        bytes[from..to].fill(0);
        let lost = disk.power_cut();
        lost.put(&path, &bytes).unwrap();
        let log = open(&lost).unwrap();
        if bytes == whole {
            assert_eq!(log.last(), Some(id(3, 1)));
            unchanged += 1;
        } else {
            assert_eq!((log.last(), log.recovery().torn_bytes), (Some(id(1, 1)), cut));
            torn += 1;
        }
        // Something else than zeros, in whatever part: nobody's power cut.
        bytes[from..to].copy_from_slice(&whole[from..to]);
        bytes[(from + to) / 2] ^= 0x40;
        let damaged = disk.power_cut();
        damaged.put(&path, &bytes).unwrap();
        assert_corrupt(&damaged, &path, &format!("sector {sector}"));
    }
    assert!(torn >= 6 && unchanged >= 2, "{torn} torn, {unchanged} unchanged");
}

#[test]
fn reserved_room_holds_nothing() {
    let (disk, path, _, end) = with_large_entry(8_000);
    let whole = disk.get(&path).unwrap();
    let (mut refused, mut cut) = (0, 0);
    for at in (end..whole.len()).step_by(50) {
        let disk = disk.power_cut();
        disk.flip_bit(&path, at, 4).unwrap();
        // Where the next frame's header would be, it may be what is left of one.
        if at < end.next_multiple_of(512) {
            assert_corrupt(&disk, &path, &format!("byte {at}"));
            refused += 1;
            continue;
        }
        let log = open(&disk).unwrap();
        assert_eq!((log.last(), log.recovery().torn_bytes), (Some(id(3, 1)), (whole.len() - end) as u64));
        cut += 1;
    }
    assert!(refused > 0 && cut > 20, "{refused} refused, {cut} cut");
    // A process that reserves nothing, and makes the next segment much earlier, finds its way.
    let small = disk.power_cut();
    let log = open(&small).unwrap();
    assert_eq!(log.recovery().torn_bytes, 0);
    for index in 4..30 {
        wait(|done| log.append(vec![entry(index, 1, 100)], done)).unwrap();
    }
    drop(log);
    assert!(segments(&small).len() > 1);
    assert_eq!(open(&small.power_cut()).unwrap().last(), Some(id(29, 1)));
}

#[test]
fn only_the_last_frame_can_be_torn() {
    let (disk, path, start, end) = with_large_entry(0);
    let whole = disk.get(&path).unwrap();
    let opened = |bytes: &[u8]| {
        let disk = disk.power_cut();
        disk.put(&path, bytes).unwrap();
        open(&disk).map(|log| log.last())
    };
    // A sector that was lost from a frame with another one behind it.
    let mut bytes = whole.clone();
    bytes[512..1000.min(start)].fill(0);
    assert!(matches!(opened(&bytes), Err(Error::Corrupt { offset, .. }) if offset < start as u64));
    // A file made longer before anything was written to it, and garbage that no power cut leaves.
    for (fill, is_torn) in [(0, true), (0x5a, false)] {
        for more in [40, 600, 5000] {
            let mut bytes = whole.clone();
            bytes.resize(end + more, fill);
            match opened(&bytes) {
                Ok(last) => assert!(is_torn && last == Some(id(3, 1)), "{fill} {more}"),
                Err(error) => assert!(!is_torn && error.is_corrupt(), "{fill} {more}: {error}"),
            }
        }
    }
    // The same frame twice: whole, but not what follows.
    let mut bytes = whole.clone();
    bytes.extend_from_slice(&whole[start..end]);
    assert!(opened(&bytes).unwrap_err().is_corrupt());
}

#[test]
fn files_that_are_missing_are_missed() {
    let (disk, _) = planted();
    let without = |path: &Path| {
        let disk = disk.power_cut();
        cullet_raft_log::Disk::remove(&disk, path).unwrap();
        open(&disk).map(|_| ()).unwrap_err()
    };
    let all = segments(&disk);
    assert!(without(&all[0]).is_corrupt());
    assert!(without(&Path::new(DIR).join("identity")).is_corrupt());
    let newest = disk.paths().into_iter().rfind(|path| path.to_string_lossy().ends_with(".snap")).unwrap();
    assert!(without(&newest).is_corrupt(), "the log is purged beyond the older one");
    let disk = disk.power_cut();
    for path in all {
        cullet_raft_log::Disk::remove(&disk, &path).unwrap();
    }
    assert!(open(&disk).map(|_| ()).unwrap_err().is_corrupt());
}

#[test]
fn a_directory_belongs_to_one_cluster_and_one_opener() {
    let (disk, _) = planted();
    let open_as = |cluster, node| {
        let identity = Identity { cluster: ClusterId([cluster; 16]), node };
        Log::open(Arc::new(disk.clone()), DIR.as_ref(), identity, support::small(), Box::new(|_| ()))
    };
    let log = open_as(7, 99).unwrap();
    assert_eq!(log.identity(), support::IDENTITY, "drawn once");
    assert_eq!(Identity::read(&disk, DIR.as_ref()).unwrap(), Some(support::IDENTITY));
    assert!(matches!(open_as(7, 42), Err(Error::Locked { .. })));
    drop(log);
    let error = open_as(8, 42).map(|_| ()).unwrap_err();
    assert!(matches!(error, Error::OtherCluster { .. }), "{error}");
    assert!(error.to_string().contains("07070707") && error.to_string().contains("08080808"), "{error}");
    // A segment of another node does not pass as this one's.
    let other = FaultyDisk::new(1);
    let identity = Identity { node: 43, ..support::IDENTITY };
    drop(
        Log::open(Arc::new(other.clone()), DIR.as_ref(), identity, support::small(), Box::new(|_| ()))
            .unwrap(),
    );
    let path = segments(&disk)[0].clone();
    disk.put(&path, &other.get(&segments(&other)[0]).unwrap()).unwrap();
    assert_corrupt(&disk, &path, "another node's");
}

#[test]
fn an_entry_damaged_while_the_log_is_open_is_not_returned() {
    let disk = FaultyDisk::new(3);
    let log = open(&disk).unwrap();
    for index in 0..10 {
        wait(|done| log.append(vec![entry(index, 1, 300)], done)).unwrap();
    }
    let path = segments(&disk)[0].clone();
    let entry_0 = log.read(0..1, 1).unwrap();
    disk.flip_bit(&path, 64 + 32 + 32 + 30, 3).unwrap();
    let error = log.read(0..2, usize::MAX).unwrap_err();
    assert!(matches!(&error, Error::Corrupt { record: 0, .. }), "{error}");
    disk.flip_bit(&path, 64 + 32 + 32 + 30, 3).unwrap();
    assert_eq!(log.read(0..1, 1).unwrap(), entry_0);
}
