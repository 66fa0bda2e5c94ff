//! What a worker is made of.

use std::path::PathBuf;
use std::sync::Arc;

use cullet_cache::{ActionCache, BlobStore};

use super::{LocalFiles, Reclaim, SourceFiles};
use crate::{ImageRoots, NoImages, NoSecrets, OutputLimits, SecretValues, StepLimits, Volumes};

/// Who a worker is and what it allows.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// Its name in results.
    pub name: String,
    /// Where it works: on the filesystem of the cache, or linking and adopting become copying. Several
    /// processes may share it.
    pub work_dir: PathBuf,
    /// User and group that steps run as, if this process is root and they are others.
    pub owner: Option<(u32, u32)>,
    /// What a step may leave behind.
    pub outputs: OutputLimits,
    /// How much is kept of each stream that a step prints, in bytes; 64 MiB unless there is reason for more.
    pub log_bytes: u64,
    /// What a step may take together with its services, where it says nothing about that itself. Of no key: a result is the
    /// same whatever the machine allows.
    pub limits: StepLimits,
    /// The images that steps run in.
    pub images: Arc<dyn ImageRoots>,
    /// The secrets that steps get.
    pub secrets: Arc<dyn SecretValues>,
    /// Who takes back what steps give to sub-ids, where there are some.
    pub reclaim: Option<Arc<dyn Reclaim>>,
    /// The volumes of this machine; without, steps have none.
    pub volumes: Option<Volumes>,
}

impl WorkerConfig {
    /// With the usual limits and without images, for steps that run as this process does.
    pub fn new(name: impl Into<String>, work_dir: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            work_dir: work_dir.into(),
            owner: None,
            outputs: OutputLimits::default(),
            log_bytes: 64 << 20,
            limits: StepLimits::default(),
            images: Arc::new(NoImages),
            secrets: Arc::new(NoSecrets),
            reclaim: None,
            volumes: None,
        }
    }
}

/// Where inputs come from and results go to.
#[derive(Debug, Clone)]
pub struct Stores {
    /// Blobs, among them the directories of every input root.
    pub blobs: Arc<dyn BlobStore>,
    /// Results.
    pub actions: Arc<dyn ActionCache>,
    /// Blobs as files of this machine.
    pub files: Arc<dyn LocalFiles>,
    /// Sources that are not in the cache yet.
    pub sources: Arc<dyn SourceFiles>,
}
