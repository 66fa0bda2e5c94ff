//! What earlier fingerprints read, kept in two files: one that is read when something has changed, and one with
//! every single file of the trees, which is only read when something in a tree has.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use cullet_digest::{DigestFunction, Hasher};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::RULES;
use super::watch::Watched;
use crate::host::stamp::Stamp;

/// What was read of single files and directories, and of trees.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Memory {
    /// By path, what was read and the stamp it was read at. Text compares several times faster than paths do; two
    /// paths that only differ in what is no text have different inodes.
    pub(super) single: BTreeMap<String, (Stamp, Content)>,
    /// By root, the digest of a whole tree and how to see that it still holds.
    pub(super) trees: BTreeMap<PathBuf, TreeMemory>,
}

/// The files of a tree by their path in it: the stamp they were read at, and their digest.
pub(super) type TreeFiles = BTreeMap<String, (Stamp, String)>;

/// By root of the tree.
pub(super) type Details = BTreeMap<PathBuf, TreeFiles>;

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Content {
    /// The digest of a file, in hexadecimal.
    File(String),
    /// The names in a directory, sorted.
    Names(Vec<String>),
}

/// What is remembered of a tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TreeMemory {
    /// A digest over the names and stamps of all its entries.
    pub(super) stamps: String,
    /// The digest of the tree itself.
    pub(super) value: String,
    /// What to look at each time.
    pub(super) watched: Watched,
}

/// Where the details lie, next to the memory.
pub(super) fn details_path(memory: &Path) -> PathBuf {
    memory.with_extension("files")
}

/// Anything unreadable counts as nothing remembered.
pub(in crate::host) fn load<T: DeserializeOwned + Default>(path: Option<&Path>) -> T {
    path.and_then(|path| fs::read(path).ok()).and_then(|bytes| decode(&bytes)).unwrap_or_default()
}

/// The contents, if they are what was written: what a failing disk changed in them would be believed otherwise.
fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (check, bytes) = bytes.split_at_checked(CHECK_BYTES)?;
    (check == checked(bytes).as_bytes()).then(|| postcard::from_bytes(bytes).ok()).flatten()
}

/// What stands before the contents: a digest of them, and of what they follow from.
fn checked(bytes: &[u8]) -> String {
    let mut hasher = Hasher::new(DigestFunction::Blake3);
    hasher.update(RULES.as_bytes());
    hasher.update(bytes);
    hasher.finish().hash_hex()
}

/// Hexadecimal digits of a BLAKE3 digest.
const CHECK_BYTES: usize = 64;

/// Replaces the file in one step: another cullet may be reading it. Failing costs time the next time, nothing else.
pub(in crate::host) fn store<T: Serialize>(path: &Path, memory: &T) {
    let Ok(bytes) = postcard::to_allocvec(memory) else { return };
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let written = fs::File::create(&temporary).and_then(|mut file| {
        file.write_all(checked(&bytes).as_bytes())?;
        file.write_all(&bytes)
    });
    if written.and_then(|()| fs::rename(&temporary, path)).is_err() {
        let _ = fs::remove_file(&temporary);
    }
}
