//! What the journal says. Field names are an interface (see docs/break-glass.md).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One line of the journal, without its signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Counts from 1, without a gap.
    pub(crate) seq: u64,
    /// RFC 3339, UTC.
    pub(crate) time: String,
    /// SHA-256 of the line before, without its end; zeros before the first.
    pub(crate) previous: String,
    /// Whose run it is.
    pub(crate) who: Who,
    /// The run, 32 hexadecimal digits.
    pub(crate) run: String,
    #[serde(flatten)]
    pub(crate) event: Event,
}

/// Who did it, as this machine knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Who {
    pub(crate) user: String,
    pub(crate) uid: u32,
    pub(crate) host: String,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event {
    /// Written before anything is executed.
    Begun(Box<Begun>),
    /// Written when nothing is executed any more.
    Finished(Finished),
}

/// See [`Event::Begun`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Begun {
    pub(crate) reason: String,
    pub(crate) pipeline: Pipeline,
    /// Where its file is in a repository, if it is in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) git: Option<Git>,
    /// Sources and the digests of their trees.
    pub(crate) sources: BTreeMap<String, String>,
    /// Images and the manifests that they mean.
    pub(crate) images: BTreeMap<String, String>,
    /// Steps that were asked for; empty for all.
    pub(crate) targets: Vec<String>,
    pub(crate) params: BTreeMap<String, String>,
    /// The names of secrets that steps get. Never values.
    pub(crate) secrets: Vec<String>,
    /// What acts on the outside world: steps, and pushes of images.
    pub(crate) effects: Vec<String>,
    pub(crate) approvals: Vec<Approved>,
    /// Whose the results are.
    pub(crate) scope: String,
}

/// Which pipeline.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pipeline {
    pub(crate) name: String,
    /// From the root.
    pub(crate) file: String,
    /// SHA-256 of the file.
    pub(crate) digest: String,
}

/// What a repository says of the directory of the pipeline.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Git {
    pub(crate) commit: String,
    /// Files differ from the commit.
    pub(crate) dirty: bool,
}

/// Who approved.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Approved {
    pub(crate) name: String,
    pub(crate) key: String,
    /// RFC 3339, UTC.
    pub(crate) until: String,
    /// What they gave, which anybody with their public key can check.
    pub(crate) token: String,
}

/// See [`Event::Finished`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Finished {
    /// As a run's status; `infra_failed` where the run could not even be decided.
    pub(crate) outcome: String,
    pub(crate) executed: u32,
    pub(crate) cached: u32,
    pub(crate) failed: u32,
    pub(crate) steps: Vec<StepRecord>,
}

/// What became of a step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StepRecord {
    pub(crate) step: String,
    pub(crate) status: String,
    /// Its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) action_digest: Option<String>,
    /// Of the REAPI `ActionResult`, without a signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) result_digest: Option<String>,
    /// `local`, `shared`, or `identical` for the result of an identical step of the run; none where it was executed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cached_from: Option<String>,
}
