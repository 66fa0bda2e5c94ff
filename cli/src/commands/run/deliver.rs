//! The run's outputs, written where the user wants them.

mod draft;
mod image;
mod ledger;

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use cullet_cache::disk::DiskStore;
use cullet_cache::{Backing, BlobStore, StoreError};
use cullet_coordinator::deliverable::Deliverable;
use cullet_coordinator::resolve::describe;
use cullet_coordinator::workers::Delivery;
use cullet_core::StepIndex;
use cullet_digest::{Digest, Directory, TreeRef};

use crate::images::Exporter;
use draft::Draft;
use ledger::Ledger;

/// Writes outputs below a directory, as copies: what is written is the user's to change.
#[derive(Debug)]
pub(super) struct OutputDir {
    pub(super) written: Written,
    pub(super) blobs: Arc<dyn BlobStore>,
    pub(super) disk: Arc<DiskStore>,
    /// Where outputs come from that are elsewhere.
    pub(super) behind: Option<Backing>,
    /// What makes images of layers.
    pub(super) images: Exporter,
}

/// Where outputs go, and which were written there.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    dir: PathBuf,
    names: Arc<Mutex<BTreeSet<String>>>,
}

impl Written {
    pub(crate) fn to(dir: PathBuf) -> Self {
        Self { dir, names: Arc::default() }
    }

    pub(super) fn closing(&self) -> (PathBuf, usize) {
        (self.dir.clone(), self.names().len())
    }

    /// Where an output was written, if it was.
    pub(super) fn path_of(&self, name: &str) -> Option<PathBuf> {
        self.names().contains(name).then(|| self.dir.join(name))
    }

    fn names(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nothing was asked for.
#[derive(Debug)]
pub(super) struct NoDelivery;

#[async_trait]
impl Delivery for NoDelivery {
    async fn deliver(&self, _: Vec<Deliverable<TreeRef>>) -> Result<Vec<StepIndex>, String> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl Delivery for OutputDir {
    async fn deliver(&self, outputs: Vec<Deliverable<TreeRef>>) -> Result<Vec<StepIndex>, String> {
        let mut lost = Vec::new();
        self.written.names().clear();
        for Deliverable { path, parts, image } in outputs {
            let gone = self.bring(&parts).await?;
            if !gone.is_empty() {
                lost.extend(gone);
                continue;
            }
            let written = match (&image, parts.last()) {
                (Some(image), _) => self.write_image(&path, &parts, image).await,
                (None, Some((step, tree))) => self.write(&path, *tree).await.map_err(|error| (error, *step)),
                (None, None) => Ok(()),
            };
            match written {
                Ok(()) => drop(self.written.names().insert(path)),
                Err((WriteError::Lost, step)) => lost.push(step),
                Err((WriteError::Failed(reason), _)) => {
                    let dir = self.written.dir.display();
                    return Err(format!("cannot write the output '{path}' into {dir}: {reason}"));
                }
            }
        }
        Ok(lost)
    }
}

enum WriteError {
    /// A blob of the output cannot be read any more: the step has to run again.
    Lost,
    Failed(String),
}

impl From<StoreError> for WriteError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound { .. } | StoreError::Mismatch { .. } => Self::Lost,
            // Of the user's disk: nothing is written to the cache here.
            StoreError::NoSpace { .. } => Self::Failed("No space left on device".to_owned()),
            other => Self::Failed(describe(&other)),
        }
    }
}

impl From<std::io::Error> for WriteError {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

fn is_directory(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|there| there.is_dir())
}

fn in_the_way(dir: &Path) -> WriteError {
    WriteError::Failed(format!(
        "'{}' is a directory with something in it that no earlier `--output` wrote: remove it, or name another \
         directory with --output",
        dir.display()
    ))
}

/// A file to copy, once the directories are there.
struct Copy {
    digest: Digest,
    executable: bool,
    to: PathBuf,
}

impl OutputDir {
    /// Brings the parts of an output to this machine, and nothing else: which steps' parts can no longer be had.
    async fn bring(&self, parts: &[(StepIndex, TreeRef)]) -> Result<Vec<StepIndex>, String> {
        let Some(behind) = &self.behind else { return Ok(Vec::new()) };
        let mut gone = Vec::new();
        for (step, tree) in parts {
            match behind.fetch_tree(tree).await {
                Ok(()) => {}
                Err(StoreError::NotFound { .. } | StoreError::Mismatch { .. }) => gone.push(*step),
                Err(error) => return Err(format!("an output cannot be fetched: {}", describe(&error))),
            }
        }
        Ok(gone)
    }

    fn dir(&self) -> &Path {
        &self.written.dir
    }

    async fn write(&self, path: &str, tree: TreeRef) -> Result<(), WriteError> {
        match tree {
            TreeRef::File { digest, executable } => self.write_file(path, digest, executable).await,
            TreeRef::Directory(root) if path.is_empty() => self.write_entries(root).await,
            TreeRef::Directory(root) => self.write_directory(path, root).await,
        }
    }

    async fn write_file(&self, path: &str, digest: Digest, executable: bool) -> Result<(), WriteError> {
        let target = self.prepare(path)?;
        if is_directory(&target) {
            // Only an empty one: a file never stands for all that a directory holds.
            std::fs::remove_dir(&target).map_err(|_| in_the_way(&target))?;
        }
        self.copy(vec![Copy { digest, executable, to: target }]).await
    }

    /// An output that is the whole of the directory: entry by entry, because the directory itself is the user's.
    async fn write_entries(&self, root: Digest) -> Result<(), WriteError> {
        let directory = self.directory(&root).await?;
        for file in directory.files() {
            self.write_file(&file.name, file.digest, file.executable).await?;
        }
        for sub in directory.directories() {
            self.write_directory(&sub.name, sub.digest).await?;
        }
        for link in directory.symlinks() {
            let target = self.prepare(&link.name)?;
            if std::fs::symlink_metadata(&target).is_ok_and(|there| there.is_symlink()) {
                std::fs::remove_file(&target)?;
            }
            symlink(&*link.target, &target)?;
        }
        Ok(())
    }

    /// Replaces a directory whole or not at all, and only if nobody but Cullet put something into it.
    async fn write_directory(&self, path: &str, root: Digest) -> Result<(), WriteError> {
        let target = self.prepare(path)?;
        let mut ledger = Ledger::of(&self.written.dir);
        if is_directory(&target) && !ledger.has(path) {
            std::fs::remove_dir(&target).map_err(|_| in_the_way(&target))?;
        }
        let draft = Draft::beside(&target);
        self.write_tree(root, draft.path()).await?;
        ledger.add(path)?;
        Ok(replace(draft.path(), &target)?)
    }

    /// Makes the directories above an output. A symbolic link there would lead the output elsewhere.
    fn prepare(&self, path: &str) -> Result<PathBuf, WriteError> {
        std::fs::create_dir_all(&self.written.dir).map_err(|error| {
            match self.written.dir.is_dir() || !self.written.dir.exists() {
                true => WriteError::from(error),
                false => WriteError::Failed(format!("'{}' is not a directory", self.written.dir.display())),
            }
        })?;
        let mut at = self.written.dir.clone();
        let mut segments = path.split('/').peekable();
        while let Some(segment) = segments.next() {
            at.push(segment);
            if segments.peek().is_none() {
                break;
            }
            match std::fs::symlink_metadata(&at) {
                Ok(there) if there.is_dir() => {}
                Ok(_) => return Err(WriteError::Failed(format!("'{}' is not a directory", at.display()))),
                Err(_) => std::fs::create_dir(&at)?,
            }
        }
        Ok(at)
    }

    async fn directory(&self, digest: &Digest) -> Result<Directory, WriteError> {
        let bytes = self.blobs.get(digest).await?.into_bytes()?;
        Directory::decode(digest.function(), &bytes).map_err(|_| WriteError::Lost)
    }

    async fn write_tree(&self, root: Digest, at: &Path) -> Result<(), WriteError> {
        let mut copies = Vec::new();
        let mut open = vec![(root, at.to_path_buf())];
        while let Some((digest, path)) = open.pop() {
            std::fs::create_dir(&path)?;
            let directory = self.directory(&digest).await?;
            for link in directory.symlinks() {
                symlink(&*link.target, path.join(&*link.name))?;
            }
            for file in directory.files() {
                copies.push(Copy {
                    digest: file.digest,
                    executable: file.executable,
                    to: path.join(&*file.name),
                });
            }
            open.extend(directory.directories().iter().map(|sub| (sub.digest, path.join(&*sub.name))));
        }
        self.copy(copies).await
    }

    async fn copy(&self, copies: Vec<Copy>) -> Result<(), WriteError> {
        let disk = self.disk.clone();
        let copying = move || -> Result<(), StoreError> {
            for copy in copies {
                let mode = if copy.executable { 0o777 } else { 0o666 };
                disk.copy_to(&copy.digest, &copy.to, mode)?;
            }
            Ok(())
        };
        match tokio::task::spawn_blocking(copying).await {
            Ok(copied) => Ok(copied?),
            Err(stopped) => Err(WriteError::Failed(stopped.to_string())),
        }
    }
}

/// Puts a finished directory in the place of whatever is there.
fn replace(draft: &Path, target: &Path) -> std::io::Result<()> {
    match std::fs::symlink_metadata(target) {
        Ok(there) if there.is_dir() => std::fs::remove_dir_all(target)?,
        Ok(_) => std::fs::remove_file(target)?,
        Err(_) => {}
    }
    std::fs::rename(draft, target)
}
