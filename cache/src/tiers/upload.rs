//! Bringing what a result names to the shared store.

use std::collections::HashSet;

use cullet_digest::Digest;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::counts::Counter;
use super::{MOST_DIRECTORIES, Moved, SharedBlobs, Tiers};
use crate::children::ChildrenCache;
use crate::{ActionResult, BlobStore, StoreError};

/// Digests in one question.
const BATCH: usize = 1024;

/// Blobs that are sent at the same time. A shared directory syncs each, which is mostly waiting.
const AT_ONCE: usize = 16;

impl Tiers {
    /// Sends everything that a result names to the shared store, as far as that lacks it: files, logs, and everything
    /// in output directories. Afterwards the result may be recorded.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where a blob is neither here nor there. What was sent by then stays.
    pub async fn upload(&self, result: &ActionResult) -> Result<Moved, StoreError> {
        self.sending().result(result).await
    }

    /// Sends those of these blobs to the shared store that it lacks.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where a blob is neither here nor there.
    pub async fn upload_blobs(&self, digests: &[Digest]) -> Result<Moved, StoreError> {
        self.sending().blobs(digests).await
    }

    fn sending(&self) -> Sending<'_> {
        Sending {
            from: &self.inner.local,
            directories: self,
            children: &self.inner.children,
            to: &*self.inner.shared,
            counter: Some(&self.inner.counters.uploaded),
        }
    }
}

/// From where to where.
pub(crate) struct Sending<'a> {
    /// What has the blobs.
    pub(crate) from: &'a dyn BlobStore,
    /// What has the directories, as far as `to` does not keep trees together.
    pub(crate) directories: &'a dyn BlobStore,
    pub(crate) children: &'a ChildrenCache,
    pub(crate) to: &'a dyn SharedBlobs,
    /// What is told of everything that was sent.
    pub(crate) counter: Option<&'a Counter>,
}

impl Sending<'_> {
    /// See [`Tiers::upload`].
    pub(crate) async fn result(&self, result: &ActionResult) -> Result<Moved, StoreError> {
        let mut uploaded = Moved::default();
        let mut seen: HashSet<Digest> = HashSet::new();
        let mut waiting: Vec<Digest> = Vec::new();
        for root in result.directories() {
            match self.to.put_tree(&root, self.from).await? {
                Some(moved) => {
                    self.count(moved);
                    uploaded += moved;
                    seen.insert(root);
                }
                None => waiting.push(root),
            }
        }
        let mut batch: Vec<Digest> = result.digests().filter(|digest| seen.insert(*digest)).collect();
        let mut directories: HashSet<Digest> = waiting.iter().copied().collect();
        while let Some(directory) = waiting.pop() {
            let children = self.children.read(self.directories, &directory).await?;
            let children = children.ok_or(StoreError::NotFound { digest: directory })?;
            batch.extend(children.files.iter().filter(|file| seen.insert(**file)));
            for child in &children.directories {
                if directories.insert(*child) {
                    batch.push(*child);
                    waiting.push(*child);
                }
            }
            if directories.len() > MOST_DIRECTORIES {
                return Err(StoreError::TooLarge { digest: directory, limit: MOST_DIRECTORIES as u64 });
            }
            if batch.len() >= BATCH {
                uploaded += self.blobs(&std::mem::take(&mut batch)).await?;
            }
        }
        uploaded += self.blobs(&batch).await?;
        Ok(uploaded)
    }

    /// See [`Tiers::upload_blobs`].
    async fn blobs(&self, digests: &[Digest]) -> Result<Moved, StoreError> {
        let mut uploaded = Moved::default();
        for question in digests.chunks(BATCH) {
            let missing = self.to.find_missing(question).await?;
            for digest in &missing {
                uploaded += Moved { blobs: 1, bytes: digest.size() };
            }
            let sends = missing.into_iter().map(|digest| async move {
                let blob = self.from.get(&digest).await?;
                self.to.put(&digest, blob).await?;
                self.count(Moved { blobs: 1, bytes: digest.size() });
                Ok(())
            });
            stream::iter(sends).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        }
        Ok(uploaded)
    }

    fn count(&self, moved: Moved) {
        if let Some(counter) = self.counter {
            counter.add(moved);
        }
    }
}
