//! Digests and trees as `cullet.v1` sends them.

use cullet_digest::{Digest, DigestFunction, ParseDigestError, TreeRef};
use cullet_proto::v1;

/// A digest as it is sent.
pub fn digest_to_wire(digest: &Digest) -> v1::Digest {
    // A digest's size fits: it was checked when the digest was made.
    v1::Digest { hash: digest.hash_hex(), size_bytes: digest.size() as i64 }
}

/// A digest that was sent.
///
/// # Errors
/// It is none.
pub fn digest_from_wire(function: DigestFunction, wire: &v1::Digest) -> Result<Digest, ParseDigestError> {
    Digest::from_wire(function, &wire.hash, wire.size_bytes)
}

/// A tree as it is sent.
pub fn tree_to_wire(tree: &TreeRef) -> v1::Tree {
    let kind = match tree {
        TreeRef::File { executable: false, .. } => v1::tree::Kind::File,
        TreeRef::File { executable: true, .. } => v1::tree::Kind::Executable,
        TreeRef::Directory(_) => v1::tree::Kind::Directory,
    };
    v1::Tree { kind: kind.into(), digest: Some(digest_to_wire(&tree.digest())) }
}

/// Why a message is no tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// It does not say whether it is a file or a directory, or which.
    #[error("it lacks its kind or its digest")]
    Incomplete,
    /// Its digest is none.
    #[error(transparent)]
    Digest(#[from] ParseDigestError),
}

/// A tree that was sent.
///
/// # Errors
/// It is none.
pub fn tree_from_wire(function: DigestFunction, wire: &v1::Tree) -> Result<TreeRef, TreeError> {
    let digest = wire.digest.as_ref().ok_or(TreeError::Incomplete)?;
    let digest = digest_from_wire(function, digest)?;
    match wire.kind() {
        v1::tree::Kind::File => Ok(TreeRef::File { digest, executable: false }),
        v1::tree::Kind::Executable => Ok(TreeRef::File { digest, executable: true }),
        v1::tree::Kind::Directory => Ok(TreeRef::Directory(digest)),
        v1::tree::Kind::Unspecified => Err(TreeError::Incomplete),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_survive_being_sent_and_nothing_else_is_one() {
        let function = DigestFunction::Blake3;
        let digest = function.digest(b"x");
        let trees = [
            TreeRef::File { digest, executable: false },
            TreeRef::File { digest, executable: true },
            TreeRef::Directory(digest),
        ];
        for tree in trees {
            assert_eq!(tree_from_wire(function, &tree_to_wire(&tree)), Ok(tree));
        }
        assert_eq!(tree_from_wire(function, &v1::Tree::default()), Err(TreeError::Incomplete));
        let mut negative = tree_to_wire(&trees[0]);
        negative.digest.as_mut().unwrap().size_bytes = -1;
        assert!(matches!(tree_from_wire(function, &negative), Err(TreeError::Digest(_))));
    }
}
