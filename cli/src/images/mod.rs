//! What the image references of pipelines mean: `cullet.lock`, and where it says nothing, registries, layouts and
//! archives. Nothing of an image but its documents is fetched here.

mod error;
mod file;
mod find;
mod lock;
mod pinned;

pub(crate) use file::LockFile;
pub(crate) use find::{Finder, Wanted};
pub(crate) use lock::Lock;
pub(crate) use pinned::Pinned;
