//! Layers: archives that become directories for overlayfs, and the other way round.

mod announced;
mod attributes;
mod capture;
mod compare;
mod compression;
mod content;
mod engine;
mod error;
mod limits;
mod meta;
mod options;
mod path;
mod root;
mod stream;
mod unpack;
mod whiteout;
mod write;

#[cfg(test)]
mod tests;

pub use capture::{Capture, OwnersOf, capture_layer};
pub use compare::{Contents, EntryDifference, EntryFacts, EntryKind, compare_layers};
pub use compression::Compression;
pub(crate) use content::write_content;
pub use engine::{Change, DirectoryOwner, EngineRoot, capture_engine_layer};
pub use error::LayerError;
pub(crate) use error::shown;
pub use limits::{Devices, GivenOwners, Limits, Notes, OverlayForm, Owners};
pub use options::UnpackOptions;
pub(crate) use unpack::unpack_made;
pub use unpack::{Unpacked, unpack_layer};
pub use write::{WriteOptions, Written, write_layer};

use serde::{Deserialize, Serialize};

use crate::Digest;
pub use crate::tarball::TarError;

/// What is announced of a layer, and has to be true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerId {
    /// Of the bytes as they are stored or sent.
    pub digest: Digest,
    /// Of the same, in bytes.
    pub size: u64,
    /// Of the uncompressed archive.
    pub diff_id: Digest,
}
