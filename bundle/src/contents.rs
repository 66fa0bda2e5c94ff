//! What a bundle has, as its configuration says.

use std::collections::BTreeMap;

use cullet_digest::{Digest, DigestFunction};
use cullet_image::Digest as BlobName;
use serde::{Deserialize, Serialize};

/// The version of [`Contents`] that is written and read.
pub(crate) const VERSION: u32 = 1;

/// What a bundle has, and what it was made of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contents {
    /// Of this form.
    pub version: u32,
    /// The pipeline's name.
    pub pipeline: String,
    /// The version of the program that made the bundle.
    pub made_by: String,
    /// When: RFC 3339, in UTC.
    pub made_at: String,
    /// Which machines its images and its program are for, such as `linux/amd64`.
    pub platform: String,
    /// What was asked for; empty for every step.
    pub targets: Vec<String>,
    /// Parameters that were set.
    pub params: BTreeMap<String, String>,
    /// The pipeline file, by its path in the project.
    pub file: String,
    /// Files of the project that are no sources: the pipeline file and `cullet.lock`.
    pub files: Vec<File>,
    /// Source trees, by their places in the project.
    pub sources: Vec<Tree>,
    /// Images that steps run in.
    pub images: Vec<Image>,
    /// Results of steps.
    pub results: Vec<StepResult>,
    /// Steps that have none here: they will be executed.
    pub without_result: Vec<String>,
    /// The program, if it is there.
    pub program: Option<Program>,
    /// Records of results and trees: by name, the blob and its length.
    pub records: BTreeMap<String, (BlobName, u64)>,
    /// The digest of the manifest of the bundle that this one continues.
    pub base: Option<BlobName>,
}

/// A file of the project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Relative to the project, with `/`.
    pub path: String,
    /// Its bytes.
    pub blob: BlobName,
    /// How many.
    pub size: u64,
}

/// A source tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tree {
    /// In the pipeline.
    pub name: String,
    /// Where it is, relative to the project.
    pub path: String,
    /// The digest of its root directory, as `FUNCTION:HASH/SIZE`.
    pub root: String,
    /// Whether its files are in the bundle, or only this digest.
    pub included: bool,
}

/// An image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// As the pipeline has it.
    pub reference: String,
    /// The digest of its manifest.
    pub manifest: BlobName,
}

/// A result of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepResult {
    /// The step's name.
    pub step: String,
    /// Its key, as `FUNCTION:HASH/SIZE`.
    pub action: String,
}

/// The program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// The digest of its bytes.
    pub digest: BlobName,
    /// How many.
    pub size: u64,
}

impl Tree {
    /// A tree with this root.
    pub fn new(name: &str, path: &str, root: &Digest, included: bool) -> Self {
        Self { name: name.to_owned(), path: path.to_owned(), root: write_digest(root), included }
    }

    /// The root, if it is written as it should be.
    pub fn digest(&self) -> Option<Digest> {
        read_digest(&self.root)
    }
}

impl StepResult {
    /// The result of a step that has this key.
    pub fn new(step: &str, action: &Digest) -> Self {
        Self { step: step.to_owned(), action: write_digest(action) }
    }

    /// The key, if it is written as it should be.
    pub fn key(&self) -> Option<Digest> {
        read_digest(&self.action)
    }
}

/// `FUNCTION:HASH/SIZE`.
fn write_digest(digest: &Digest) -> String {
    format!("{}:{digest}", digest.function())
}

fn read_digest(text: &str) -> Option<Digest> {
    let (function, rest) = text.split_once(':')?;
    let function = DigestFunction::ALL.into_iter().find(|known| known.to_string() == function)?;
    Digest::parse(function, rest).ok()
}

/// The name of data as that of a blob: both are the SHA-256.
pub(crate) fn blob_name(digest: &Digest) -> BlobName {
    BlobName::from_hash(*digest.hash())
}
