//! A local directory as a Merkle tree of digests (REAPI v2 `Directory`), with a stat cache.
//!
//! A [`Scanner`] turns a [`SourceSpec`] into a [`SourceTree`]. The tree depends on names, contents, the owner's
//! execute bit and the targets of symbolic links, and on nothing else: not on the path of the checkout, times,
//! owners, the umask, the locale or the order in which a directory lists its entries.
//!
//! What belongs to a source: everything below its root but `.git`, what `.gitignore` files and
//! `.git/info/exclude` ignore, what the source's own globs leave out, and directories without files, which git
//! does not know either. Whether git tracks a file makes no difference: one that is tracked and ignored is left
//! out, and `exclude: ["!path"]` brings it back.
//!
//! Invariant: a scan stores no content and follows no link. Whoever needs a file's bytes asks
//! [`SourceTree::file`] where they lie, and checks them against the digest.

mod codec;
mod dirs;
mod file_digests;
mod glob;
mod hashing;
mod large;
mod look;
mod node;
mod opened;
mod problem;
mod queue;
mod read;
mod repository;
mod rule;
mod rules;
mod scanner;
mod snapshot;
mod spec;
mod stat;
mod store;
mod tree;
mod walk;

pub use file_digests::{FileDigestError, FileDigests};
pub use problem::{Problem, ProblemKind, Problems, ScanError, ScanWarning, printable};
pub use scanner::Scanner;
pub use spec::{ScanLimits, SourceSpec};
pub use tree::{ScanStats, SourceTree, SubtreeError};
