//! Several servers with the same blobs, of which one is used until it fails.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::timeout;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use crate::StoreError;
use crate::pause::Pauses;
use crate::receive::may_pass;

/// The servers, in the order in which they are tried.
#[derive(Debug)]
pub(super) struct Endpoints {
    servers: Vec<(String, Channel)>,
    current: AtomicUsize,
    place: String,
    deadline: Duration,
    retries: u32,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Server {
    index: usize,
    pub(super) channel: Channel,
}

/// Windows of HTTP/2 in bytes: one stream can fill a fast network, and a slow reader holds up only itself.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

/// A dead connection is noticed after twice this.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Nobody should wait longer for a machine that does not answer at all while another might.
const CONNECT: Duration = Duration::from_secs(3);

impl Endpoints {
    pub(super) fn new(
        servers: Vec<(String, Channel)>,
        deadline: Duration,
        retries: u32,
    ) -> Result<Self, StoreError> {
        let place = servers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        if servers.is_empty() {
            let reason = "no server is named".to_owned();
            return Err(StoreError::Location { location: String::new(), reason });
        }
        Ok(Self { servers, current: AtomicUsize::new(0), place, deadline, retries })
    }

    pub(super) fn place(&self) -> &str {
        &self.place
    }

    pub(super) const fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Attempts before an operation gives up.
    pub(super) fn attempts(&self) -> u32 {
        let servers = u32::try_from(self.servers.len()).unwrap_or(u32::MAX);
        self.retries.saturating_add(1).saturating_mul(servers)
    }

    /// The server to use.
    pub(super) fn server(&self) -> Server {
        let index = self.current.load(Ordering::Relaxed) % self.servers.len();
        Server { index, channel: self.servers[index].1.clone() }
    }

    /// Uses the next server from now on, unless somebody has seen to that already.
    pub(super) fn failed(&self, server: &Server) {
        let next = (server.index + 1) % self.servers.len();
        let _ = self.current.compare_exchange(server.index, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Whether a failure at this server may be another one's success.
    pub(super) fn note(&self, server: &Server, error: &StoreError) {
        if may_pass(error) {
            self.failed(server);
        }
    }

    /// The answer to a call, from whichever server gives one.
    pub(super) async fn call<T, F>(
        &self,
        action: &'static str,
        call: impl Fn(Channel) -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let (mut pauses, mut attempt) = (Pauses::new(), 0);
        loop {
            attempt += 1;
            let server = self.server();
            let error = match timeout(self.deadline, call(server.channel.clone())).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(status)) => StoreError::remote(action, &self.place, status),
                Err(_) => StoreError::deadline(&self.place, self.deadline),
            };
            if attempt >= self.attempts() || !may_pass(&error) {
                return Err(error);
            }
            self.failed(&server);
            if (attempt as usize).is_multiple_of(self.servers.len()) {
                pauses.pause().await;
            }
        }
    }
}

/// A channel to an address such as `http://10.0.0.7:7070`; connects when it is used.
pub(super) fn channel(url: &str) -> Result<(String, Channel), StoreError> {
    let unusable = |error: tonic::transport::Error| StoreError::Location {
        location: url.to_owned(),
        reason: format!("{error}; expected http://HOST:PORT"),
    };
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(unusable)?;
    let channel = endpoint
        .tcp_nodelay(true)
        .connect_timeout(CONNECT)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .connect_lazy();
    Ok((url.to_owned(), channel))
}
