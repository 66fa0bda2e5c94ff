//! What `deny.toml` says. The file is in the format of `cargo deny`, which also looks for advisories when somebody
//! runs it; a key or value that these tests would not enforce fails them.

use serde::Deserialize;

/// All of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Policy {
    /// What is built for.
    pub(crate) graph: Graph,
    /// Under which terms.
    pub(crate) licenses: Licenses,
    /// Which crates.
    pub(crate) bans: Bans,
    /// Only `cargo deny` has the list of advisories and of what was yanked.
    #[serde(rename = "advisories")]
    _advisories: serde::de::IgnoredAny,
    /// From where.
    pub(crate) sources: Sources,
}

/// What the graph of crates is resolved for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Graph {
    /// Names of platforms.
    pub(crate) targets: Vec<String>,
}

/// Terms.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Licenses {
    /// SPDX names, with an exception where one belongs to it.
    pub(crate) allow: Vec<String>,
}

/// Crates.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Bans {
    #[serde(rename = "multiple-versions")]
    _multiple_versions: Denied,
    #[serde(rename = "wildcards")]
    _wildcards: Denied,
    /// Whether crates of the workspace need not name each other's versions.
    pub(crate) allow_wildcard_paths: bool,
    /// Versions that may be there beside another one.
    pub(crate) skip: Vec<Named>,
    /// What may not be there at all.
    pub(crate) deny: Vec<Named>,
}

/// A crate, and why it is listed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Named {
    /// `NAME`, or `NAME@REQUIREMENT` for some of its versions.
    #[serde(rename = "crate")]
    pub(crate) spec: String,
    #[serde(rename = "reason", default)]
    _reason: Option<String>,
}

/// Places.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Sources {
    #[serde(rename = "unknown-registry")]
    _unknown_registry: Denied,
    #[serde(rename = "unknown-git")]
    _unknown_git: Denied,
    /// Addresses of registries.
    pub(crate) allow_registry: Vec<String>,
}

/// The only level there is here: nobody reads the warnings of a test that passes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Denied {
    Deny,
}

impl Policy {
    /// Reads the file.
    pub(crate) fn read(text: &str) -> Self {
        match toml::from_str(text) {
            Ok(policy) => policy,
            Err(error) => panic!("deny.toml: {error}"),
        }
    }
}

impl Named {
    /// Whether it speaks of this version of this crate.
    pub(crate) fn is(&self, name: &str, version: &semver::Version) -> bool {
        let (listed, which) = self.spec.split_once('@').unwrap_or((&self.spec, "*"));
        let which = semver::VersionReq::parse(which).unwrap_or_else(|error| panic!("{}: {error}", self.spec));
        listed == name && which.matches(version)
    }
}
