//! From a directory to a log.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};

use crate::disk::{Disk, OpenMode};
use crate::durable::Durable;
use crate::log::Recovery;
use crate::replay::{self, End};
use crate::segment::{self, Segment};
use crate::shared::{Counters, Shared};
use crate::snapshot::Snapshots;
use crate::state::{State, Stored};
use crate::types::LogId;
use crate::writer::Writer;
use crate::{Config, Error, Identity, OnFailure, Result, frame, names, reading};

/// Bytes of a segment that carries nothing and has no entry.
const EMPTY_SEGMENT: u64 = (segment::HEADER_BYTES + frame::HEADER_BYTES) as u64;

/// Opens or makes the log in the directory.
pub(crate) fn open(
    disk: Arc<dyn Disk>,
    dir: &Path,
    wanted: Identity,
    config: Config,
    on_failure: OnFailure,
) -> Result<(Shared, Identity, Recovery)> {
    disk.create_dir_all(dir).map_err(Error::io("create", dir))?;
    let lock_path = dir.join(names::LOCK);
    let lock = disk.lock(&lock_path).map_err(Error::io("lock", &lock_path))?;
    let Some(lock) = lock else { return Err(Error::Locked { path: lock_path }) };
    // Names that an earlier process made or changed must be durable before they are believed.
    disk.sync_dir(dir).map_err(Error::io("sync", dir))?;
    remove_unfinished(&*disk, dir)?;
    let identity = identity(&*disk, dir, wanted)?;
    let files = Files::read(&*disk, dir, identity)?;
    let (snapshots, damaged_snapshot) = Snapshots::open(&disk, dir, identity, &files)?;
    let torn_bytes = files.cut_torn_tail()?;
    files.remove_leftovers(&*disk, dir)?;
    let Files { segments, newest, end, log, .. } = files;
    let writer = Writer {
        disk,
        dir: dir.to_owned(),
        identity,
        segment: newest,
        tail: end.tail,
        len: end.tail + end.reserved,
        reserve: config.reserve_bytes,
        segment_bytes: config.segment_bytes,
        frames: end.frames,
        buffer: Vec::new(),
    };
    let shared = Shared {
        state: Mutex::new(State::new(log, segments)),
        work: Condvar::new(),
        room: Condvar::new(),
        writer: Mutex::new(writer),
        snapshots,
        config,
        on_failure,
        counters: Counters::default(),
        _lock: lock,
    };
    Ok((shared, identity, Recovery { torn_bytes, damaged_snapshot }))
}

fn list(disk: &dyn Disk, dir: &Path) -> Result<Vec<String>> {
    disk.list(dir).map_err(Error::io("list", dir))
}

fn remove(disk: &dyn Disk, path: &Path) -> Result<()> {
    disk.remove(path).map_err(Error::io("remove", path))
}

fn remove_unfinished(disk: &dyn Disk, dir: &Path) -> Result<()> {
    let names = list(disk, dir)?;
    let unfinished = names.iter().filter(|name| name.ends_with(names::UNFINISHED));
    unfinished.map(|name| dir.join(name)).try_for_each(|path| remove(disk, &path))
}

/// The directory's identity. The first segment is made before the identity, so that a directory with an identity has
/// a log, and a log without an identity has lost it unless nothing is in it.
fn identity(disk: &dyn Disk, dir: &Path, wanted: Identity) -> Result<Identity> {
    let path = dir.join(names::IDENTITY);
    if let Some(identity) = Identity::read(disk, dir)? {
        if identity.cluster != wanted.cluster {
            return Err(Error::OtherCluster { path, expected: wanted.cluster, found: identity.cluster });
        }
        return Ok(identity);
    }
    for name in list(disk, dir)? {
        let file = dir.join(&name);
        let is_used = match names::parse_segment(&name) {
            Some(_) => {
                let opened = disk.open(&file, OpenMode::Read).map_err(Error::io("open", &file))?;
                opened.len().map_err(Error::io("measure", &file))? != EMPTY_SEGMENT
            }
            None => names::parse_snapshot(&name).is_some(),
        };
        if is_used {
            return Err(Error::corrupt(&path, 0, 0, "it is missing, although the directory has a log"));
        }
    }
    Segment::create(disk, dir, wanted, 1, &Durable::default())?;
    wanted.write(disk, dir)?;
    Ok(wanted)
}

/// The log's files as they were found.
pub(crate) struct Files {
    segments: BTreeMap<u64, Arc<Segment>>,
    newest: Arc<Segment>,
    end: End,
    /// Segments before the first that counts.
    leftovers: Vec<u64>,
    pub(crate) log: Durable,
}

impl Files {
    fn read(disk: &dyn Disk, dir: &Path, identity: Identity) -> Result<Self> {
        let names = list(disk, dir)?;
        let mut numbers: Vec<_> = names.iter().filter_map(|name| names::parse_segment(name)).collect();
        numbers.sort_unstable();
        // Removing old segments is not synced, so that some of them may be back.
        let gap = numbers.windows(2).rposition(|pair| pair[1] - pair[0] != 1);
        let leftovers = numbers.drain(..gap.map_or(0, |at| at + 1)).collect();
        let mut log = Durable::default();
        let mut segments = BTreeMap::new();
        let mut newest = None;
        for (at, &number) in numbers.iter().enumerate() {
            let is_last = at + 1 == numbers.len();
            let mode = if is_last { OpenMode::Write } else { OpenMode::Read };
            let segment = Arc::new(Segment::open(disk, dir, identity, number, mode)?);
            if at == 0 {
                log = Durable::beginning_at(segment.next);
            } else if segment.next != log.next() {
                return Err(Error::corrupt(
                    &segment.path,
                    0,
                    0,
                    "it does not go on where the one before ends",
                ));
            }
            let end = replay::replay(&segment, is_last, &mut log)?;
            segments.insert(number, Arc::clone(&segment));
            newest = Some((segment, end));
        }
        let first = names::segment(dir, numbers.first().copied().unwrap_or(1));
        match newest {
            None => Err(Error::corrupt(&first, 0, 0, "the log's files are missing")),
            Some(_) if !log.is_complete() => {
                Err(Error::corrupt(&first, 0, 0, "the log's files before it are missing"))
            }
            Some((newest, end)) => Ok(Self { segments, newest, end, leftovers, log }),
        }
    }

    /// The log id of an entry, where the log has it.
    pub(crate) fn entry_id(&self, index: u64) -> Result<Option<LogId>> {
        let Some(location) = self.log.locate(index) else { return Ok(None) };
        let Some(segment) = self.segments.get(&location.segment).cloned() else { return Ok(None) };
        let mut entries = Vec::new();
        reading::read(&[Stored { index, location, segment }], &mut entries)?;
        Ok(entries.pop().map(|entry| entry.id))
    }

    /// Removes the torn tail, durably: a later frame must not be followed by what is left of it.
    fn cut_torn_tail(&self) -> Result<u64> {
        if self.end.torn > 0 {
            let Segment { file, path, .. } = &*self.newest;
            file.set_len(self.end.tail).map_err(Error::io("cut", path))?;
            file.sync_data().map_err(Error::io("sync", path))?;
        }
        Ok(self.end.torn)
    }

    fn remove_leftovers(&self, disk: &dyn Disk, dir: &Path) -> Result<()> {
        self.leftovers.iter().try_for_each(|number| remove(disk, &names::segment(dir, *number)))
    }
}
