//! Digests and Merkle trees in the form of the Remote Execution API v2. A leaf: no I/O, no clock, no other
//! crate of this workspace.
//!
//! A [`Digest`] that exists is well formed, and a [`Directory`] that exists is canonical, so nobody further
//! in has to check again.

mod digest;
mod directory;
mod function;
mod name;
mod tree;
mod wire;

pub use digest::{Digest, ParseDigestError};
pub use directory::{Directory, DirectoryError, DirectoryNode, FileNode, SymlinkNode};
pub use function::{DigestFunction, Hasher, UnknownDigestFunction};
pub use name::{NameError, NodeName};
pub use tree::{AssembleError, Assembled, Mount, TreeRef, assemble};
