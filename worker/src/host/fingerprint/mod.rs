//! What identifies the software of a machine, so that results of the `host` image are shared between machines
//! that have the same tools, and only between those.

mod content;
mod managers;
mod memory;
mod parts;
mod reader;
mod system;
mod tree;
mod walk;
mod watch;

use std::path::Path;

use cullet_digest::DigestFunction;
use serde::{Deserialize, Serialize};

use self::reader::Reader;
use super::HostTools;

/// The identity of a machine's software. It contains no path below a home directory, no time, no host name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFingerprint {
    /// BLAKE3 over all parts, in hexadecimal: what stands for the image in a step's key.
    pub digest: String,
    /// What it is made of, in a fixed order, so that two fingerprints can be compared part by part.
    pub parts: Vec<FingerprintPart>,
}

/// One part of a fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FingerprintPart {
    /// What it covers, such as `packages (dpkg)` or `tools ~/.cargo/bin`.
    pub name: String,
    /// A digest in hexadecimal, or the value itself where that is short.
    pub value: String,
}

/// Takes the fingerprint of this machine with these tools.
///
/// Files are read once: `memory` names a file that keeps digests next to the size, times and inode they were
/// taken at, and a second one with the extension `files` lies beside it. They are an optimisation: when they cannot
/// be read or written the result is the same.
///
/// With a memory, of a tree with some thousand files only directories are looked at each time, and every file every
/// ten minutes: a file that is overwritten in place there may be noticed that much later.
pub fn fingerprint(tools: &HostTools, memory: Option<&Path>) -> HostFingerprint {
    fingerprint_of(Path::new("/"), tools, memory)
}

/// Takes the fingerprint of the machine whose root directory is `root`; all paths of `tools` are below it.
pub fn fingerprint_of(root: &Path, tools: &HostTools, memory: Option<&Path>) -> HostFingerprint {
    let mut reader = Reader::new(root, memory);
    let parts = parts::all(&mut reader, tools);
    reader.finish();
    HostFingerprint { digest: digest_of(&parts), parts }
}

impl HostFingerprint {
    /// The names of the parts that differ from an `earlier` fingerprint, including those only one of them has.
    pub fn changed_since(&self, earlier: &Self) -> Vec<String> {
        let mut names: Vec<&FingerprintPart> = Vec::new();
        names.extend(self.parts.iter().filter(|part| !earlier.parts.contains(part)));
        names.extend(earlier.parts.iter().filter(|part| !self.parts.contains(part)));
        let mut names: Vec<String> = names.into_iter().map(|part| part.name.clone()).collect();
        names.sort();
        names.dedup();
        names
    }
}

fn digest_of(parts: &[FingerprintPart]) -> String {
    let mut text = String::from("cullet host 2\n");
    for part in parts {
        // Lengths keep two different lists from ever giving the same text.
        text.push_str(&format!("{} {} {} {}\n", part.name.len(), part.name, part.value.len(), part.value));
    }
    DigestFunction::Blake3.digest(text.as_bytes()).hash_hex()
}
