//! How strong the sandbox is on a machine.

use serde::{Deserialize, Serialize};

/// How strong the sandbox is on a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tier {
    /// Everything that `docs/sandbox.md` promises.
    Full,
    /// Less than that.
    Degraded {
        /// What is missing, in one sentence.
        missing: String,
        /// Why, and what to do about it.
        remedy: String,
    },
    /// No sandbox at all; steps do not run in it.
    Unavailable {
        /// Why not, and what to do about it.
        reason: String,
    },
}

impl Tier {
    /// Steps see the machine's /proc.
    pub(super) fn without_own_proc() -> Self {
        Self::Degraded {
            missing: "steps see the machine's /proc (read-only), and with it the names of its processes".to_owned(),
            remedy: "the machine masks parts of /proc, as containers do by default: run the container with an \
                     unmasked /proc (Docker: --security-opt systempaths=unconfined, Kubernetes: procMount: Unmasked)"
                .to_owned(),
        }
    }
}
