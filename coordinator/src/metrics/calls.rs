//! Calls, counted as they end.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::Instant;
use tonic::Code;

use super::Metrics;
use crate::http::code_name;

/// Stands for whatever method is asked for that does not exist: those are not counted one by one, or a client could
/// make as many series as it likes.
const NO_METHOD: &str = "unknown";

/// Counts a gRPC call when the last of its answer is on its way.
pub(crate) async fn count_rpc(State(metrics): State<Arc<Metrics>>, request: Request, next: Next) -> Response {
    let kind = request.headers().get(CONTENT_TYPE);
    if !kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")) {
        return next.run(request).await;
    }
    let method = request.uri().path().trim_start_matches('/').to_owned();
    let mut call = Call { metrics, method, since: Instant::now(), code: None };
    let response = next.run(request).await;
    call.read(response.headers());
    response.map(|body| Body::new(Counted { body, call }))
}

/// A call that has not been counted yet. It is when this is dropped.
#[derive(Debug)]
struct Call {
    metrics: Arc<Metrics>,
    method: String,
    since: Instant,
    /// None until the server says it; then the client is gone.
    code: Option<Code>,
}

impl Call {
    fn read(&mut self, headers: &HeaderMap) {
        if let Some(status) = headers.get("grpc-status") {
            self.code = Some(Code::from_bytes(status.as_bytes()));
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let code = self.code.unwrap_or(Code::Cancelled);
        let method =
            if code == Code::Unimplemented { NO_METHOD.to_owned() } else { std::mem::take(&mut self.method) };
        let time = self.metrics.rpc_time.get_or_create_owned(&[("method", method.clone())]);
        time.observe(self.since.elapsed().as_secs_f64());
        self.metrics.rpcs.get_or_create(&[("method", method), ("code", code_name(code).to_owned())]).inc();
    }
}

/// An answer whose trailers say how the call went.
#[derive(Debug)]
struct Counted {
    body: Body,
    call: Call,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(trailers) = frame.trailers_ref()
        {
            self.call.read(trailers);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A path of the HTTP interface, as its description has it.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) path: String,
}

/// Counts an HTTP request when its answer begins.
pub(crate) async fn count_http(State(route): State<Route>, request: Request, next: Next) -> Response {
    let (since, method) = (Instant::now(), request.method().as_str().to_owned());
    let response = next.run(request).await;
    let Route { metrics, path } = route;
    let (path, method) = (("path", path), ("method", method));
    let time = metrics.request_time.get_or_create_owned(&[path.clone(), method.clone()]);
    time.observe(since.elapsed().as_secs_f64());
    metrics.requests.get_or_create(&[path, method, ("status", response.status().as_str().to_owned())]).inc();
    response
}
