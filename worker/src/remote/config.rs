//! Who a worker is in its cluster.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cullet_cache::{BlobStore, SigningKey};
use cullet_proto::Dial;
use tonic::transport::Endpoint;

use super::{Exchange, Runner};
use crate::{InUse, Room};

/// How a worker presents itself.
#[derive(Debug, Clone)]
pub struct DaemonConfig {
    /// For people; unique in the cluster.
    pub name: String,
    /// Drawn at random when the process starts: a restarted worker is another one.
    pub incarnation: u64,
    /// Where coordinators and other workers reach it, as `http://host:port`.
    pub address: String,
    /// What steps may take of it, in thousandths of a processor.
    pub cpu_millis: u32,
    /// What steps may take of it, in bytes.
    pub memory_bytes: u64,
    /// What it is, such as `image` = `host:FINGERPRINT`.
    pub labels: BTreeMap<String, String>,
    /// Where coordinators are, as `host:port` or `http://host:port`. Any of them tells which one leads.
    pub coordinators: Vec<String>,
    /// The way there.
    pub dial: Dial,
    /// How patient it is.
    pub limits: Limits,
}

/// Bounds of what a worker keeps and waits for.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// While so many reports are not acknowledged, nothing more is started. A coordinator acknowledges at once, so
    /// this is a sign that it cannot commit.
    pub unacknowledged: usize,
    /// How long a log can be read after the end of its attempt was acknowledged. By then it is in the CAS; this is
    /// for readers that are about to look there.
    pub log_grace: Duration,
    /// How long a success is brought again and again to a store that does not take it, rather than thrown away.
    pub publishing: Duration,
    /// When steps are stopped that still run after the worker was told to end.
    pub drain: Duration,
    /// How long it then waits for the last reports to be acknowledged.
    pub farewell: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            unacknowledged: 256,
            log_grace: Duration::from_secs(60),
            publishing: Duration::from_secs(180),
            drain: Duration::from_secs(600),
            farewell: Duration::from_secs(10),
        }
    }
}

/// What a worker is made of.
#[derive(Debug, Clone)]
pub struct DaemonParts {
    /// Runs attempts.
    pub worker: Arc<dyn Runner>,
    /// Where results are read from, for test reports.
    pub blobs: Arc<dyn BlobStore>,
    /// Brings inputs here, and results where others find them.
    pub exchange: Arc<dyn Exchange>,
    /// What keeps the files of attempts in the cache.
    pub in_use: InUse,
    /// Whether there is room for steps. While there is none, nothing is taken.
    pub room: Room,
    /// Says of each result that it is this worker's, for those who ask.
    pub signing: Option<SigningKey>,
}

/// Why a worker cannot take part.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// There is nobody to ask.
    #[error("no coordinator is given: name at least one as host:port")]
    NoCoordinator,
    /// An address is none.
    #[error("'{0}' is not an address of a coordinator: expected host:port or http://host:port")]
    Address(String),
}

/// An address as a coordinator or a person writes it.
pub(super) fn endpoint(address: &str) -> Result<Endpoint, DaemonError> {
    let bad = || DaemonError::Address(address.to_owned());
    let with_scheme = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
    let endpoint = Endpoint::from_shared(with_scheme).map_err(|_| bad())?;
    let uri = endpoint.uri();
    let is_usable = uri.scheme_str() == Some("http") && uri.host().is_some_and(|host| !host.is_empty());
    if !is_usable || uri.port_u16().is_none() {
        return Err(bad());
    }
    Ok(endpoint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked() {
        for good in ["localhost:1", "http://127.0.0.1:7070", "[::1]:7070", "http://c-0.cullet:7070"] {
            assert!(endpoint(good).is_ok(), "{good}");
        }
        for bad in ["", "host", "http://", "https://host:1", "host:port", "http://:80", "host:99999"] {
            assert!(endpoint(bad).is_err(), "{bad}");
        }
    }
}
