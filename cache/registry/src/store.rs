//! [`Objects`] in a repository.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cullet_cache::mirror::Named;
use cullet_cache::objects::{MOST_DATA, MOST_RECORD};
use cullet_cache::{Area, Objects, RecordName, StoreError};
use cullet_digest::{Digest, DigestFunction};
use cullet_image::{Artifacts, Digest as BlobName, RegistryError, RegistryProblem};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::{Mutex, Semaphore};

use crate::record::{self, Content, Document, Found};

/// How long an operation may take with all its requests and attempts: less than those who cut large blobs wait for a piece.
const DEADLINE: Duration = Duration::from_secs(100);

/// Operations at the same time. Registries that many use limit how much one client may ask of them.
const AT_ONCE: usize = 64;

/// Pauses before a manifest that was refused is put again. The registry may have collected the blob that all manifests name; and
/// `docker-registry` 2.8 on a filesystem refuses one (`DIGEST_INVALID`) while somebody else sends a blob that it names, because
/// it reads a file that is just being written.
const REFUSED: [Duration; 3] =
    [Duration::from_millis(50), Duration::from_millis(200), Duration::from_millis(800)];

/// Parts of one record that are put at the same time.
const PARTS_AT_ONCE: usize = 4;

#[derive(Debug)]
pub(crate) struct RegistryObjects {
    place: String,
    pub(crate) artifacts: Artifacts,
    at_once: Semaphore,
    /// Whether the blob that all manifests name is there. One puts it and all others wait: some registries answer with a
    /// server error where the same blob is sent many times at once.
    has_empty: Mutex<bool>,
}

/// What could not be done, without credentials: errors of registries have none.
pub(crate) fn failed(action: &'static str, place: &str, error: RegistryError) -> StoreError {
    StoreError::Remote { action, place: place.to_owned(), source: Arc::new(error) }
}

impl RegistryObjects {
    pub(crate) fn new(place: String, artifacts: Artifacts) -> Self {
        Self { place, artifacts, at_once: Semaphore::new(AT_ONCE), has_empty: Mutex::new(false) }
    }

    /// Does something when it is its turn, and not for ever.
    async fn bounded<T>(
        &self,
        action: &'static str,
        work: impl Future<Output = Result<T, RegistryError>>,
    ) -> Result<T, StoreError> {
        // Never closed, so the permit always comes.
        let _permit = self.at_once.acquire().await;
        match tokio::time::timeout(DEADLINE, work).await {
            Ok(done) => done.map_err(|error| failed(action, &self.place, error)),
            Err(_) => {
                let after_ms = u64::try_from(DEADLINE.as_millis()).unwrap_or(u64::MAX);
                Err(StoreError::Deadline { place: self.place.clone(), after_ms })
            }
        }
    }

    /// What the manifest under a name says. None where there is none, or one that is of no use.
    async fn content(&self, name: &RecordName) -> Result<Option<Content>, RegistryError> {
        let tag = name.to_string();
        let useless = |why: &str| {
            tracing::warn!(record = tag, place = self.place, why, "a manifest that is no record is ignored");
            Ok(None)
        };
        let mut found = self.artifacts.manifest(&tag).await;
        if found.as_ref().is_err_and(is_damage) {
            // It may have been damaged on its way, or is just being written.
            found = self.artifacts.manifest(&tag).await;
        }
        match found {
            Ok(None) => Ok(None),
            Ok(Some(bytes)) => match record::read(&tag, &bytes) {
                Found::Record(Content::Blob(_, size)) if size > MOST_RECORD => useless("it is too long"),
                Found::Record(content) => Ok(Some(content)),
                Found::Removed => Ok(None),
                Found::Other(why) => useless(why),
            },
            Err(error) if is_damage(&error) => useless("it is damaged"),
            Err(error) => Err(error),
        }
    }

    /// Puts a manifest or an index, after the blob that all of them name.
    pub(crate) async fn put_document(&self, document: Document) -> Result<(), RegistryError> {
        let Document { tag, media_type, bytes } = document;
        for pause in REFUSED {
            self.put_empty().await?;
            match self.artifacts.put_manifest(&tag, media_type, &bytes).await {
                Err(error) if is_refusal(&error) => {
                    tracing::debug!(%error, tag, "a record is put again");
                    *self.has_empty.lock().await = false;
                    tokio::time::sleep(pause).await;
                }
                done => return done,
            }
        }
        self.put_empty().await?;
        self.artifacts.put_manifest(&tag, media_type, &bytes).await
    }

    async fn put_empty(&self) -> Result<(), RegistryError> {
        let mut has_empty = self.has_empty.lock().await;
        if *has_empty {
            return Ok(());
        }
        let bytes = Bytes::from_static(record::EMPTY_BYTES);
        self.put_missing(&BlobName::of(&bytes), &bytes).await?;
        *has_empty = true;
        Ok(())
    }

    async fn put_missing(&self, name: &BlobName, bytes: &Bytes) -> Result<(), RegistryError> {
        if self.artifacts.has_blob(name, bytes.len() as u64).await? {
            return Ok(());
        }
        self.artifacts.put_blob(name, bytes).await
    }

    async fn put_record(
        &self,
        name: &RecordName,
        bytes: Bytes,
        needs: &[(BlobName, u64)],
    ) -> Result<(), RegistryError> {
        let content = if bytes.len() <= record::INLINE {
            Content::Inline(bytes)
        } else {
            let (digest, bytes) = hashed(bytes).await;
            self.put_missing(&digest, &bytes).await?;
            Content::Blob(digest, bytes.len() as u64)
        };
        let mut documents = record::documents(&name.to_string(), &content, needs);
        let Some(last) = documents.pop() else { return Ok(()) };
        // The index comes last: a registry refuses one whose parts it does not have.
        let parts = stream::iter(documents).map(|part| self.put_document(part));
        parts.buffer_unordered(PARTS_AT_ONCE).try_collect::<()>().await?;
        self.put_document(last).await
    }

    fn refusal(&self, action: &'static str, why: &str) -> StoreError {
        StoreError::Remote { action, place: self.place.clone(), source: Arc::from(Box::from(why)) }
    }
}

/// The hash of a long record, which takes a while.
async fn hashed(bytes: Bytes) -> (BlobName, Bytes) {
    let of = bytes.clone();
    let digest = match tokio::task::spawn_blocking(move || BlobName::of(&of)).await {
        Ok(digest) => digest,
        // Only at the end of a program.
        Err(_) => BlobName::of(&bytes),
    };
    (digest, bytes)
}

/// The name of data in a registry, if it can have one.
fn blob_name(digest: &Digest) -> Option<BlobName> {
    if digest.function() != DigestFunction::Sha256 || digest.size() > MOST_DATA {
        return None;
    }
    format!("sha256:{}", digest.hash_hex()).parse().ok()
}

/// Whether what is there cannot be what was put.
pub(crate) fn is_damage(error: &RegistryError) -> bool {
    matches!(*error.problem, RegistryProblem::Damaged { .. } | RegistryProblem::TooLong { .. })
}

/// Whether it may be for want of a blob (`MANIFEST_BLOB_UNKNOWN`), which has one status or the other, or for [`REFUSED`].
fn is_refusal(error: &RegistryError) -> bool {
    matches!(*error.problem, RegistryProblem::Status { status: 400, .. } | RegistryProblem::NotFound { .. })
}

/// How far a listing of tags is.
enum Page {
    After(Option<String>),
    Last,
}

impl Named for RegistryObjects {
    fn names(&self, area: Area) -> BoxStream<'_, Result<RecordName, StoreError>> {
        let next = move |at: Page| async move {
            let Page::After(last) = at else { return Ok(None) };
            let (tags, more) = self.bounded("list", self.artifacts.tags(last.as_deref())).await?;
            // What is no name is the tag of a part of a record, or none of ours.
            let names: Vec<RecordName> = tags.iter().filter_map(|tag| tag.parse().ok()).collect();
            // A registry that sends the same page again would do so for ever.
            let ahead = tags.last().filter(|tag| more && last.as_ref() != Some(tag)).cloned();
            Ok::<_, StoreError>(Some((names, ahead.map_or(Page::Last, |tag| Page::After(Some(tag))))))
        };
        let pages = stream::try_unfold(Page::After(None), next);
        let names = pages.map_ok(|names| stream::iter(names.into_iter().map(Ok))).try_flatten();
        names.try_filter(move |name| std::future::ready(name.area == area)).boxed()
    }
}

#[async_trait]
impl Objects for RegistryObjects {
    fn place(&self) -> &str {
        &self.place
    }

    async fn record(&self, name: &RecordName) -> Result<Option<Bytes>, StoreError> {
        let read = async {
            match self.content(name).await? {
                None => Ok(None),
                Some(Content::Inline(bytes)) => Ok(Some(bytes)),
                Some(Content::Blob(digest, size)) => self.artifacts.blob(&digest, size).await,
            }
        };
        self.bounded("read from", read).await
    }

    /// Asks for the manifest and not only whether there is one: what [`Self::record`] takes for none has to be none here, too,
    /// or nobody would store it again.
    async fn has_record(&self, name: &RecordName) -> Result<bool, StoreError> {
        let look = async {
            match self.content(name).await? {
                None => Ok(false),
                Some(Content::Inline(_)) => Ok(true),
                Some(Content::Blob(digest, size)) => self.artifacts.has_blob(&digest, size).await,
            }
        };
        self.bounded("read from", look).await
    }

    async fn put_record(&self, name: &RecordName, bytes: Bytes, needs: &[Digest]) -> Result<(), StoreError> {
        if bytes.len() as u64 > MOST_RECORD {
            return Err(self.refusal("store in", "the record is longer than any may be"));
        }
        let mut named = Vec::with_capacity(needs.len());
        for needed in needs {
            let name = blob_name(needed);
            let name = name.ok_or_else(|| self.refusal("store in", "what a record needs is no data"))?;
            named.push((name, needed.size()));
        }
        named.sort_unstable();
        named.dedup();
        self.bounded("store in", Self::put_record(self, name, bytes, &named)).await
    }

    async fn remove_record(&self, name: &RecordName) -> Result<(), StoreError> {
        self.bounded("remove from", self.remove(&name.to_string())).await
    }

    async fn data(&self, digest: &Digest) -> Result<Bytes, StoreError> {
        let missing = StoreError::NotFound { digest: *digest };
        let Some(name) = blob_name(digest) else { return Err(missing) };
        self.bounded("read from", self.artifacts.blob(&name, digest.size())).await?.ok_or(missing)
    }

    async fn has_data(&self, digest: &Digest) -> Result<bool, StoreError> {
        let Some(name) = blob_name(digest) else { return Ok(false) };
        self.bounded("read from", self.artifacts.has_blob(&name, digest.size())).await
    }

    async fn put_data(&self, digest: &Digest, bytes: Bytes) -> Result<(), StoreError> {
        let name = blob_name(digest).filter(|_| digest.size() == bytes.len() as u64);
        let name = name.ok_or_else(|| self.refusal("store in", "these bytes are not of this name"))?;
        self.bounded("store in", self.artifacts.put_blob(&name, &bytes)).await
    }

    /// Where the registry deletes nothing, the data stays, which is an error: its own collector takes it when no record needs
    /// it any more.
    async fn remove_data(&self, digest: &Digest) -> Result<(), StoreError> {
        let Some(name) = blob_name(digest) else { return Ok(()) };
        let removed = async {
            Ok(self.artifacts.delete_blob(&name).await?
                || !self.artifacts.has_blob(&name, digest.size()).await?)
        };
        if self.bounded("remove from", removed).await? {
            return Ok(());
        }
        Err(self.refusal("remove from", "the registry lets nobody, or not this user, delete blobs"))
    }
}
