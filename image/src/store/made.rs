//! Layers that were made here or on another machine of one's own, and are in no image yet. Whoever asks for one knows
//! it by a name of theirs, and has its archive.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::helper::UnpackTask;
use super::hold::{Hold, used_now};
use super::tree::{self, GiveUp, TREE};
use super::{Shared, Store};
use crate::layer::LayerError;
use crate::source::offload;
use crate::{Digest, ImageError};

/// Puts the archive of a layer at a path where nothing is; false where it is nowhere any more. Blocks.
pub type Archive = Box<dyn FnOnce(&Path) -> std::io::Result<bool> + Send>;

/// A layer that stays while this lives.
#[derive(Debug)]
pub struct MadeLayer {
    /// A lower directory for overlayfs; never to be written to.
    pub tree: PathBuf,
    /// What keeps it there.
    pub hold: LayerHold,
}

/// Keeps a layer where it is until it is dropped.
#[derive(Debug)]
pub struct LayerHold {
    _hold: Arc<Hold>,
}

/// The archive, beside the tree that is made of it.
const ARCHIVE: &str = "archive";

impl Store {
    /// The layer that is called `name`, which stands for its content: letters, digits and `-`. Where it is missing, it
    /// is unpacked from an uncompressed archive; whoever asks for the same one at the same time, in this process or another,
    /// waits for the first. None where the archive is nowhere any more.
    ///
    /// # Errors
    /// [`ImageError::Layer`] and [`ImageError::Io`] above all.
    pub async fn made_layer(&self, name: &str, archive: Archive) -> Result<Option<MadeLayer>, ImageError> {
        let (shared, name) = (Arc::clone(&self.shared), format!("made-{name}"));
        let form = tree::form_name(&shared.options.unpack);
        let path = shared.dir.join("layers").join(&form).join(&name);
        let (holder, lock_name) = (Arc::clone(&shared), format!("{form}-{name}"));
        let (at, title) = (path.clone(), name.clone());
        // Before it is looked for: nobody can remove it from then on.
        let (hold, found) = offload(&title, move || {
            let hold = holder.hold(&lock_name)?;
            let found = tree::look(&at)?.is_some();
            if found {
                used_now(&tree::notes(&at));
            }
            Ok((LayerHold { _hold: hold }, found))
        })
        .await?;
        if found {
            return Ok(Some(MadeLayer { tree: path.join(TREE), hold }));
        }
        let key = Digest::of(name.as_bytes());
        let work = async move { shared.unpack_made(&name, path, archive).await };
        let tree = self.shared.made.join((key, key, key), work).await?;
        Ok(tree.map(|tree| MadeLayer { tree, hold }))
    }
}

impl Shared {
    async fn unpack_made(
        &self,
        name: &str,
        path: PathBuf,
        archive: Archive,
    ) -> Result<Option<PathBuf>, ImageError> {
        let _permit = self.unpacks.acquire().await;
        let name = format!("{}-{name}", tree::form_name(&self.options.unpack));
        let lock = self.lock(&name).await?;
        let (options, helper) = (self.options.unpack.clone(), self.options.helper.clone());
        let syncing = Arc::clone(&self.syncing);
        let (working, title) = (self.dir.join("unpacking").join(&name), name.clone());
        let give_up = GiveUp(Arc::default());
        let cancelled = Arc::clone(&give_up.0);
        offload(&title, move || {
            // Goes with the thread: it may outlive whoever asked.
            let _lock = lock;
            if tree::look(&path)?.is_some() {
                return Ok(Some(path.join(TREE)));
            }
            let helper = helper.as_deref();
            super::clean::remove(&working, helper)?;
            let unpacked: Result<bool, ImageError> = (|| {
                let tree = working.join(TREE);
                std::fs::create_dir_all(&tree).map_err(|error| ImageError::io("make", &tree, error))?;
                let file = working.join(ARCHIVE);
                let fail = |error| ImageError::io("read", &file, error);
                if !archive(&file).map_err(fail)? {
                    return Ok(false);
                }
                let bytes = std::fs::metadata(&file).map_err(fail)?.len();
                let task = UnpackTask { file: file.clone(), offset: 0, bytes, id: None, tree, options };
                let unpacked = task.run_with(helper, &cancelled);
                let unpacked = unpacked.map_err(|error| unreadable(&name, error))?;
                std::fs::remove_file(&file).map_err(|error| ImageError::io("remove", &file, error))?;
                tree::describe(&working, unpacked)?;
                Ok(true)
            })();
            if !matches!(unpacked, Ok(true)) {
                // What is left is removed when the store is opened, if it cannot be now.
                drop(super::clean::remove(&working, helper));
            }
            if !unpacked? {
                return Ok(None);
            }
            tree::publish(&working, &path, helper)?;
            syncing.add(&path);
            Ok(Some(path.join(TREE)))
        })
        .await
    }
}

fn unreadable(name: &str, source: LayerError) -> ImageError {
    match source {
        LayerError::Io { action, path, source } => ImageError::Io { action, path, source },
        source => {
            let layer = Digest::of(name.as_bytes());
            ImageError::Layer { image: "a step's root".to_owned(), layer, source: Box::new(source) }
        }
    }
}
