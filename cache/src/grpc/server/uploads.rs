//! Uploads under way: what has arrived of blobs that are not whole yet.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cullet_digest::Digest;
use tonic::Status;

use super::StorageLimits;
use crate::StoreError;
use crate::arriving::{Arrived, Arriving};
use crate::grpc::compression::Inflating;
use crate::grpc::resource::Resource;
use crate::grpc::wire;
use crate::offload::offload;
use crate::spool::Spool;

/// Uploads by name. Bounded in number and in the bytes they announce; one that nobody goes on with expires.
#[derive(Debug)]
pub(super) struct Uploads {
    spool: Arc<Spool>,
    most: usize,
    most_bytes: u64,
    idle: Duration,
    /// Whether the disk is given large ones while they arrive.
    writes_back: AtomicBool,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    uploads: HashMap<Key, Upload>,
    announced: u64,
}

/// The name that a client gave, and the blob: a name that two clients happen to choose does not mix their bytes.
type Key = (String, Digest);

#[derive(Debug)]
struct Upload {
    arriving: Arc<Mutex<Option<Arriving>>>,
    /// Whether a client is writing it right now.
    busy: bool,
    used: Instant,
}

/// The right to write one upload. Clones share it; it is given back when the last one goes, so that it can be gone on with.
#[derive(Debug, Clone)]
pub(super) struct Writing(Arc<Right>);

#[derive(Debug)]
struct Right {
    uploads: Arc<Uploads>,
    key: Key,
    arriving: Arc<Mutex<Option<Arriving>>>,
}

impl Uploads {
    pub(super) fn new(spool: &Path, limits: &StorageLimits) -> Result<Self, StoreError> {
        Ok(Self {
            spool: Arc::new(Spool::open(spool)?),
            most: limits.uploads,
            most_bytes: limits.upload_bytes,
            idle: limits.idle,
            writes_back: AtomicBool::new(false),
            held: Mutex::default(),
        })
    }

    /// Gives the disk large ones while they arrive.
    pub(super) fn write_back(&self) {
        self.writes_back.store(true, Ordering::Relaxed);
    }

    /// Where bytes are on their way.
    pub(super) const fn spool(&self) -> &Arc<Spool> {
        &self.spool
    }

    /// How many bytes of an upload have arrived, if it is known.
    pub(super) fn committed(&self, resource: &Resource) -> Option<u64> {
        let key = key(resource)?;
        let arriving = {
            let mut held = self.lock();
            self.expire(&mut held);
            Arc::clone(&held.uploads.get(&key)?.arriving)
        };
        let arriving = arriving.lock().unwrap_or_else(PoisonError::into_inner);
        Some(arriving.as_ref().map_or(0, Arriving::len))
    }

    /// Starts an upload, or goes on with it.
    pub(super) fn begin(self: &Arc<Self>, resource: &Resource) -> Result<Writing, Status> {
        let key = key(resource).ok_or_else(|| Status::invalid_argument("a blob is written as an upload"))?;
        let mut held = self.lock();
        self.expire(&mut held);
        if let Some(upload) = held.uploads.get_mut(&key) {
            if upload.busy {
                return Err(Status::aborted("this upload is being written already"));
            }
            upload.busy = true;
            let arriving = Arc::clone(&upload.arriving);
            return Ok(Writing(Arc::new(Right { uploads: Arc::clone(self), key, arriving })));
        }
        let size = resource.digest.size();
        if size > self.most_bytes {
            // As `max_cas_blob_size_bytes` of REAPI wants it.
            return Err(Status::invalid_argument(format!(
                "blobs have at most {} bytes here",
                self.most_bytes
            )));
        }
        if held.uploads.len() >= self.most || held.announced.saturating_add(size) > self.most_bytes {
            return Err(Status::resource_exhausted("too much is being uploaded here; try again later"));
        }
        let arriving = Arriving::new(&resource.digest, self.spool.path());
        let arriving = Arc::new(Mutex::new(Some(arriving.map_err(|error| wire::status(&error))?)));
        held.announced += size;
        let upload = Upload { arriving: Arc::clone(&arriving), busy: true, used: Instant::now() };
        held.uploads.insert(key.clone(), upload);
        Ok(Writing(Arc::new(Right { uploads: Arc::clone(self), key, arriving })))
    }

    fn expire(&self, held: &mut Held) {
        let Held { uploads, announced } = held;
        uploads.retain(|(_, digest), upload| {
            let keep = upload.busy || upload.used.elapsed() < self.idle;
            if !keep {
                *announced -= digest.size();
            }
            keep
        });
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        // Uploads and what they announce change together, without anything in between that could panic.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writing {
    /// How many bytes have arrived.
    pub(super) fn committed(&self) -> u64 {
        self.lock().as_ref().map_or(0, Arriving::len)
    }

    /// Takes the next bytes, blocking. None are taken where it was finished or given up.
    pub(super) fn append(&self, piece: &[u8]) -> Result<(), StoreError> {
        let mut arriving = self.lock();
        let Some(arriving) = arriving.as_mut() else { return Ok(()) };
        arriving.append(piece)?;
        if self.0.uploads.writes_back.load(Ordering::Relaxed) {
            arriving.begin_writing_back();
        }
        Ok(())
    }

    /// Takes bytes that arrive compressed from now on.
    pub(super) fn inflating(&self) -> Result<InflatingUpload, StoreError> {
        let into = Into { writing: self.clone(), refused: None };
        let inflating =
            Inflating::new(into).map_err(|error| StoreError::io("decompress", "a blob", error))?;
        Ok(InflatingUpload(Some(inflating)))
    }

    /// The blob, if its bytes are those of its digest. Nothing can be added afterwards, nor gone on with.
    pub(super) fn finish(self) -> Result<Option<Arrived>, StoreError> {
        let arriving = self.lock().take();
        self.forget();
        arriving.map(Arriving::finish).transpose()
    }

    /// Gives the upload up: what arrived is not the blob.
    pub(super) fn forget(&self) {
        let Right { uploads, key, .. } = &*self.0;
        let mut held = uploads.lock();
        if held.uploads.get(key).is_some_and(|upload| self.0.is(upload)) {
            held.uploads.remove(key);
            held.announced -= key.1.size();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arriving>> {
        // After a panic in the middle of a write the count and the bytes may differ, which the digest finds.
        self.0.arriving.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Right {
    /// Whether it is still this upload that has the name.
    fn is(&self, upload: &Upload) -> bool {
        Arc::ptr_eq(&self.arriving, &upload.arriving)
    }
}

impl Drop for Right {
    fn drop(&mut self) {
        let mut held = self.uploads.lock();
        if let Some(upload) = held.uploads.get_mut(&self.key).filter(|upload| self.is(upload)) {
            upload.busy = false;
            upload.used = Instant::now();
        }
    }
}

/// Where decompressed bytes go.
struct Into {
    writing: Writing,
    /// Why they did not.
    refused: Option<StoreError>,
}

impl Write for Into {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        match self.writing.append(part) {
            Ok(()) => Ok(part.len()),
            Err(error) => {
                self.refused = Some(error);
                Err(io::ErrorKind::InvalidData.into())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An upload whose bytes arrive compressed; see [`Writing::inflating`]. Broken once it has failed.
pub(super) struct InflatingUpload(Option<Inflating<Into>>);

impl InflatingUpload {
    /// Takes the next compressed bytes; see [`Writing::append`].
    pub(super) async fn append(&mut self, piece: Bytes) -> Result<(), Status> {
        let mut inflating = self.0.take().ok_or_else(no_frame)?;
        let (inflating, outcome) = offload(move || {
            let outcome = inflating.append(&piece);
            Ok((inflating, outcome))
        })
        .await
        .map_err(|error| wire::status(&error))?;
        match outcome {
            Ok(()) => self.0 = Some(inflating),
            Err(_) => {
                let refused = inflating.into_inner().refused.take();
                return Err(refused.map_or_else(no_frame, |error| wire::status(&error)));
            }
        }
        Ok(())
    }
}

fn no_frame() -> Status {
    Status::invalid_argument(
        "these bytes are no Zstandard frames, or take more than 8 MiB of memory to decompress",
    )
}

fn key(resource: &Resource) -> Option<Key> {
    resource.upload.clone().map(|name| (name, resource.digest))
}
