//! Calls to other coordinators.

use std::time::Duration;

use cullet_proto::v1::cluster_client::ClusterClient;
use cullet_proto::{Dial, v1};
use tonic::transport::{Channel, Endpoint};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(1);

/// How long a connection may be silent before it is taken for dead.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// An address that cannot be connected to.
#[derive(Debug, thiserror::Error)]
#[error("cannot connect to {address}: {source}")]
pub struct DialError {
    address: String,
    source: tonic::transport::Error,
}

/// A connection to a coordinator, made when it is first used. Every call on it ends by `deadline`.
pub fn connect(dial: &Dial, address: &str, deadline: Duration) -> Result<Channel, DialError> {
    let endpoint = Endpoint::from_shared(address.to_owned())
        .map_err(|source| DialError { address: address.to_owned(), source })?;
    let endpoint = endpoint
        .connect_timeout(CONNECT)
        .timeout(deadline)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE);
    Ok(dial.connect_lazy(&endpoint))
}

/// What the coordinator at an address says of itself, within `deadline`; or in words why it says nothing.
pub(super) async fn ask(
    dial: &Dial,
    address: &str,
    deadline: Duration,
) -> Result<v1::StatusResponse, String> {
    let channel = connect(dial, address, deadline).map_err(|error| error.to_string())?;
    let said = ClusterClient::new(channel).status(v1::StatusRequest {}).await;
    said.map(tonic::Response::into_inner).map_err(|status| status.message().to_owned())
}
