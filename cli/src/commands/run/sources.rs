//! The source trees of a run: scanned once, read again only for what really has to be executed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use cullet_cache::{Blob, BlobStore, StoreError};
use cullet_digest::{Digest, TreeRef};
use cullet_pipeline::Plan;
use cullet_source::{Scanner, SourceSpec, SourceTree};
use cullet_worker::SourceFiles;

/// The trees of a plan's sources, in the plan's order.
#[derive(Debug, Clone)]
pub(crate) struct Sources {
    trees: Arc<Vec<SourceTree>>,
    /// In the pipeline.
    names: Arc<[String]>,
}

/// Why the sources of a run cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourcesError {
    /// A source cannot be scanned.
    #[error("source '{name}' cannot be read")]
    Scan {
        /// Its name in the pipeline.
        name: String,
        /// All that is wrong with it.
        source: cullet_source::ScanError,
    },
    /// A step wants a part that is not there.
    #[error("source '{name}' has no '{subpath}'")]
    Subtree {
        /// Its name in the pipeline.
        name: String,
        /// The part.
        subpath: String,
        /// Why not.
        source: cullet_source::SubtreeError,
    },
}

impl Sources {
    /// Scans all sources of `plan`, whose paths are relative to `base`.
    pub(crate) fn scan(scanner: &Scanner, plan: &Plan, base: &Path) -> Result<Self, SourcesError> {
        let scan = |source: &cullet_pipeline::plan::Source| {
            let spec = SourceSpec {
                root: base.join(&source.path),
                include: source.include.clone(),
                exclude: source.exclude.clone(),
            };
            scanner
                .scan(&spec)
                .map_err(|error| SourcesError::Scan { name: source.name.clone(), source: error })
        };
        let trees: Result<Vec<_>, _> = plan.sources.iter().map(scan).collect();
        let names = plan.sources.iter().map(|source| source.name.clone()).collect();
        Ok(Self { trees: Arc::new(trees?), names })
    }

    /// A part of a source.
    pub(crate) fn subtree(&self, source: u32, subpath: &str) -> Result<TreeRef, SourcesError> {
        self.trees[source as usize].subtree(subpath).map_err(|error| SourcesError::Subtree {
            name: self.names[source as usize].clone(),
            subpath: subpath.to_owned(),
            source: error,
        })
    }

    /// What the scans want a person to know.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = String> {
        self.trees.iter().flat_map(|tree| tree.warnings().iter().map(ToString::to_string))
    }
}

impl SourceFiles for Sources {
    fn locate(&self, digest: &Digest) -> Option<PathBuf> {
        self.trees.iter().find_map(|tree| tree.file(digest))
    }
}

/// A cache that also knows the directories of the sources. They are stored when they are first asked for, so
/// that `why` can compare with them later; a run answered by the cache asks for none.
#[derive(Debug)]
pub(crate) struct SourceBlobs {
    pub(crate) sources: Sources,
    pub(crate) cache: Arc<dyn BlobStore>,
}

impl SourceBlobs {
    fn directory(&self, digest: &Digest) -> Option<Vec<u8>> {
        self.sources.trees.iter().find_map(|tree| tree.directory_bytes(digest))
    }
}

#[async_trait]
impl BlobStore for SourceBlobs {
    async fn find_missing(&self, digests: &[Digest]) -> Result<Vec<Digest>, StoreError> {
        let missing = self.cache.find_missing(digests).await?;
        Ok(missing.into_iter().filter(|digest| self.directory(digest).is_none()).collect())
    }

    async fn get(&self, digest: &Digest) -> Result<Blob, StoreError> {
        match self.cache.get(digest).await {
            Err(error @ (StoreError::NotFound { .. } | StoreError::Mismatch { .. })) => {
                let bytes = self.directory(digest).ok_or(error)?;
                // Only `why` would miss it.
                let _ = self.cache.put(digest, Blob::from(bytes.clone())).await;
                Ok(Blob::from(bytes))
            }
            found => found,
        }
    }

    async fn put(&self, digest: &Digest, blob: Blob) -> Result<(), StoreError> {
        self.cache.put(digest, blob).await
    }
}
