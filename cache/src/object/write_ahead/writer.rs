//! The thread that writes logs. What comes while it writes is written together the next time, with one wait for the disk.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use cullet_digest::Digest;

use super::log::{Log, has_no_locks};
use super::own::{Amount, Filled, Job, Own};
use super::record::header;
use crate::StoreError;
use crate::object::files::At;

/// Blobs that are written together: several disks' worth of what one wait for them costs.
const GROUP: Amount = Amount { records: 1024, bytes: 4 << 20 };

/// How long nothing is tried where no log could be begun, or the disk is full.
const REST: Duration = Duration::from_secs(10);

/// The same where files cannot be locked, which hardly ever changes.
const LONG_REST: Duration = Duration::from_secs(3600);

impl Own {
    /// Writes what comes, until the store is closed.
    pub(super) fn write_on(&self) {
        let mut buffer = Vec::new();
        while let Some((jobs, active)) = self.next_group() {
            match active.map_or_else(|| self.begin(), Ok) {
                Ok(log) => self.append(jobs, log, &mut buffer),
                Err(error) => self.refuse(jobs, &error),
            }
        }
        self.due.notify_all();
    }

    /// What is written next, and where.
    fn next_group(&self) -> Option<(Vec<Job>, Option<Filled>)> {
        let mut state = self.lock();
        while state.queue.is_empty() && !state.closed {
            state = self.queued.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        let (mut jobs, mut amount) = (Vec::new(), Amount::default());
        while amount.records < GROUP.records
            && amount.bytes < GROUP.bytes
            && let Some(job) = state.queue.pop_front()
        {
            amount.add(Amount::of(&job.blobs));
            jobs.push(job);
        }
        state.queued.take(amount);
        state.writing = !jobs.is_empty();
        self.room.notify_one();
        state.writing.then(|| (jobs, state.active.clone()))
    }

    /// Begins a log.
    fn begin(&self) -> std::io::Result<Filled> {
        let id = fastrand::u64(..);
        // Before it can be seen, or it would be taken for somebody else's.
        self.lock().ids.insert(id);
        let log = Log::create(&self.home, id);
        if log.is_err() {
            self.lock().ids.remove(&id);
        }
        Ok(Filled { log: log?.into(), end: 0, amount: Amount::default(), since: Instant::now() })
    }

    /// Nothing can be written into logs here.
    fn refuse(&self, jobs: Vec<Job>, error: &std::io::Error) {
        let rest = if has_no_locks(error) { LONG_REST } else { REST };
        tracing::warn!(%error, place = self.place, "small blobs are stored one by one: no log can be begun");
        let mut state = self.lock();
        state.writing = false;
        state.rests = Some(Instant::now() + rest);
        for job in &jobs {
            state.unsettled.take(Amount::of(&job.blobs));
        }
        drop(state);
        for Job { blobs, done } in jobs {
            // Nobody has to wait for it any more.
            let _ = done.send(Ok(blobs));
        }
    }

    /// Writes blobs to the end of a log, and then tells those who wait for them.
    fn append(&self, jobs: Vec<Job>, mut filled: Filled, buffer: &mut Vec<u8>) {
        let amount = Amount::of_jobs(&jobs);
        let spots = encode(&jobs, filled.end, buffer);
        let written = filled.log.write(filled.end, buffer);
        // Whoever makes files knows of a log by now, unless it is new.
        let mut news = filled.end == 0;
        let mut state = self.lock();
        state.writing = false;
        let mut seal = std::mem::take(&mut state.seal);
        match &written {
            Ok(()) => {
                filled.end += buffer.len() as u64;
                filled.amount.add(amount);
                state.put = Instant::now();
                state.index.extend(spots.into_iter().map(|(digest, at)| (digest, (filled.log.clone(), at))));
                seal |= filled.end >= self.limits.log;
            }
            Err(error) => {
                state.unsettled.take(amount);
                // What is behind its end now is not known.
                seal = true;
                if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) {
                    // Another one would fail as well.
                    state.rests = Some(Instant::now() + REST);
                }
            }
        }
        state.active = (!seal).then(|| filled.clone());
        let empty = seal && filled.amount.records == 0;
        if seal && !empty {
            state.sealed.push_back(filled.clone());
        }
        drop(state);
        news |= seal;
        if news {
            self.due.notify_all();
        }
        let failed = written.err().map(|error| {
            tracing::warn!(%error, log = %filled.log.path().display(), "a log cannot be written");
            let path = filled.log.path().to_owned();
            StoreError::remote("store in", &self.place, At { path, error })
        });
        if empty {
            self.discard(&filled);
        }
        for job in jobs {
            // Nobody has to wait for it any more.
            let _ = job.done.send(failed.clone().map_or_else(|| Ok(Vec::new()), Err));
        }
    }

    /// Removes a log in which nothing was acknowledged.
    fn discard(&self, filled: &Filled) {
        if let Err(error) = filled.log.remove(&self.home) {
            // Whoever finds it unlocked later removes it.
            tracing::debug!(%error, log = %filled.log.path().display(), "an empty log stays");
        }
        self.lock().ids.remove(&filled.log.id);
    }
}

impl Amount {
    fn of_jobs(jobs: &[Job]) -> Self {
        let mut amount = Self::default();
        jobs.iter().for_each(|job| amount.add(Self::of(&job.blobs)));
        amount
    }
}

/// The records of all jobs, and where the bytes of each blob begin in a log where the first of them begins at `start`.
fn encode(jobs: &[Job], start: u64, buffer: &mut Vec<u8>) -> Vec<(Digest, u64)> {
    buffer.clear();
    let blobs = jobs.iter().flat_map(|job| &job.blobs);
    let record = |(digest, bytes): &(Digest, bytes::Bytes)| {
        buffer.extend_from_slice(&header(digest));
        let at = start + buffer.len() as u64;
        buffer.extend_from_slice(bytes);
        (*digest, at)
    };
    blobs.map(record).collect()
}
