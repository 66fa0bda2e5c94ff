//! What services are in every executor: what is read of them, what is said of them, and how they are waited for.

pub(crate) mod http;
mod log;
pub(crate) mod said;
pub(crate) mod told;
mod waiting;

pub(crate) use log::{ServiceLog, SharedLog};
pub(crate) use waiting::{NoStep, ONE_CHECK, STARTING, all_ready, until_ready};

use std::time::Duration;

use cullet_cache::services::Ready;
use tokio::task::JoinError;

use crate::ExecuteError;
use crate::sandbox::runner::setup;

/// The exit code of a step whose services did not become ready: what `docker run` answers when a container does not start.
pub(crate) const NOT_READY: i32 = 125;

/// For how long a service is asked whether it is ready, and after which pause again.
pub(crate) fn times(ready: Option<&Ready>) -> (Duration, Duration) {
    ready.map_or((STARTING, Duration::ZERO), |ready| (ready.timeout(), ready.interval()))
}

/// What became of a service, from whoever followed it.
pub(crate) fn joined<T>(followed: Result<Result<T, ExecuteError>, JoinError>) -> Result<T, ExecuteError> {
    followed.unwrap_or_else(|error| Err(setup("follow a service", std::io::Error::other(error))))
}

/// `/etc/hosts` with the names of services in it.
pub(crate) fn hosts(plain: &str, names: &[String]) -> String {
    if names.is_empty() { plain.to_owned() } else { format!("{plain}127.0.0.1 {}\n", names.join(" ")) }
}
