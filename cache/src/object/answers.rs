//! What a bucket answers where it does not do what it is asked. The library keeps neither `Retry-After` nor the code of an
//! error, so answers are looked at before it gets them.

use std::error::Error;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt as _;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService, ReqwestConnector,
};
use reqwest::StatusCode;

/// An answer that is an error.
#[derive(Debug, thiserror::Error)]
#[error("it answered {status}{}", .code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default())]
pub(super) struct Refusal {
    status: StatusCode,
    code: Option<String>,
    after: Option<Duration>,
    may_pass: bool,
}

impl Refusal {
    /// A refusal that must not be taken for what the library makes of its status; none for others.
    fn new(status: StatusCode, code: Option<String>, after: Option<Duration>) -> Option<Self> {
        let named = |names: &[&str]| code.as_deref().is_some_and(|code| names.contains(&code));
        let may_pass = match status {
            StatusCode::NOT_IMPLEMENTED => false,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => true,
            // Two conditional writes at once; neither has to have won.
            StatusCode::CONFLICT => named(&["ConditionalRequestConflict", "OperationAborted"]),
            StatusCode::BAD_REQUEST => named(&["RequestTimeout"]),
            status => status.is_server_error(),
        };
        // Otherwise a bucket that is not there would be one in which nothing is.
        let no_bucket = status == StatusCode::NOT_FOUND && named(&["NoSuchBucket", "ContainerNotFound"]);
        let special = may_pass || no_bucket || status == StatusCode::NOT_IMPLEMENTED;
        special.then_some(Self { status, code, after, may_pass })
    }

    /// Whether the bucket does not know what it was asked for.
    pub(super) fn is_not_implemented(&self) -> bool {
        self.status == StatusCode::NOT_IMPLEMENTED
    }

    /// The refusal that is the cause of this error.
    pub(super) fn of(error: &object_store::Error) -> Option<&Self> {
        causes(error).find_map(|cause| cause.downcast_ref())
    }
}

/// Whether the same request may succeed another time, and how long to wait for that at least.
pub(super) fn may_pass(error: &object_store::Error) -> Option<Duration> {
    match Refusal::of(error) {
        Some(refusal) => refusal.may_pass.then(|| refusal.after.unwrap_or_default()),
        // The connection, on the way there or back.
        None => causes(error).any(|cause| cause.is::<HttpError>()).then_some(Duration::ZERO),
    }
}

fn causes(error: &object_store::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(Some(error as &(dyn Error + 'static)), |error| (*error).source())
}

/// The most bytes of an error that are read.
const MOST_SAID: usize = 64 << 10;

/// Makes clients that look at answers.
#[derive(Debug)]
pub(super) struct Connector;

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Looking(ReqwestConnector::default().connect(options)?)))
    }
}

#[derive(Debug)]
struct Looking(HttpClient);

#[async_trait]
impl HttpService for Looking {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let answer = self.0.execute(request).await?;
        let status = answer.status();
        if !status.is_client_error() && !status.is_server_error() {
            return Ok(answer);
        }
        let after = answer.headers().get("retry-after").and_then(|value| seconds(value.to_str().ok()?));
        let (parts, body) = answer.into_parts();
        let body = beginning(body).await?;
        match Refusal::new(status, code(&body), after) {
            // Decoding is what the library itself never tries again.
            Some(refusal) => Err(HttpError::new(HttpErrorKind::Decode, refusal)),
            None => Ok(HttpResponse::from_parts(parts, body.into())),
        }
    }
}

/// What fits into memory of an answer that says why not: whoever sends more has said nothing of use.
async fn beginning(body: HttpResponseBody) -> Result<Bytes, HttpError> {
    let mut pieces = body.bytes_stream();
    let mut beginning = BytesMut::new();
    while beginning.len() < MOST_SAID
        && let Some(piece) = pieces.try_next().await?
    {
        beginning.extend_from_slice(&piece);
    }
    beginning.truncate(MOST_SAID);
    Ok(beginning.freeze())
}

/// Buckets say seconds. A date is what only proxies say, and then the usual pause will do.
fn seconds(text: &str) -> Option<Duration> {
    text.trim().parse().ok().map(Duration::from_secs)
}

/// What is in `<Code>` of the answer's XML.
fn code(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, rest) = text.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    // It is shown to users.
    (code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric())).then(|| code.to_owned())
}
