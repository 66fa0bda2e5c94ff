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

use cullet_digest::DigestFunction;
use serde::{Deserialize, Serialize};

use super::HostTools;
pub(super) use memory::{load, store};
pub(super) use reader::Reader;
pub(super) use watch::Watched;

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

/// What `reader` finds to be the fingerprint of a machine with these tools.
pub(super) fn take(reader: &mut Reader, tools: &HostTools) -> HostFingerprint {
    let parts = parts::all(reader, tools);
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

/// Another text for each set of rules for what a fingerprint is made of and how it is remembered, so that what was
/// found by other rules is neither shared nor believed.
const RULES: &str = "cullet host 2\n";

fn digest_of(parts: &[FingerprintPart]) -> String {
    let mut text = String::from(RULES);
    for part in parts {
        // Lengths keep two different lists from ever giving the same text.
        text.push_str(&format!("{} {} {} {}\n", part.name.len(), part.name, part.value.len(), part.value));
    }
    DigestFunction::Blake3.digest(text.as_bytes()).hash_hex()
}
