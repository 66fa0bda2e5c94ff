//! What somebody else is asked to approve.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cullet_coordinator::glass::{Begun, Git, Who, sha256};
use serde::{Deserialize, Serialize};

use crate::ui::clean;
use crate::ui::duration::rfc3339;

/// How long an approval counts.
pub(crate) const VALID: Duration = Duration::from_secs(3600);

/// What comes before every request when it is hashed.
const CONTEXT: &[u8] = b"cullet break-glass request 1\0";

/// The most bytes of a request that is read: far more than a command line has room for.
const MOST: usize = 2 << 20;

/// Everything that decides what a run does, and until when an approval of it counts. Two that are the same are equal to the
/// byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(super) pipeline: String,
    /// SHA-256 of the pipeline file.
    pub(super) digest: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) git: Option<Git>,
    pub(super) sources: BTreeMap<String, String>,
    pub(super) images: BTreeMap<String, String>,
    pub(super) targets: Vec<String>,
    pub(super) params: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) executor: String,
    pub(super) effects: Vec<String>,
    pub(super) reason: String,
    pub(super) who: Who,
    /// The key of the machine that asks.
    pub(crate) machine: String,
    /// Seconds since the Unix epoch.
    pub(crate) until: u64,
}

impl Request {
    pub(super) fn of(begun: &Begun, who: &Who, machine: &str, until: u64) -> Self {
        let Begun { reason, pipeline, git, sources, images, targets, params, executor, effects, .. } =
            begun.clone();
        Self {
            pipeline: pipeline.name,
            digest: pipeline.digest,
            git,
            sources,
            images,
            targets,
            params,
            executor,
            effects,
            reason,
            who: who.clone(),
            machine: machine.to_owned(),
            until,
        }
    }

    /// As it is handed to somebody: letters, digits, `-` and `_`.
    pub(crate) fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.bytes())
    }

    /// Reads what [`Request::encode`] gives; none for anything else.
    pub(crate) fn decode(text: &str) -> Option<Self> {
        let text: String = text.split_whitespace().collect();
        if text.len() > MOST {
            return None;
        }
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
    }

    /// What an approval of it signs.
    pub(super) fn hash(&self) -> [u8; 32] {
        sha256(&[CONTEXT, &self.bytes()].concat())
    }

    fn bytes(&self) -> Vec<u8> {
        // Texts, lists of them and numbers always are JSON.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// What is to be approved, in plain words; each line is safe on a terminal.
    pub(crate) fn words(&self) -> Vec<String> {
        let line = |text: &str| clean::line(text);
        let list = |list: &[String]| list.iter().map(|text| line(text)).collect::<Vec<_>>().join(", ");
        let Who { user, uid, host } = &self.who;
        let mut words = vec![
            format!(
                "{} (uid {uid}) asks on {} to run the pipeline '{}'",
                line(user),
                line(host),
                line(&self.pipeline)
            ),
            "on their own machine, past the cluster,".to_owned(),
            format!("because: {}", line(&self.reason)),
            format!("What acts on the outside world: {}", list(&self.effects)),
        ];
        if !self.targets.is_empty() {
            words.push(format!("Only these steps and what they need: {}", list(&self.targets)));
        }
        for (name, value) in &self.params {
            words.push(format!("With {} = {}", line(name), line(value)));
        }
        words.push(match &*self.executor {
            "plain" => "WITHOUT A SANDBOX: steps see the whole machine (--executor plain)".to_owned(),
            "" => "Executor: not said".to_owned(),
            executor => format!("Executor: {}", line(executor)),
        });
        words.push(match &self.git {
            Some(Git { commit, dirty: false }) => format!("Of commit {}, unchanged", line(commit)),
            Some(Git { commit, dirty: true }) => {
                format!("Of commit {} WITH CHANGES that are not in it", line(commit))
            }
            None => "Of files that are in no repository".to_owned(),
        });
        words.push(format!("Pipeline file: sha256 {}", line(&self.digest)));
        for (kind, all) in [("Source", &self.sources), ("Image", &self.images)] {
            words.extend(all.iter().map(|(name, digest)| format!("{kind} {}: {}", line(name), line(digest))));
        }
        words.push(format!("Until {}, as often as they like", rfc3339(self.until.saturating_mul(1000))));
        words
    }
}
