//! One coordinator, as a client knows it.

use std::time::Duration;

use tonic::transport::{Channel, Endpoint};

use super::ClusterError;

/// Nobody waits longer for a machine that does not answer at all while another might.
const CONNECT: Duration = Duration::from_secs(2);

/// A connection that is silent for this long is asked whether it is there, and counts as broken if it does not say so
/// within the same time.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// Windows of HTTP/2 in bytes: one stream can fill a fast network, and a slow one holds up only itself.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;

#[derive(Debug)]
pub(super) struct Server {
    pub(super) url: String,
    pub(super) channel: Channel,
    /// Why its last answer was none.
    pub(super) failed: Option<Failed>,
}

#[derive(Debug)]
pub(super) struct Failed {
    pub(super) why: String,
    /// It is there and said so itself.
    pub(super) answered: bool,
}

impl Server {
    pub(super) fn new(url: &str) -> Result<Self, ClusterError> {
        let unusable = |_| ClusterError::Address { address: url.to_owned(), reason: "it is no URL" };
        let channel = Endpoint::from_shared(url.to_owned())
            .map_err(unusable)?
            .connect_timeout(CONNECT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .connect_lazy();
        Ok(Self { url: url.to_owned(), channel, failed: None })
    }
}
