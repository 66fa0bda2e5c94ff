//! What the journal says. Field names are an interface (see docs/break-glass.md).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One line of the journal, without its signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Counts from 1, without a gap.
    pub seq: u64,
    /// RFC 3339, UTC.
    pub time: String,
    /// SHA-256 of the line before, without its end; zeros before the first.
    pub previous: String,
    /// Whose run it is.
    pub who: Who,
    /// The run, 32 hexadecimal digits.
    pub run: String,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// Who did it, as this machine knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// The login name.
    pub user: String,
    /// Its number.
    pub uid: u32,
    /// The machine.
    pub host: String,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Written before anything is executed.
    Begun(Box<Begun>),
    /// Written when nothing is executed any more.
    Finished(Finished),
}

/// See [`Event::Begun`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// Why.
    pub reason: String,
    /// Which pipeline.
    pub pipeline: Pipeline,
    /// Where its file is in a repository, if it is in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<Git>,
    /// Sources and the digests of their trees.
    pub sources: BTreeMap<String, String>,
    /// Images and the manifests that they mean.
    pub images: BTreeMap<String, String>,
    /// Steps that were asked for; empty for all.
    pub targets: Vec<String>,
    /// Parameters, with their values.
    pub params: BTreeMap<String, String>,
    /// How steps are executed, as it was asked for: what they see of the machine depends on it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub executor: String,
    /// The names of secrets that steps get. Never values.
    pub secrets: Vec<String>,
    /// What acts on the outside world: steps, and pushes of images.
    pub effects: Vec<String>,
    /// Who agreed to that.
    pub approvals: Vec<Approved>,
    /// Whose the results are.
    pub scope: String,
}

/// Which pipeline.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pipeline {
    /// How it is called.
    pub name: String,
    /// From the root.
    pub file: String,
    /// SHA-256 of the file.
    pub digest: String,
}

/// What a repository says of the directory of the pipeline.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Git {
    /// The commit.
    pub commit: String,
    /// Files differ from the commit.
    pub dirty: bool,
}

/// Who approved.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approved {
    /// How it is called.
    pub name: String,
    /// What it is signed with.
    pub key: String,
    /// RFC 3339, UTC.
    pub until: String,
    /// What they gave, which anybody with their public key can check.
    pub token: String,
}

/// See [`Event::Finished`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// As a run's status; `infra_failed` where the run could not even be decided.
    pub outcome: String,
    /// Steps that were executed.
    pub executed: u32,
    /// Steps whose results were there.
    pub cached: u32,
    /// Steps that failed.
    pub failed: u32,
    /// All steps that came to an end.
    pub steps: Vec<StepRecord>,
}

/// What became of a step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Its name.
    pub step: String,
    /// As a step's status.
    pub status: String,
    /// Its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action_digest: Option<String>,
    /// Of the REAPI `ActionResult`, without a signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_digest: Option<String>,
    /// What it left where, but for test reports, if its result was still there: `file:DIGEST`, `executable:DIGEST`, `directory:DIGEST` or
    /// `link:TARGET`. Whether two executions left the same can be told from this; the digest of a result depends on when it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outputs: Option<BTreeMap<String, String>>,
    /// `local`, `shared`, or `identical` for the result of an identical step of the run; none where it was executed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_from: Option<String>,
}
