//! A cache over plain HTTP, for programs that know no other: GET, HEAD and PUT of values by their paths, and as much of WebDAV
//! (RFC 4918) as its clients need for that. See docs/clients.
//!
//! ```text
//! /ac/KEY  /cas/SHA256                       as Bazel has it, of the default instance
//! /cache/INSTANCE/{ac,cas,values}/KEY        of any instance; KEY may have slashes
//! ```

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use cullet_cache::{InstanceResults as _, KeyedValues, ReachedResults, StoreError};
use futures_util::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tonic::Status;
use tonic::metadata::MetadataMap;

use super::error::ApiError;
use crate::services::EngineResults;

/// The most bytes of one value.
const MOST: u64 = 4 << 30;

/// The longest path.
const LONGEST: usize = 2048;

/// How long the next bytes of a value may take.
const IDLE: Duration = Duration::from_secs(60);

/// How long it may take until a value is found; the store may put it together first.
const FIND: Duration = Duration::from_secs(300);

/// How long it may take to store one that has arrived, on top of what its bytes need.
const STORE: Duration = Duration::from_secs(60);

/// Bytes that the store takes in a second, at least.
const PER_SECOND: u64 = 1 << 20;

/// Values that are sent at the same time. Each costs some hundred kilobytes.
const SENDING: usize = 1024;

/// What people call the kinds of values; the first of these in a path ends the name of the instance.
const KINDS: [&str; 3] = ["ac", "cas", "values"];

/// The methods that there are.
const METHODS: &str = "GET, HEAD, PUT, OPTIONS, PROPFIND, MKCOL";

#[derive(Debug, Clone)]
struct Cache {
    results: EngineResults,
    values: KeyedValues,
    sending: Arc<Semaphore>,
}

/// All paths.
pub(super) fn router(results: EngineResults, values: KeyedValues) -> Router {
    let sending = Arc::new(Semaphore::new(SENDING));
    let cache = Cache { results, values, sending };
    Router::new()
        .route("/ac/{key}", any(answer))
        .route("/cas/{key}", any(answer))
        .route("/cache/{*path}", any(answer))
        .with_state(cache)
}

/// A place in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    instance: String,
    kind: &'static str,
    /// Empty for that in which all keys are.
    key: String,
}

impl Place {
    fn parse(path: &str) -> Option<Self> {
        if path.len() > LONGEST || path.contains("//") || path.chars().any(char::is_control) {
            return None;
        }
        let path = path.strip_prefix("/cache").unwrap_or(path).strip_prefix('/')?;
        let segments: Vec<&str> = path.split('/').collect();
        let (at, kind) = segments.iter().enumerate().find_map(|(at, segment)| {
            let kind = KINDS.iter().find(|kind| *kind == segment)?;
            Some((at, *kind))
        })?;
        let (instance, rest) = (&segments[..at], &segments[at + 1..]);
        if rest.iter().any(|segment| matches!(*segment, "." | "..")) {
            return None;
        }
        Some(Self { instance: instance.join("/"), kind, key: rest.join("/") })
    }

    /// Whether there can only be others below it.
    fn is_collection(&self) -> bool {
        self.key.is_empty() || self.key.ends_with('/')
    }

    /// What the value is called among those of a scope.
    fn name(&self) -> String {
        format!("{}/{}", self.kind, self.key)
    }
}

async fn answer(State(cache): State<Cache>, request: Request) -> Response {
    cache.answered(request).await.unwrap_or_else(ApiError::into_response)
}

impl Cache {
    async fn answered(&self, request: Request) -> Result<Response, ApiError> {
        let what = "a value is at /ac/KEY, /cas/SHA256 or /cache/INSTANCE/{ac,cas,values}/KEY";
        let place = Place::parse(request.uri().path()).ok_or_else(|| ApiError::bad(what))?;
        let metadata = MetadataMap::from_headers(authorization(request.headers()));
        let reached = self.results.reach(&place.instance, &metadata)?;
        match request.method().as_str() {
            "GET" if !place.is_collection() => self.get(&reached, &place).await,
            "HEAD" if !place.is_collection() => {
                Ok((headers(self.len(&reached, &place).await?), Body::empty()).into_response())
            }
            "PUT" if !place.is_collection() => self.put(reached, &place, request).await,
            "PROPFIND" => self.found(&reached, &place, request.uri().path()).await,
            // Nobody has to make directories here, and everybody may believe that they did.
            "MKCOL" => {
                reached.may_update.map(|()| StatusCode::CREATED.into_response()).map_err(ApiError::from)
            }
            "OPTIONS" => Ok(([("DAV", "1"), ("Allow", METHODS)], StatusCode::OK).into_response()),
            _ => {
                let mut refused = ApiError::method().into_response();
                refused.headers_mut().insert(ALLOW, HeaderValue::from_static(METHODS));
                Ok(refused)
            }
        }
    }

    async fn len(&self, reached: &ReachedResults, place: &Place) -> Result<u64, ApiError> {
        let found = in_time(FIND, self.values.len(&*reached.actions, &place.name())).await?;
        found.ok_or_else(|| nothing(place))
    }

    async fn get(&self, reached: &ReachedResults, place: &Place) -> Result<Response, ApiError> {
        let full = |_| Status::unavailable("this coordinator sends as many values as it can; try another");
        let permit = Arc::clone(&self.sending).try_acquire_owned().map_err(full)?;
        let found = in_time(FIND, self.values.get(&*reached.actions, &place.name())).await?;
        let value = found.ok_or_else(|| nothing(place))?;
        let headers = headers(value.len());
        let body = sent(value.into_stream(), permit);
        Ok((headers, body).into_response())
    }

    async fn put(
        &self,
        reached: ReachedResults,
        place: &Place,
        request: Request,
    ) -> Result<Response, ApiError> {
        reached.may_update?;
        let announced = request.headers().get(CONTENT_LENGTH);
        let announced = announced.and_then(|len| len.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|len| len > MOST) {
            return Err(ApiError::too_large(MOST as usize));
        }
        let full = || Status::unavailable("this coordinator takes as many values as it can; try another");
        let mut gathering = self.values.gather().ok_or_else(full)?;
        let (mut body, mut len) = (request.into_body().into_data_stream(), 0);
        let late = |_| Status::deadline_exceeded("the next bytes of the value did not come in time");
        while let Some(piece) = timeout(IDLE, body.next()).await.map_err(late)? {
            let piece = piece.map_err(|error| ApiError::bad(format!("the value broke off: {error}")))?;
            len += piece.len() as u64;
            if len > MOST {
                return Err(ApiError::too_large(MOST as usize));
            }
            gathering.append(piece).await.map_err(failed)?;
        }
        let value = gathering.finish().await.map_err(failed)?;
        if place.kind == "cas" && value.hash() != place.key {
            let what = format!("these bytes have the SHA-256 {}, not {}", value.hash(), place.key);
            return Err(ApiError::bad(what));
        }
        let patience = STORE + Duration::from_secs(len / PER_SECOND);
        in_time(patience, self.values.put(&*reached.actions, &place.name(), value)).await?;
        Ok(StatusCode::OK.into_response())
    }

    /// What WebDAV calls the properties of a resource: whether it is there, and how long it is. Every collection is there.
    async fn found(&self, reached: &ReachedResults, place: &Place, path: &str) -> Result<Response, ApiError> {
        let kind = if place.is_collection() {
            "<D:resourcetype><D:collection/></D:resourcetype>".to_owned()
        } else {
            let len = self.len(reached, place).await?;
            format!("<D:resourcetype/><D:getcontentlength>{len}</D:getcontentlength>")
        };
        let path: String = path.chars().filter(|c| !matches!(c, '<' | '>' | '&' | '"')).collect();
        // The day on which there was nothing yet: nobody is told when a value was stored.
        let text = format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:multistatus xmlns:D=\"DAV:\"><D:response><D:href>{path}</D:href>\
             <D:propstat><D:prop>{kind}<D:getlastmodified>Thu, 01 Jan 1970 00:00:00 GMT</D:getlastmodified></D:prop>\
             <D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response></D:multistatus>\n"
        );
        let headers = [(CONTENT_TYPE, "application/xml; charset=utf-8")];
        Ok((StatusCode::MULTI_STATUS, headers, text).into_response())
    }
}

fn nothing(place: &Place) -> ApiError {
    Status::not_found(format!("there is no {}", place.name())).into()
}

fn headers(len: u64) -> [(HeaderName, String); 2] {
    [(CONTENT_LENGTH, len.to_string()), (CONTENT_TYPE, "application/octet-stream".to_owned())]
}

/// The header that says who calls, and no other.
fn authorization(headers: &HeaderMap) -> HeaderMap {
    let name = axum::http::header::AUTHORIZATION;
    headers.get(&name).map(|value| (name, value.clone())).into_iter().collect()
}

/// The bytes of a value, sent as fast as they are read. The place is held as long as they are.
fn sent(
    pieces: futures_util::stream::BoxStream<'static, Result<bytes::Bytes, StoreError>>,
    permit: OwnedSemaphorePermit,
) -> Body {
    Body::from_stream(pieces.map(move |piece| {
        let _ = &permit;
        piece.map_err(|error| std::io::Error::other(error.to_string()))
    }))
}

async fn in_time<T>(
    patience: Duration,
    asked: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, ApiError> {
    let late = |_| Status::deadline_exceeded("the store of the cluster did not answer in time");
    timeout(patience, asked).await.map_err(late)?.map_err(failed)
}

fn failed(error: StoreError) -> ApiError {
    if let StoreError::NotFound { digest } = error {
        let what =
            format!("this result of an action names the blob {digest}, which is not there: store it first");
        return Status::failed_precondition(what).into();
    }
    tracing::warn!(%error, "a value could not be had or stored");
    Status::unavailable("the store behind this coordinator failed; its log says why").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_an_instance_a_kind_and_a_key() {
        let place = |instance: &str, kind, key: &str| {
            Some(Place { instance: instance.to_owned(), kind, key: key.to_owned() })
        };
        assert_eq!(Place::parse("/ac/x"), place("", "ac", "x"));
        assert_eq!(Place::parse("/cas/x"), place("", "cas", "x"));
        assert_eq!(Place::parse("/cache/cas/x"), place("", "cas", "x"));
        assert_eq!(Place::parse("/cache/web/branch/a/ac/x"), place("web/branch/a", "ac", "x"));
        assert_eq!(Place::parse("/cache/web/values/a/b/ac/x"), place("web", "values", "a/b/ac/x"));
        for collection in ["/cache/web/values", "/cache/web/values/", "/cache/values/a/"] {
            assert!(Place::parse(collection).unwrap().is_collection(), "{collection}");
        }
        let long = format!("/ac/{}", "x".repeat(LONGEST));
        for wrong in ["/cache/web/x", "/cache//ac/x", "/cache/values/../x", "/cache/values/a/./x", "/", &long]
        {
            assert_eq!(Place::parse(wrong), None, "{wrong}");
        }
    }
}
