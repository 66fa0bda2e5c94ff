//! A large blob, into a file, resumed where an earlier attempt left off.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{Response, StatusCode};
use tokio::time::Instant;

use super::RegistryProblem;
use super::repository::{Access, Endpoint, Repository};
use super::retry::Retries;
use crate::digest::Hasher;
use crate::manifest::Blob;
use crate::source::offload;
use crate::{Digest, ImageError};

/// How much more than ever before has to arrive for retries to begin anew: enough that a registry which cuts every
/// connection cannot keep one busy for long, and little enough for bad connections.
const PROGRESS: u64 = 1 << 20;
/// Pieces are put together to this size before a thread hashes and writes them.
const WRITTEN_AT_ONCE: usize = 1 << 20;

impl Repository {
    /// Fetches a blob into `partial`, which may have a part of it already. When this returns well, the file has all
    /// of the blob, its digest is right, and it is on the disk. When it does not, the file has what may be resumed.
    pub(crate) async fn download(&self, blob: &Blob, partial: &Path) -> Result<(), ImageError> {
        let what = format!("blob {}", blob.digest);
        let mut last = None;
        for (at, endpoint) in self.endpoints.iter().enumerate() {
            let is_mirror = at + 1 < self.endpoints.len();
            match self.try_endpoint(endpoint, blob, partial, is_mirror).await? {
                Ok(()) => return Ok(()),
                Err(problem) => last = Some(self.error(endpoint, &what, problem)),
            }
        }
        Err(last.unwrap_or_else(|| self.nowhere(&what)).into())
    }

    async fn try_endpoint(
        &self,
        endpoint: &Endpoint,
        blob: &Blob,
        partial: &Path,
        is_mirror: bool,
    ) -> Result<Result<(), RegistryProblem>, ImageError> {
        let mut sink = Sink::resume(partial, blob.size, &self.name).await?;
        let mut resumed = sink.len() > 0;
        let mut retries = Retries::new(&self.options, is_mirror);
        let mut most = sink.len();
        loop {
            let problem = match self.attempt(endpoint, blob, &mut sink).await? {
                Ok(()) => {
                    let actual = sink.finish(&self.name).await?;
                    if actual == blob.digest {
                        return Ok(Ok(()));
                    }
                    sink = Sink::resume(partial, 0, &self.name).await?;
                    // What was there may have been damaged before this attempt.
                    if std::mem::replace(&mut resumed, false) {
                        continue;
                    }
                    RegistryProblem::Damaged { expected: blob.digest, actual }
                }
                Err(problem) => problem,
            };
            if sink.len() >= most + PROGRESS {
                (most, _) = (sink.len(), retries.refresh());
            }
            if let Err(problem) = retries.pause(problem).await {
                return Ok(Err(problem));
            }
        }
    }

    /// Gets what is missing, or a part of that.
    async fn attempt(
        &self,
        endpoint: &Endpoint,
        blob: &Blob,
        sink: &mut Sink,
    ) -> Result<Result<(), RegistryProblem>, ImageError> {
        if sink.len() == blob.size {
            return Ok(Ok(()));
        }
        let url = self.url(endpoint, &format!("blobs/{}", blob.digest));
        let from = sink.len();
        let request = || {
            let request = self.http.get(&url);
            if from > 0 { request.header(RANGE, format!("bytes={from}-")) } else { request }
        };
        let mut response = match self.send(endpoint, Access::Pull, request).await {
            // There is no such range: what is here is not of this blob.
            Err(RegistryProblem::Status { status: 416, .. }) if from > 0 => {
                sink.restart(&self.name).await?;
                return Ok(Err(RegistryProblem::Cut { received: 0, expected: blob.size }));
            }
            Err(problem) => return Ok(Err(problem)),
            Ok(response) => response,
        };
        if from > 0 && !continues(&response, from) {
            // It does not do ranges, and sends all of it again.
            if response.status() != StatusCode::OK {
                let problem = "it sent another range than was asked for".to_owned();
                return Ok(Err(RegistryProblem::Answer { problem }));
            }
            sink.restart(&self.name).await?;
        }
        let mut pace = Pace::from(sink.len());
        loop {
            match response.chunk().await {
                Ok(Some(piece)) => sink.take(&piece, &self.name).await?,
                Ok(None) => break,
                Err(error) => {
                    sink.flush(&self.name).await?;
                    return Ok(Err(RegistryProblem::transport(error)));
                }
            }
            if let Some(slow) = pace.check(sink.len()) {
                sink.flush(&self.name).await?;
                return Ok(Err(slow));
            }
            if sink.len() > blob.size {
                sink.restart(&self.name).await?;
                return Ok(Err(RegistryProblem::TooLong { limit: blob.size }));
            }
        }
        sink.flush(&self.name).await?;
        let received = sink.len();
        let cut = RegistryProblem::Cut { received, expected: blob.size };
        Ok(if received < blob.size { Err(cut) } else { Ok(()) })
    }
}

/// The least that has to arrive in a while for it to be worth waiting on: a fifth of what a mobile phone gets where
/// it gets hardly anything. Whoever sends less keeps a connection, and those who wait, busy for ever.
const LEAST: u64 = 64 << 10;
const WHILE: Duration = Duration::from_secs(60);

/// How fast bytes arrive.
struct Pace {
    since: Instant,
    from: u64,
}

impl Pace {
    fn from(received: u64) -> Self {
        Self { since: Instant::now(), from: received }
    }

    /// What is to be said when too little has arrived in the last while.
    fn check(&mut self, received: u64) -> Option<RegistryProblem> {
        if self.since.elapsed() < WHILE {
            return None;
        }
        let came = received.saturating_sub(self.from);
        *self = Self::from(received);
        (came < LEAST).then_some(RegistryProblem::Slow { received: came, seconds: WHILE.as_secs() })
    }
}

/// Source: RFC 9110, "Content-Range".
fn continues(response: &Response, from: u64) -> bool {
    let range = response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
    response.status() == StatusCode::PARTIAL_CONTENT
        && range.is_some_and(|range| range.starts_with(&format!("bytes {from}-")))
}

/// The file, with the digest of what is in it.
struct Sink {
    /// None is made before there is something to write into it.
    file: Option<File>,
    path: PathBuf,
    hasher: Hasher,
    waiting: Vec<u8>,
}

impl Sink {
    /// Opens the file if there is one, and hashes what is there of it; beyond `most` bytes it begins anew.
    async fn resume(path: &Path, most: u64, image: &str) -> Result<Self, ImageError> {
        let path = path.to_owned();
        offload(image, move || {
            let fail = |error| ImageError::io("write", &path, error);
            let mut hasher = Hasher::default();
            let mut file = match OpenOptions::new().read(true).write(true).open(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => None,
                file => Some(file.map_err(fail)?),
            };
            if let Some(there) = &mut file {
                if there.metadata().map_err(fail)?.len() > most {
                    std::fs::remove_file(&path).map_err(fail)?;
                    file = None;
                } else {
                    let mut buffer = vec![0; 128 << 10];
                    while let count @ 1.. = there.read(&mut buffer).map_err(fail)? {
                        hasher.update(&buffer[..count]);
                    }
                }
            }
            Ok(Self { file, path, hasher, waiting: Vec::new() })
        })
        .await
    }

    /// How much there is, written or about to be.
    fn len(&self) -> u64 {
        self.hasher.size() + self.waiting.len() as u64
    }

    async fn take(&mut self, piece: &[u8], image: &str) -> Result<(), ImageError> {
        self.waiting.extend_from_slice(piece);
        if self.waiting.len() < WRITTEN_AT_ONCE { Ok(()) } else { self.flush(image).await }
    }

    async fn flush(&mut self, image: &str) -> Result<(), ImageError> {
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            return Ok(());
        }
        // Its memory is used again: the allocator gives memory that another thread frees back late.
        self.waiting = self
            .write(image, move |file, hasher| {
                let mut waiting = waiting;
                file.write_all(&waiting)?;
                hasher.update(&waiting);
                waiting.clear();
                Ok(waiting)
            })
            .await?;
        Ok(())
    }

    async fn restart(&mut self, image: &str) -> Result<(), ImageError> {
        *self = Self::resume(&self.path, 0, image).await?;
        Ok(())
    }

    /// Makes sure that the bytes are on the disk; their digest.
    async fn finish(&mut self, image: &str) -> Result<Digest, ImageError> {
        self.write(image, |file, _| file.sync_all()).await?;
        Ok(std::mem::take(&mut self.hasher).finish())
    }

    /// Does something with the file, which is made for it where there is none.
    async fn write<T: Send + 'static>(
        &mut self,
        image: &str,
        work: impl FnOnce(&mut File, &mut Hasher) -> std::io::Result<T> + Send + 'static,
    ) -> Result<T, ImageError> {
        let (file, mut hasher) = (self.file.take(), std::mem::take(&mut self.hasher));
        let path = self.path.clone();
        let done = offload(image, move || {
            let fail = |error| ImageError::io("write", &path, error);
            let mut file = file.map_or_else(|| File::create_new(&path), Ok).map_err(fail)?;
            let done = work(&mut file, &mut hasher).map_err(fail)?;
            Ok((file, hasher, done))
        });
        let (file, hasher, done) = done.await?;
        (self.file, self.hasher) = (Some(file), hasher);
        Ok(done)
    }
}

#[tokio::test(start_paused = true)]
async fn a_trickle_is_given_up() {
    let mut pace = Pace::from(100);
    tokio::time::advance(WHILE / 2).await;
    assert!(pace.check(100).is_none());
    tokio::time::advance(WHILE / 2).await;
    assert!(pace.check(100 + LEAST).is_none());
    tokio::time::advance(WHILE).await;
    let slow = pace.check(100 + LEAST + 5);
    assert!(matches!(slow, Some(RegistryProblem::Slow { received: 5, seconds: 60 })));
}

#[tokio::test]
async fn there_is_a_file_from_the_first_byte_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("part");
    let mut sink = Sink::resume(&path, 10, "app").await.unwrap();
    sink.flush("app").await.unwrap();
    assert!(!path.exists());
    sink.take(b"ab", "app").await.unwrap();
    sink.flush("app").await.unwrap();
    let mut sink = Sink::resume(&path, 10, "app").await.unwrap();
    sink.take(b"c", "app").await.unwrap();
    sink.flush("app").await.unwrap();
    assert_eq!((sink.len(), &*std::fs::read(&path).unwrap()), (3, b"abc".as_slice()));
    assert_eq!(sink.finish("app").await.unwrap(), Digest::of(b"abc"));
    sink.restart("app").await.unwrap();
    assert!(sink.len() == 0 && !path.exists());
    // What has nothing in it is a blob as well.
    assert_eq!(sink.finish("app").await.unwrap(), Digest::of(b""));
    assert!(path.exists());
}
