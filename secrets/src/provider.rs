//! Where values are kept: one trait, and what can go wrong with any place.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::{SecretValue, ValueProblem};

/// A place that values are asked of. Every wait in it has an end.
#[async_trait]
pub trait Provider: Debug + Send + Sync {
    /// The value that it has under a key.
    ///
    /// # Errors
    /// It has none, does not give it, or does not answer.
    async fn get(&self, key: &str) -> Result<SecretValue, SecretError>;
}

/// Why there is no value. No text has any part of one.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// There is none: asking again does not help.
    #[error("{0}")]
    Missing(String),
    /// What is there is no value.
    #[error("{place}: {problem}")]
    Unusable {
        /// Where.
        place: String,
        /// Why not.
        problem: ValueProblem,
    },
    /// Whoever has it did not answer, and may later.
    #[error("{0}")]
    Trouble(String),
}

impl SecretError {
    /// Whether it is likely to be the same the next time.
    #[must_use]
    pub const fn is_permanent(&self) -> bool {
        !matches!(self, Self::Trouble(_))
    }

    /// Bytes from somewhere as a value.
    pub(crate) fn value(place: String, bytes: Vec<u8>) -> Result<SecretValue, Self> {
        SecretValue::new(bytes).map_err(|problem| Self::Unusable { place, problem })
    }
}
