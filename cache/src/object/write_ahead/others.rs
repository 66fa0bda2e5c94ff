//! Logs of other processes, those of dead ones among them.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cullet_digest::Digest;

use super::home::{Home, id_of, is_gone};
use super::orphans::{self, Orphan};
use super::record::{Scan, bytes_of};

/// Blobs in the logs of others of which is remembered where they are: some 100 MiB. What is beyond is missed until it is a file.
const MOST: usize = 1 << 20;

/// How often is asked whether anybody still writes a log.
const ASK: Duration = Duration::from_secs(10);

/// The longest pause after which it is tried again to make files of the blobs in a log.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// What is known of the logs that others write.
#[derive(Debug)]
pub(super) struct Others {
    home: Arc<Home>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// When the last look began.
    looked: Option<Instant>,
    /// Whether there was a directory for logs.
    any: bool,
    logs: HashMap<u64, Seen>,
    /// In which log, and where its bytes begin.
    index: HashMap<Digest, (u64, u64)>,
}

#[derive(Debug, Default)]
struct Seen {
    /// Up to where it is in the index.
    read: u64,
    /// When to ask again whether somebody writes it.
    ask: Option<Instant>,
    failures: u32,
}

impl Others {
    pub(super) fn new(home: &Arc<Home>) -> Self {
        Self { home: Arc::clone(home), known: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // What a panic leaves is read again or ends with its log.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Learns of what was written until `since`, and has files made of what dead processes have left. Whether there is a directory
    /// for logs at all.
    pub(super) fn look(self: &Arc<Self>, is_own: impl Fn(u64) -> bool, since: Instant) -> io::Result<bool> {
        let mut known = self.lock();
        if known.looked.is_some_and(|looked| looked >= since) {
            return Ok(known.any);
        }
        let began = Instant::now();
        let orphans = known.look(&self.home, is_own)?;
        known.looked = Some(began);
        let any = known.any;
        drop(known);
        if !orphans.is_empty() {
            let others = Arc::clone(self);
            let adopt = move || orphans.into_iter().for_each(|orphan| others.adopt(&orphan));
            if let Err(error) = std::thread::Builder::new().name("orphans".to_owned()).spawn(adopt) {
                // They are unlocked with that, for the next one who looks.
                tracing::debug!(%error, "what dead processes have left stays for now");
            }
        }
        Ok(any)
    }

    /// Makes files of what a dead process has left in a log.
    fn adopt(&self, orphan: &Orphan) {
        match orphan.settle(&self.home) {
            Ok(blobs) => {
                tracing::info!(blobs, log = %self.home.log(orphan.id).display(), "what a process left in its log is stored");
            }
            Err(error) => {
                let mut known = self.lock();
                let Some(seen) = known.logs.get_mut(&orphan.id) else { return };
                if seen.failures == 0 {
                    let log = self.home.log(orphan.id);
                    tracing::warn!(%error, log = %log.display(), "what a process left in its log stays there for now");
                }
                let pause = ASK.saturating_mul(1 << seen.failures.min(16)).min(LONGEST_PAUSE);
                seen.failures += 1;
                seen.ask = Some(Instant::now() + pause);
            }
        }
    }

    /// Whether a log had the blob at the last look.
    pub(super) fn has(&self, digest: &Digest) -> bool {
        self.lock().index.contains_key(digest)
    }

    /// The bytes of a blob that was in a log at the last look; none if that log is gone.
    pub(super) fn read(&self, digest: &Digest) -> io::Result<Option<Bytes>> {
        let spot = self.lock().index.get(digest).copied();
        let Some((id, at)) = spot else { return Ok(None) };
        match File::open(self.home.log(id)).and_then(|log| bytes_of(&log, digest, at)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if is_gone(&error) || error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn forget(&self, digest: &Digest) {
        self.lock().index.remove(digest);
    }
}

impl Known {
    /// Learns what is there. The logs that nobody writes any more are locked from now on.
    fn look(&mut self, home: &Home, is_own: impl Fn(u64) -> bool) -> io::Result<Vec<Orphan>> {
        let entries = home.list()?;
        self.any = entries.is_some();
        let (mut there, mut orphans) = (HashSet::new(), Vec::new());
        for entry in entries.into_iter().flatten() {
            let name = match entry {
                // The directory was removed meanwhile.
                Err(error) if is_gone(&error) => break,
                entry => entry?.file_name(),
            };
            if let (true, Some(id)) = (home.writable, id_of(&name, "new")) {
                orphans::remove_draft(&home.draft(id));
            }
            let Some(id) = id_of(&name, "log").filter(|id| !is_own(*id)) else { continue };
            if !self.read(home, id)? {
                continue;
            }
            there.insert(id);
            let seen = self.logs.entry(id).or_default();
            let now = Instant::now();
            if home.writable && seen.ask.is_none_or(|ask| now >= ask) {
                seen.ask = Some(now + ASK);
                orphans.extend(Orphan::claim(home, id));
            }
        }
        let known = self.logs.len();
        self.logs.retain(|id, _| there.contains(id));
        if self.logs.len() < known {
            self.index.retain(|_, (id, _)| there.contains(id));
        }
        Ok(orphans)
    }

    /// Reads what is new in a log. False where it is gone.
    fn read(&mut self, home: &Home, id: u64) -> io::Result<bool> {
        // Opened each time: that is when a network filesystem asks how long a file has become.
        let file = match File::open(home.log(id)) {
            Err(error) if is_gone(&error) => return Ok(false),
            opened => opened?,
        };
        let seen = self.logs.entry(id).or_default();
        let mut scan = Scan::new(&file, seen.read, file.metadata()?.len());
        while self.index.len() < MOST
            && let Some((digest, at)) = scan.next()?
        {
            self.index.insert(digest, (id, at));
        }
        seen.read = scan.at();
        Ok(true)
    }
}
