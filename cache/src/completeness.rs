//! A result is a hit only if everything it names can be read.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use cullet_digest::{Digest, TreeRef};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::children::ChildrenCache;
use crate::{ActionCache, ActionResult, BlobStore, StoreError, Trees};

/// Hands out a result only if the blobs it names are there: files, logs, and everything in output directories.
/// Asking marks all of them as used, which is what keeps them while a live run needs them.
#[derive(Debug)]
pub struct CompletenessChecking {
    inner: Arc<dyn ActionCache>,
    blobs: Arc<dyn BlobStore>,
    trees: Option<Arc<dyn Trees>>,
    children: Arc<ChildrenCache>,
    incomplete: Mutex<VecDeque<Incomplete>>,
}

/// A result that was there but of no use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incomplete {
    /// Whose result.
    pub action: Digest,
    /// Blobs that cannot be read. There may be more: the search ends with the first that are found missing.
    pub missing: Vec<Digest>,
}

/// How many blobs are asked for at once: enough to make a question cheap, few enough to keep it small.
const BATCH: usize = 1024;

/// Trees that are asked for at once.
const TREES: usize = 16;

/// Directories in one result. Beyond a million the check would take longer than most steps.
const MOST_DIRECTORIES: usize = 1 << 20;

/// How many incomplete results are remembered for who asks. A person reads the first few.
const MOST_REMEMBERED: usize = 1024;

impl CompletenessChecking {
    /// Checks the results of `inner` against `blobs`.
    pub fn new(inner: Arc<dyn ActionCache>, blobs: Arc<dyn BlobStore>) -> Self {
        Self { inner, blobs, trees: None, children: Arc::default(), incomplete: Mutex::default() }
    }

    /// The same, where the blobs of directories may be kept together: then one question tells whether all are there.
    #[must_use]
    pub fn with_trees(self, trees: Arc<dyn Trees>) -> Self {
        Self { trees: Some(trees), ..self }
    }

    /// Checks other results against the same blobs, with what is known of directories.
    #[must_use]
    pub fn over(&self, inner: Arc<dyn ActionCache>) -> Self {
        let (blobs, trees, children) =
            (Arc::clone(&self.blobs), self.trees.clone(), Arc::clone(&self.children));
        Self { inner, blobs, trees, children, incomplete: Mutex::default() }
    }

    /// The same, remembering what is found incomplete for itself.
    #[must_use]
    pub(crate) fn anew(&self) -> Self {
        self.over(Arc::clone(&self.inner))
    }

    /// All results, whole or not.
    pub fn inner(&self) -> &dyn ActionCache {
        &*self.inner
    }

    /// Results found incomplete since this was last asked, at most the last thousand.
    pub fn take_incomplete(&self) -> Vec<Incomplete> {
        self.incomplete.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect()
    }

    /// How many blobs were missing of the result of this action, if it was found incomplete since this was last asked.
    pub fn missing_of(&self, action: &Digest) -> Option<usize> {
        let mut incomplete = self.incomplete.lock().unwrap_or_else(PoisonError::into_inner);
        let found = incomplete.iter().rposition(|result| result.action == *action)?;
        incomplete.remove(found).map(|result| result.missing.len())
    }

    /// Whether everything in these trees can be read.
    ///
    /// # Errors
    /// Where that cannot be found out.
    pub async fn is_whole(&self, trees: impl IntoIterator<Item = TreeRef>) -> Result<bool, StoreError> {
        let trees: Vec<TreeRef> = trees.into_iter().collect();
        let named: Vec<Digest> = trees.iter().map(TreeRef::digest).collect();
        let roots = trees.iter().filter_map(|tree| match tree {
            TreeRef::Directory(root) => Some(*root),
            TreeRef::File { .. } => None,
        });
        let missing = self.missing(&named, roots.collect()).await?;
        Ok(missing.is_empty())
    }

    /// Whether everything that a result names can be read.
    ///
    /// # Errors
    /// Where that cannot be found out.
    pub async fn is_complete(&self, result: &ActionResult) -> Result<bool, StoreError> {
        let named: Vec<Digest> = result.digests().collect();
        Ok(self.missing(&named, result.directories().collect()).await?.is_empty())
    }

    fn remember(&self, action: &Digest, missing: Vec<Digest>) {
        tracing::debug!(action = %action.short(), missing = missing.len(), "a cached result is incomplete");
        let mut incomplete = self.incomplete.lock().unwrap_or_else(PoisonError::into_inner);
        if incomplete.len() == MOST_REMEMBERED {
            incomplete.pop_front();
        }
        incomplete.push_back(Incomplete { action: *action, missing });
    }

    /// What is missing, as far as the first batch that lacks something.
    async fn missing(&self, named: &[Digest], roots: Vec<Digest>) -> Result<Vec<Digest>, StoreError> {
        if named.is_empty() {
            return Ok(Vec::new());
        }
        let (mut named, mut roots) = (named.to_vec(), roots);
        if let Some(trees) = &self.trees {
            let asked = roots.clone().into_iter();
            let asked = asked.map(|root| async move { Ok((root, trees.holds_tree(&root).await?)) });
            let asked = stream::iter(asked).buffer_unordered(TREES);
            let held: Vec<(Digest, Option<bool>)> = asked.try_collect().await?;
            // What is not kept together may be there blob by blob.
            let whole: HashSet<Digest> =
                held.into_iter().filter(|(_, held)| *held == Some(true)).map(|(root, _)| root).collect();
            named.retain(|digest| !whole.contains(digest));
            roots.retain(|root| !whole.contains(root));
        }
        let missing = self.blobs.find_missing(&named).await?;
        if !missing.is_empty() || roots.is_empty() { Ok(missing) } else { self.missing_below(roots).await }
    }

    async fn missing_below(&self, roots: Vec<Digest>) -> Result<Vec<Digest>, StoreError> {
        let mut seen: HashSet<Digest> = roots.iter().copied().collect();
        let mut waiting = roots;
        let mut batch = Vec::new();
        while let Some(directory) = waiting.pop() {
            let Some(children) = self.children.read(&*self.blobs, &directory).await? else {
                return Ok(vec![directory]);
            };
            batch.extend_from_slice(&children.files);
            for child in &children.directories {
                if seen.insert(*child) {
                    batch.push(*child);
                    waiting.push(*child);
                }
            }
            if seen.len() > MOST_DIRECTORIES {
                return Ok(vec![directory]);
            }
            if batch.len() >= BATCH || waiting.is_empty() {
                let missing = self.blobs.find_missing(&batch).await?;
                if !missing.is_empty() {
                    return Ok(missing);
                }
                batch.clear();
            }
        }
        Ok(Vec::new())
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ActionCache for CompletenessChecking {
    async fn get(&self, action: &Digest) -> Result<Option<ActionResult>, StoreError> {
        let Some(result) = self.inner.get(action).await? else { return Ok(None) };
        let named: Vec<Digest> = result.digests().collect();
        let missing = self.missing(&named, result.directories().collect()).await?;
        if missing.is_empty() {
            return Ok(Some(result));
        }
        self.remember(action, missing);
        Ok(None)
    }

    async fn put(&self, action: &Digest, result: &ActionResult) -> Result<(), StoreError> {
        self.inner.put(action, result).await
    }

    async fn remove(&self, action: &Digest) -> Result<(), StoreError> {
        self.inner.remove(action).await
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use cullet_digest::{DigestFunction, Directory, DirectoryNode, FileNode, NodeName, TreeRef};

    use super::*;
    use crate::{LogStream, MemoryActionCache, MemoryStore, Output, OutputKind, conformance};

    const FUNCTION: DigestFunction = DigestFunction::Blake3;

    struct Fixture {
        blobs: Arc<MemoryStore>,
        cache: CompletenessChecking,
        action: Digest,
        /// Everything the result names, directly or not.
        closure: Vec<Digest>,
    }

    async fn store(blobs: &MemoryStore, bytes: &[u8]) -> Digest {
        let digest = FUNCTION.digest(bytes);
        blobs.put(&digest, Bytes::copy_from_slice(bytes).into()).await.unwrap();
        digest
    }

    fn name(text: &str) -> NodeName {
        NodeName::new(text).unwrap()
    }

    /// A result with a file, a log and a directory two deep, stored whole.
    async fn fixture() -> Fixture {
        let blobs = Arc::new(MemoryStore::new(64 << 20));
        let file = store(&blobs, b"file").await;
        let log = store(&blobs, b"log").await;
        let deep = store(&blobs, b"deep").await;
        let node = FileNode { name: name("f"), digest: deep, executable: false };
        let inner = store(&blobs, &Directory::new(vec![node], vec![], vec![]).unwrap().encode()).await;
        let node = DirectoryNode { name: name("d"), digest: inner };
        let root = store(&blobs, &Directory::new(vec![], vec![node], vec![]).unwrap().encode()).await;
        let output = |path: &str, tree| Output { path: path.to_owned(), kind: OutputKind::Tree(tree) };
        let result = ActionResult {
            outputs: vec![
                output("dir", TreeRef::Directory(root)),
                output("file", TreeRef::File { digest: file, executable: true }),
            ],
            stdout: LogStream::Blob(log),
            ..conformance::result("complete")
        };
        let actions = Arc::new(MemoryActionCache::new(10));
        let action = FUNCTION.digest(b"action");
        actions.put(&action, &result).await.unwrap();
        let cache = CompletenessChecking::new(actions, blobs.clone());
        Fixture { blobs, cache, action, closure: vec![file, log, deep, inner, root] }
    }

    #[tokio::test]
    async fn conforms() {
        let blobs = || Arc::new(MemoryStore::new(1 << 20));
        let over_memory = || CompletenessChecking::new(Arc::new(MemoryActionCache::new(100)), blobs());
        conformance::action_cache(over_memory).await;
    }

    #[tokio::test]
    async fn a_complete_result_is_a_hit() {
        let fixture = fixture().await;
        assert!(fixture.cache.get(&fixture.action).await.unwrap().is_some());
        assert_eq!(fixture.cache.take_incomplete(), []);
    }

    #[tokio::test]
    async fn a_result_that_lacks_any_blob_is_none_and_the_blob_is_named() {
        for lost in 0..5 {
            let fixture = fixture().await;
            let missing = fixture.closure[lost];
            fixture.blobs.remove(&missing);
            assert_eq!(fixture.cache.get(&fixture.action).await.unwrap(), None, "{lost}");
            let expected = Incomplete { action: fixture.action, missing: vec![missing] };
            assert_eq!(fixture.cache.take_incomplete(), [expected]);
            assert_eq!(fixture.cache.take_incomplete(), []);
        }
    }

    #[tokio::test]
    async fn other_results_are_checked_against_the_same_blobs_and_told_by_themselves() {
        let fixture = fixture().await;
        let others = Arc::new(MemoryActionCache::new(10));
        let other = fixture.cache.over(others.clone());
        assert_eq!(other.get(&fixture.action).await.unwrap(), None);
        let result = fixture.cache.get(&fixture.action).await.unwrap().unwrap();
        others.put(&fixture.action, &result).await.unwrap();
        assert_eq!(other.get(&fixture.action).await.unwrap(), Some(result));
        fixture.blobs.remove(&fixture.closure[2]);
        assert_eq!(other.get(&fixture.action).await.unwrap(), None);
        assert_eq!(
            (other.missing_of(&fixture.action), fixture.cache.missing_of(&fixture.action)),
            (Some(1), None)
        );
    }

    #[tokio::test]
    async fn a_blob_lost_after_a_hit_is_noticed_although_directories_are_remembered() {
        let fixture = fixture().await;
        assert!(fixture.cache.get(&fixture.action).await.unwrap().is_some());
        fixture.blobs.remove(&fixture.closure[2]);
        assert_eq!(fixture.cache.get(&fixture.action).await.unwrap(), None);
    }
}
