//! What records point to, for whoever has to know what is needed.

use bytes::Bytes;
use cullet_digest::{Digest, Directory};

use super::kept_tree::KeptTree;
use super::recipe::{Piece, Recipe};
use super::{WHOLE, kept_tree, recipe};

/// What a record points to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Points {
    pub(crate) blobs: Vec<Digest>,
    pub(crate) directories: Vec<Digest>,
    pub(crate) data: Vec<Digest>,
    /// Blobs that are needed by nobody because of it, as far as it knows.
    pub(crate) released: Vec<Digest>,
}

/// What can be said of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Read {
    Points(Points),
    /// It is of no use to anybody.
    Damaged,
    /// It may be of a version that we do not know, so nobody can say what it needs.
    Unknown,
}

impl Read {
    /// The data, as far as that is known.
    pub(super) fn data(self) -> Vec<Digest> {
        if let Self::Points(points) = self { points.data } else { Vec::new() }
    }
}

/// What the record of a tree points to.
pub(crate) fn of_tree(root: Digest, record: &Bytes) -> Read {
    if let Some(tree) = KeptTree::decode(root, record) {
        let points = Points { blobs: tree.alone().to_vec(), data: tree.needs(), ..Points::default() };
        return Read::Points(points);
    }
    if kept_tree::may_be_newer(record) { Read::Unknown } else { Read::Damaged }
}

/// Whether a blob may have pieces; a shorter one is in its record, which need not be read.
pub(crate) const fn may_have_pieces(blob: &Digest) -> bool {
    blob.size() > WHOLE
}

/// What the record of a blob points to.
pub(crate) fn of_blob(blob: Digest, record: &Bytes) -> Read {
    match Recipe::decode(&blob, record) {
        Some(Recipe::Whole(_)) => Read::Points(Points::default()),
        Some(Recipe::Pieces(pieces)) => {
            let data = pieces.iter().map(Piece::data).collect();
            Read::Points(Points { data, ..Points::default() })
        }
        None if recipe::may_be_newer(record) => Read::Unknown,
        None => Read::Damaged,
    }
}

/// What a directory points to that is a blob by itself, as those of trees are that are too large for a record.
pub(crate) fn of_directory(digest: Digest, record: &Bytes) -> Read {
    match Recipe::decode(&digest, record) {
        Some(Recipe::Whole(bytes)) => {
            let Ok(directory) = Directory::decode(digest.function(), &bytes) else { return Read::Damaged };
            let blobs = directory.files().iter().map(|file| file.digest).collect();
            let directories = directory.directories().iter().map(|child| child.digest).collect();
            Read::Points(Points { blobs, directories, ..Points::default() })
        }
        // Nobody has directories of megabytes that are no tree; but if so, it would have to be put together first.
        Some(Recipe::Pieces(_)) => Read::Unknown,
        None => of_blob(digest, record),
    }
}
