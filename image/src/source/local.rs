//! Parts of images that are on this machine already, whoever's images they are.

use std::fmt::Debug;
use std::path::PathBuf;

use crate::Digest;

/// Where blobs are that need not be fetched: in a file that was brought along, for example.
pub trait LocalBlobs: Debug + Send + Sync {
    /// Where a blob is, if it is here. Whoever reads it compares it with its digest.
    fn find(&self, digest: &Digest) -> Option<FilePart>;
}

/// Bytes of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePart {
    /// Which.
    pub file: PathBuf,
    /// The first byte.
    pub offset: u64,
    /// How many.
    pub size: u64,
}
