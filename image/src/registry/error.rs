//! What registries answer, and what it means for people.

use std::fmt;
use std::sync::Arc;

use crate::Digest;

/// A registry did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{registry}/{repository}: {what}")]
pub struct RegistryError {
    /// Host and port, such as `docker.io`; of a mirror, its own.
    pub registry: String,
    /// Such as `library/debian`.
    pub repository: String,
    /// What was asked for, such as `manifest 12` or `blob sha256:...`.
    pub what: String,
    /// What came of it.
    #[source]
    pub problem: Box<RegistryProblem>,
}

/// Why not.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RegistryProblem {
    /// It wants to know who asks (401), or does not know them.
    #[error("{}{}", login(.who.as_deref()), Said(.said))]
    Unauthorized {
        /// The user whose credentials were sent, if any were.
        who: Option<String>,
        /// What it said.
        said: String,
    },
    /// Whoever asks may not (403).
    #[error("access is denied (403): ask for access, or log in as somebody who has it{}", Said(.said))]
    Forbidden {
        /// What it said.
        said: String,
    },
    /// It is not there (404).
    #[error("not found (404): check the name and the tag; a private repository may also look like this without a login{}", Said(.said))]
    NotFound {
        /// What it said.
        said: String,
    },
    /// Too much was asked for (429), or by too many (503), and waiting as long as was tried did not help.
    #[error("it is overloaded ({status}): {}{}", later(*.after_s), Said(.said))]
    Limited {
        /// The HTTP status.
        status: u16,
        /// When to come back, in seconds, as far as it said.
        after_s: Option<u64>,
        /// What it said.
        said: String,
    },
    /// Any other status.
    #[error("it answered with status {status}{}", Said(.said))]
    Status {
        /// The HTTP status.
        status: u16,
        /// What it said.
        said: String,
    },
    /// Its certificate is not trusted.
    #[error("its certificate is not trusted: a private authority has to be configured")]
    Certificate {
        /// Why not.
        #[source]
        source: Arc<reqwest::Error>,
    },
    /// It cannot be reached, or the connection broke.
    #[error("no answer")]
    Unreachable {
        /// Why not.
        #[source]
        source: Arc<reqwest::Error>,
    },
    /// It sent fewer bytes than announced, every time.
    #[error("the connection ended after {received} of {expected} bytes")]
    Cut {
        /// How many came, all attempts together.
        received: u64,
        /// How many there are.
        expected: u64,
    },
    /// It sends so little that it would take for ever.
    #[error("it sent no more than {received} bytes in {seconds} seconds")]
    Slow {
        /// How many came.
        received: u64,
        /// In which time.
        seconds: u64,
    },
    /// It takes so little, or so long after the last byte, that it would take for ever.
    #[error("it took {sent} bytes, and then nothing happened for {seconds} seconds")]
    Stalled {
        /// How many it took.
        sent: u64,
        /// For how long nothing happened.
        seconds: u64,
    },
    /// It sent more bytes than there are, or a document that is longer than any may be.
    #[error("it sent more than {limit} bytes")]
    TooLong {
        /// The most that was to be expected.
        limit: u64,
    },
    /// It sent other bytes than those asked for.
    #[error("it sent other bytes: {expected} was asked for, {actual} came")]
    Damaged {
        /// What was asked for.
        expected: Digest,
        /// What came.
        actual: Digest,
    },
    /// Its answer does not follow the specification.
    #[error("its answer makes no sense: {problem}")]
    Answer {
        /// What is wrong.
        problem: String,
    },
    /// The settings for it are wrong.
    #[error("its settings are wrong: {problem}")]
    Settings {
        /// What is wrong.
        problem: String,
    },
}

fn login(who: Option<&str>) -> String {
    match who {
        Some(who) => format!("it does not accept the login of `{who}` (401): log in again"),
        None => "it wants a login (401): use `cullet login`, or check the name, for some registries say this of what is not there".to_owned(),
    }
}

fn later(after_s: Option<u64>) -> String {
    after_s.map_or_else(|| "try again later".to_owned(), |after| format!("try again in {after} seconds"))
}

/// What a registry said, behind what it means.
struct Said<'a>(&'a str);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, " (it said: {})", self.0) }
    }
}

impl RegistryProblem {
    /// What happened to a request on the way.
    pub(super) fn transport(error: reqwest::Error) -> Self {
        let untrusted = is_certificate(&error);
        // The address may hold a signature; the place is said anyway.
        let source = Arc::new(error.without_url());
        if untrusted { Self::Certificate { source } } else { Self::Unreachable { source } }
    }

    /// Whether the same request may have another answer soon.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Limited { .. }
            | Self::Unreachable { .. }
            | Self::Cut { .. }
            | Self::Slow { .. }
            | Self::Stalled { .. } => true,
            Self::Status { status, .. } => matches!(status, 408 | 500 | 502 | 503 | 504),
            _ => false,
        }
    }
}

fn is_certificate(error: &reqwest::Error) -> bool {
    let mut at: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = at {
        if let Some(rustls::Error::InvalidCertificate(_)) = error.downcast_ref() {
            return true;
        }
        // What an I/O error holds is not its source; only what is below that is.
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        at = inner.map_or_else(|| error.source(), |inner| Some(inner));
    }
    false
}
