//! The source trees of a run: scanned once, read again only for what really has to be executed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use cullet_cache::{Blob, BlobStore, StoreError};
use cullet_digest::{Digest, TreeRef};
use cullet_pipeline::Plan;
use cullet_source::{ScanWarning, Scanner, SourceSpec, SourceTree};
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

    /// The bytes of a directory of theirs.
    fn directory(&self, digest: &Digest) -> Option<Vec<u8>> {
        self.trees.iter().find_map(|tree| tree.directory_bytes(digest))
    }

    /// Whether it lies in them.
    pub(crate) fn has(&self, tree: &TreeRef) -> bool {
        match tree {
            TreeRef::File { digest, .. } => self.locate(digest).is_some(),
            TreeRef::Directory(root) => self.directory(root).is_some(),
        }
    }

    /// The trees, in the plan's order, and their names in the pipeline.
    pub(crate) fn trees(&self) -> (&Arc<Vec<SourceTree>>, &[String]) {
        (&self.trees, &self.names)
    }

    /// What the scans want a person to know.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = String> {
        let names = self.names.iter();
        self.trees.iter().zip(names).flat_map(|(tree, name)| in_short(name, tree.warnings()))
    }
}

/// Links that are named; a tree that has more of them has a whole directory of them, and it is enough to say where.
const NAMED_LINKS: usize = 3;

/// The warnings of one source, with many links that lead out of it in one sentence.
fn in_short(name: &str, warnings: &[ScanWarning]) -> Vec<String> {
    let is_link = |warning: &&ScanWarning| matches!(warning, ScanWarning::SymlinkLeavesSource { .. });
    let (links, others): (Vec<_>, Vec<_>) = warnings.iter().partition(is_link);
    if links.len() <= NAMED_LINKS {
        return warnings.iter().map(ToString::to_string).collect();
    }
    let mut more = 0;
    let mut sentences = Vec::new();
    for warning in others {
        match warning {
            ScanWarning::More(count) => more += count,
            other => sentences.push(other.to_string()),
        }
    }
    let named = links.iter().filter_map(|link| match link {
        ScanWarning::SymlinkLeavesSource { path, target } => Some(format!("{path} (to {target})")),
        _ => None,
    });
    let named: Vec<String> = named.take(NAMED_LINKS).collect();
    let count = links.len() as u64 + more;
    sentences.push(format!(
        "{count} symbolic links lead out of source '{name}', where a step finds something else or nothing, such as {}",
        named.join(", ")
    ));
    sentences
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
    /// What is asked last, because it is elsewhere: the same cache with another one behind it.
    pub(crate) behind: Option<Arc<dyn BlobStore>>,
}

#[async_trait]
impl BlobStore for SourceBlobs {
    async fn find_missing(&self, digests: &[Digest]) -> Result<Vec<Digest>, StoreError> {
        let missing = self.cache.find_missing(digests).await?;
        let missing: Vec<Digest> =
            missing.into_iter().filter(|digest| self.sources.directory(digest).is_none()).collect();
        match &self.behind {
            Some(behind) if !missing.is_empty() => behind.find_missing(&missing).await,
            _ => Ok(missing),
        }
    }

    async fn get(&self, digest: &Digest) -> Result<Blob, StoreError> {
        match self.cache.get(digest).await {
            Err(error @ (StoreError::NotFound { .. } | StoreError::Mismatch { .. })) => {
                let Some(bytes) = self.sources.directory(digest) else {
                    return match &self.behind {
                        Some(behind) => behind.get(digest).await,
                        None => Err(error),
                    };
                };
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

#[cfg(test)]
mod tests {
    use super::*;

    fn link(number: u64) -> ScanWarning {
        ScanWarning::SymlinkLeavesSource { path: format!("l{number}"), target: "/x".to_owned() }
    }

    #[test]
    fn many_links_are_one_sentence() {
        let few: Vec<_> = (0..3).map(link).collect();
        assert_eq!(in_short("src", &few).len(), 3);
        let many: Vec<_> = (0..100).map(link).chain([ScanWarning::More(20)]).collect();
        let said = in_short("src", &many);
        assert_eq!(said.len(), 1);
        assert!(said[0].starts_with("120 symbolic links lead out of source 'src'"), "{said:?}");
        assert!(said[0].ends_with("such as l0 (to /x), l1 (to /x), l2 (to /x)"), "{said:?}");
    }
}
