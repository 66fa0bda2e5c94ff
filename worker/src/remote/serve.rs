//! What a worker answers to coordinators and other workers.

use std::time::Duration;

use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use cullet_proto::v1::attempt_logs_server::AttemptLogsServer;
use prometheus_client::encoding::prometheus_text;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use super::Daemon;
use super::logs::Logs;
use crate::incoming::{bounded, places};

/// How often a connection is tried that says nothing, and how long it has to answer. A reader that is gone without a
/// word holds its place for the sum.
const KEEPALIVE: Duration = Duration::from_secs(10);
const KEEPALIVE_PATIENCE: Duration = Duration::from_secs(5);

/// Requests at a time on one connection: a coordinator reads the logs of many steps over one.
const MAX_STREAMS: u32 = 512;

impl Daemon {
    /// Serves the logs of attempts, health, metrics (`GET /metrics`), and `others` (the blobs that other workers fetch) on one listener until
    /// `stop` is cancelled. Stop it after [`Daemon::run`] has returned: until then somebody may be reading.
    ///
    /// # Errors
    /// Where the listener is of no use any more.
    pub async fn serve(
        &self,
        listener: TcpListener,
        others: Routes,
        stop: CancellationToken,
    ) -> Result<(), tonic::transport::Error> {
        let logs = AttemptLogsServer::new(Logs::new(self.registry()));
        let (health, health_service) = tonic_health::server::health_reporter();
        health.set_serving::<AttemptLogsServer<Logs>>().await;
        let metrics = self.metrics();
        let measured =
            get(|| async move { ([(CONTENT_TYPE, prometheus_text::CONTENT_TYPE)], metrics.text()) });
        let routes = others.add_service(logs).add_service(health_service);
        let routes = Routes::from(routes.into_axum_router().route("/metrics", measured));
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let incoming = bounded(incoming, places());
        let serving = Server::builder()
            .accept_http1(true)
            .http2_keepalive_interval(Some(KEEPALIVE))
            .http2_keepalive_timeout(Some(KEEPALIVE_PATIENCE))
            .max_concurrent_streams(MAX_STREAMS)
            .add_routes(routes)
            .serve_with_incoming(incoming);
        // Not waiting for readers that follow: what they wait for has ended.
        tokio::select! {
            served = serving => served,
            () = stop.cancelled() => Ok(()),
        }
    }
}
