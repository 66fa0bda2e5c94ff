//! Which workers' results are believed.

use cullet_cache::{ActionResult, PublicKey, Scope};
use cullet_digest::{Digest, TreeRef};

/// Which workers' results are believed. By default everybody's are.
#[derive(Debug, Clone, Default)]
pub struct WorkerTrust {
    /// With what they sign.
    pub keys: Vec<PublicKey>,
    /// Whether they have to: what none of `keys` signed is neither recorded nor found.
    pub require_signatures: bool,
}

/// Why a result is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotBelieved {
    /// It says nothing of who made it.
    #[error("the worker did not sign its result, as the cluster asks: start it with --signing-key")]
    Unsigned,
    /// It says that somebody signed it who did not, or that it is another result.
    #[error("the signature of the worker's result is not one of {key} for this step and scope")]
    Bad {
        /// Whose signature it is to be.
        key: PublicKey,
    },
    /// It is right, and nobody knows who that is.
    #[error("the worker's result is signed with {key}, which is not among the keys of workers (--trust)")]
    Stranger {
        /// Who signed.
        key: PublicKey,
    },
    /// The run is to go on with something else.
    #[error("the outputs that the worker reports are not those that it signed")]
    OtherOutputs,
}

impl WorkerTrust {
    /// Whose signatures count when results are looked up; none where nobody asks.
    pub fn asked(&self) -> Option<Vec<PublicKey>> {
        self.require_signatures.then(|| self.keys.clone())
    }

    /// Whether what a worker says came of an action is to be recorded in a scope, and the run goes on with `outputs`, which are
    /// to be those at `paths`.
    ///
    /// # Errors
    /// It is not.
    pub fn check(
        &self,
        action: &Digest,
        scope: &Scope,
        result: &ActionResult,
        (paths, outputs): (&[String], &[TreeRef]),
    ) -> Result<(), NotBelieved> {
        if !self.require_signatures {
            return Ok(());
        }
        let signature = result.signature.as_ref().ok_or(NotBelieved::Unsigned)?;
        let key = result.signer(scope, action).ok_or(NotBelieved::Bad { key: signature.key })?;
        if !self.keys.contains(&key) {
            return Err(NotBelieved::Stranger { key });
        }
        // The signature says nothing of what is reported beside the result.
        let is_signed = result.trees_at(paths).is_some_and(|signed| *signed == *outputs);
        if is_signed { Ok(()) } else { Err(NotBelieved::OtherOutputs) }
    }
}
