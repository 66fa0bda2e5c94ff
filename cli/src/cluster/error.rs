//! What can go wrong with a cluster, and whose turn it is then.

use std::time::Duration;

use cullet_cache::StoreError;
use tonic::Code;

use crate::error::CliError;
use crate::ui::clean;

/// Why a cluster did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClusterError {
    /// What was named is no address.
    #[error("'{address}' is no address of a coordinator: {reason}")]
    Address {
        /// As it was written.
        address: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Nobody answered for as long as it was tried.
    #[error("the cluster cannot be reached: {}", listed(.tried))]
    Unreachable {
        /// Each address, and why it gave no answer.
        tried: Vec<(String, String)>,
    },
    /// Somebody answered that it cannot be done now, for as long as it was tried.
    #[error("{}", clean::line(.message))]
    Unavailable {
        /// In the words of who answered.
        message: String,
    },
    /// The cluster had no room for more, for as long as it was tried.
    #[error("the cluster takes no more work now: {}", clean::line(.message))]
    Busy {
        /// In the words of who answered.
        message: String,
        /// For how long it was tried.
        after: Duration,
    },
    /// Whoever asked does not want it any more, and it was not done.
    #[error("interrupted before the cluster did it")]
    Stopped,
    /// The answer is no, whoever is asked.
    #[error("{}", clean::line(.message))]
    Refused {
        /// What kind of no.
        code: Code,
        /// In the words of who answered.
        message: String,
    },
    /// No run has that name.
    #[error("there is no run '{}' in the cluster", clean::line(.name))]
    UnknownRun {
        /// As asked.
        name: String,
    },
    /// Several runs have names that begin so.
    #[error("'{}' is the start of several runs: {}", clean::line(.name), .candidates.join(", "))]
    AmbiguousRun {
        /// As asked.
        name: String,
        /// Whole names, a few of them.
        candidates: Vec<String>,
    },
    /// The cluster has no runs.
    #[error("there is no run yet in the cluster")]
    NoRuns,
    /// A file of a source is not what it was when it was scanned.
    #[error("'{path}' changed while it was uploaded: wait until nothing writes to it, or exclude it")]
    Changed {
        /// The file.
        path: String,
    },
    /// Blobs could not be sent or fetched.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn listed(tried: &[(String, String)]) -> String {
    let one = |(address, why): &(String, String)| format!("{address} ({})", clean::line(why));
    tried.iter().map(one).collect::<Vec<_>>().join(", ")
}

impl From<ClusterError> for CliError {
    fn from(error: ClusterError) -> Self {
        let message = error.to_string();
        match error {
            ClusterError::Address { .. } => {
                Self::usage(message).hint("write it as http://host:port; several with commas between them")
            }
            ClusterError::Unreachable { .. } => Self::infra(message)
                .hint(
                "look whether its coordinators run, or name another one with --cluster; `cullet run --break-glass` runs here what \
                 cannot wait (docs/break-glass.md)",
            ),
            ClusterError::Unavailable { .. } => {
                Self::infra(message).hint("see cullet cluster status, and try again later")
            }
            ClusterError::Busy { after, .. } => {
                let waited = crate::ui::duration::human(after);
                Self::infra(message).hint(format!("it was tried for {waited}; try again later"))
            }
            ClusterError::Refused {
                code: Code::InvalidArgument | Code::NotFound | Code::AlreadyExists,
                ..
            } => Self::usage(message),
            ClusterError::Refused { code: Code::Unauthenticated | Code::PermissionDenied, .. } => {
                Self::usage(message).hint(
                    "CULLET_CLUSTER_TOKEN says who asks, and --scope as whom a run is; the operator of the cluster says \
                     who may (docs/cluster.md)",
                )
            }
            ClusterError::Refused { code: Code::Unimplemented, .. } => {
                Self::infra(format!("the cluster does not know this request: {message}"))
                    .hint("is this the address of a coordinator, and is its version the same?")
            }
            ClusterError::Stopped | ClusterError::Refused { .. } => Self::infra(message),
            ClusterError::UnknownRun { .. } => {
                Self::usage(message).hint("list runs with cullet runs --cluster URL")
            }
            ClusterError::AmbiguousRun { .. } => Self::usage(message).hint("write more of its name"),
            ClusterError::NoRuns => Self::usage(message).hint("start one with cullet run --cluster URL"),
            ClusterError::Changed { .. } => Self::usage(message),
            ClusterError::Store(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ExitStatus;

    #[test]
    fn whose_turn_it_is_decides_the_exit_code() {
        let refused = |code| ClusterError::Refused { code, message: "no".to_owned() };
        let tried = vec![("http://c-0:7400".to_owned(), "Connection refused".to_owned())];
        for (error, status) in [
            (refused(Code::InvalidArgument), ExitStatus::Usage),
            (refused(Code::NotFound), ExitStatus::Usage),
            (refused(Code::AlreadyExists), ExitStatus::Usage),
            (refused(Code::PermissionDenied), ExitStatus::Usage),
            (refused(Code::FailedPrecondition), ExitStatus::Infra),
            (refused(Code::Unimplemented), ExitStatus::Infra),
            (ClusterError::Unreachable { tried }, ExitStatus::Infra),
            (ClusterError::Unavailable { message: "no worker".to_owned() }, ExitStatus::Infra),
            (ClusterError::Changed { path: "a".to_owned() }, ExitStatus::Usage),
            (ClusterError::NoRuns, ExitStatus::Usage),
        ] {
            let text = error.to_string();
            assert_eq!(CliError::from(error).status(), status, "{text}");
        }
    }
}
