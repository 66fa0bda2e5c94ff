//! The workspace, together with what is already known about the part of it that the step left as it was.

use std::sync::Arc;

use cullet_cache::BlobStore;
use cullet_digest::{Digest, Directory};
use tokio::runtime::Handle;

use super::fault::{CollectError, shown};
use crate::layers::{Entries, Entry, LayerSet, Workspace, join};

/// Reads the merged workspace.
pub(super) struct View<'a> {
    pub(super) workspace: Workspace,
    pub(super) blobs: &'a dyn BlobStore,
    pub(super) runtime: Handle,
    pub(super) input_root: Digest,
    /// Whether outputs may be links, and have links that lead anywhere.
    pub(super) keeps_links: bool,
}

/// A directory of the workspace.
#[derive(Debug, Clone)]
pub(super) struct Cursor {
    /// Relative to the workspace.
    pub(super) path: Vec<u8>,
    /// The layers that have a part in it.
    pub(super) layers: LayerSet,
    /// What the inputs have there, where they show through.
    pub(super) known: Option<Arc<Directory>>,
}

impl View<'_> {
    /// The workspace itself.
    pub(super) fn root(&self) -> Result<Cursor, CollectError> {
        let layers = self.workspace.root();
        let known = match self.workspace.shared_layer() {
            Some(_) => Some(self.directory(b"", &self.input_root)?),
            None => None,
        };
        Ok(Cursor { path: Vec::new(), layers, known })
    }

    /// What is at `name`.
    pub(super) fn entry(&self, at: &Cursor, name: &[u8]) -> Result<Option<Entry>, CollectError> {
        let found = self.workspace.entry(&at.path, at.layers, name);
        found.map_err(|source| CollectError::Read { path: shown(&join(&at.path, name)), source })
    }

    /// All entries, sorted; none where the step made more than `most` of them.
    pub(super) fn list(&self, at: &Cursor, most: u64) -> Result<Option<Entries>, CollectError> {
        let found = self.workspace.list(&at.path, at.layers, most);
        found.map_err(|source| CollectError::Read { path: shown(&at.path), source })
    }

    /// The directory at `name`, which has parts in `layers`.
    pub(super) fn descend(&self, at: &Cursor, name: &[u8], layers: LayerSet) -> Result<Cursor, CollectError> {
        let path = join(&at.path, name);
        let known = match self.known_directory(at, name, layers) {
            Some(digest) => Some(self.directory(&path, &digest)?),
            None => None,
        };
        Ok(Cursor { path, layers, known })
    }

    /// The digest of a directory that the step did not touch anywhere below.
    pub(super) fn untouched(&self, at: &Cursor, name: &[u8], layers: LayerSet) -> Option<Digest> {
        let shared = self.workspace.shared_layer()?;
        (layers == LayerSet::only(shared)).then(|| self.known_directory(at, name, layers)).flatten()
    }

    /// The digest of a file that comes from the inputs.
    pub(super) fn known_file(&self, at: &Cursor, name: &str, layer: usize) -> Option<Digest> {
        let files = at.known.as_ref().filter(|_| self.workspace.shared_layer() == Some(layer))?.files();
        let found = files.binary_search_by(|node| (*node.name).cmp(name)).ok()?;
        Some(files[found].digest)
    }

    /// The digest that the inputs have for the directory at `name`, if they show through there.
    pub(super) fn known_directory(&self, at: &Cursor, name: &[u8], layers: LayerSet) -> Option<Digest> {
        let shared = self.workspace.shared_layer()?;
        let directories = at.known.as_ref().filter(|_| layers.has(shared))?.directories();
        let found = directories.binary_search_by(|node| node.name.as_bytes().cmp(name)).ok()?;
        Some(directories[found].digest)
    }

    /// A directory of the inputs.
    pub(super) fn directory(&self, path: &[u8], digest: &Digest) -> Result<Arc<Directory>, CollectError> {
        if digest.is_empty() {
            return Ok(Arc::default());
        }
        let lost = || CollectError::InputLost { path: shown(path), digest: *digest };
        let blob = self.runtime.block_on(self.blobs.get(digest)).map_err(|_| lost())?;
        let bytes = blob.into_bytes().map_err(|_| lost())?;
        Ok(Arc::new(Directory::decode(digest.function(), &bytes).map_err(|_| lost())?))
    }
}
