//! Blobs into a repository.
//!
//! Source: OCI distribution-spec, "Pushing blobs" and "Mounting a blob from another repository".

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use reqwest::{Body, RequestBuilder, Response, StatusCode, Url};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use super::repository::{Access, Endpoint, Repository};
use super::retry::Retries;
use super::{BlobPushed, RegistryProblem};
use crate::manifest::Blob;
use crate::outgoing::Content;
use crate::source::{FilePart, offload};
use crate::{Digest, ImageError};

/// How long a registry may take after the last byte: those that keep blobs in a bucket copy them there then.
const SETTLING: Duration = Duration::from_secs(300);

/// What one attempt came to: the file may be at fault, or the registry.
type Attempt<T> = Result<Result<T, RegistryProblem>, ImageError>;

/// A repository that is given blobs.
pub(super) struct Uploads<'a> {
    /// Without a bound on how long it takes until an answer begins, which comes after all bytes were sent.
    http: reqwest::Client,
    repository: &'a Repository,
    endpoint: &'a Endpoint,
}

/// What a registry wants done after it was asked to take a blob.
enum Begun {
    Mounted,
    Send(Url),
}

impl<'a> Uploads<'a> {
    pub(super) fn new(http: reqwest::Client, repository: &'a Repository, endpoint: &'a Endpoint) -> Self {
        Self { http, repository, endpoint }
    }

    /// Sees to it that the repository has the blob.
    pub(super) async fn push(
        &self,
        blob: &Blob,
        content: &Content,
        image: &str,
    ) -> Result<BlobPushed, ImageError> {
        let mut retries = Retries::new(&self.repository.options, false);
        let (mut refused, mut verified) = (false, false);
        loop {
            let problem = match self.attempt(blob, content, (image, &mut verified)).await? {
                Ok(how) => return Ok(how),
                // A token may expire during a long upload; the next attempt begins with a new one.
                Err(RegistryProblem::Unauthorized { .. }) if !std::mem::replace(&mut refused, true) => {
                    continue;
                }
                Err(problem) => problem,
            };
            if let Err(problem) = retries.pause(problem).await {
                let what = format!("upload of blob {}", blob.digest);
                return Err(self.repository.error(self.endpoint, &what, problem).into());
            }
        }
    }

    async fn attempt(
        &self,
        blob: &Blob,
        content: &Content,
        (image, verified): (&str, &mut bool),
    ) -> Attempt<BlobPushed> {
        match self.is_there(blob).await {
            Ok(true) => return Ok(Ok(BlobPushed::Present)),
            Ok(false) => (),
            Err(problem) => return Ok(Err(problem)),
        }
        let place = match self.begin(blob).await {
            Ok(Begun::Mounted) => return Ok(Ok(BlobPushed::Mounted)),
            Ok(Begun::Send(place)) => place,
            Err(problem) => return Ok(Err(problem)),
        };
        if !std::mem::replace(verified, true) {
            let (blob, content, name) = (blob.clone(), content.clone(), image.to_owned());
            offload(image, move || content.verify(&blob, &name)).await?;
        }
        let sent = Arc::new(AtomicU64::new(0));
        let body = body(content, blob.size, Arc::clone(&sent)).await?;
        Ok(self.send(&place, body, (&sent, blob.size)).await.map(|()| BlobPushed::Sent))
    }

    /// Sends bytes that are in memory, without asking first whether they are there. The caller has hashed them.
    pub(super) async fn put(&self, digest: &Digest, bytes: &Bytes) -> Result<(), RegistryProblem> {
        let size = bytes.len() as u64;
        let blob = Blob { media_type: String::new(), digest: *digest, size };
        let mut retries = Retries::new(&self.repository.options, false);
        let mut refused = false;
        loop {
            let problem = match self.begin(&blob).await {
                Ok(Begun::Mounted) => return Ok(()),
                Ok(Begun::Send(place)) => {
                    let sent = AtomicU64::new(size);
                    match self.send(&place, Body::from(bytes.clone()), (&sent, size)).await {
                        Ok(()) => return Ok(()),
                        // The token may have expired between the two requests; the next one gets a new one.
                        Err(RegistryProblem::Unauthorized { .. })
                            if !std::mem::replace(&mut refused, true) =>
                        {
                            continue;
                        }
                        Err(problem) => problem,
                    }
                }
                Err(problem) => problem,
            };
            retries.pause(problem).await?;
        }
    }

    async fn send(
        &self,
        place: &Url,
        body: Body,
        (sent, size): (&AtomicU64, u64),
    ) -> Result<(), RegistryProblem> {
        let request = self
            .http
            .put(place.clone())
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(CONTENT_LENGTH, size)
            .body(body);
        self.watched(self.proven(request, place), sent, size).await.map(drop)
    }

    /// A place elsewhere has what it needs in its address; credentials are for the registry alone.
    fn proven(&self, request: RequestBuilder, place: &Url) -> RequestBuilder {
        let ours = Url::parse(&self.endpoint.base).is_ok_and(|base| base.origin() == place.origin());
        match self.endpoint.proof(Access::Push).filter(|_| ours) {
            Some(proof) => proof.add(request),
            None => request,
        }
    }

    async fn is_there(&self, blob: &Blob) -> Result<bool, RegistryProblem> {
        let url = self.repository.url(self.endpoint, &format!("blobs/{}", blob.digest));
        let head = || self.repository.http.head(&url);
        match self.repository.send(self.endpoint, Access::Push, head).await {
            Ok(_) => Ok(true),
            Err(RegistryProblem::NotFound { .. }) => Ok(false),
            Err(problem) => Err(problem),
        }
    }

    /// Asks for the blob from each of the other repositories, and then for a place to send it to.
    async fn begin(&self, blob: &Blob) -> Result<Begun, RegistryProblem> {
        let uploads = self.repository.url(self.endpoint, "blobs/uploads/");
        let begin = async |url: &str| {
            let post = || self.repository.http.post(url).header(CONTENT_LENGTH, 0);
            self.repository.send(self.endpoint, Access::Push, post).await
        };
        let digest = blob.digest.to_string();
        for other in &self.repository.mounts {
            let mut url = Url::parse(&uploads).map_err(|_| odd())?;
            url.query_pairs_mut().append_pair("mount", &digest).append_pair("from", other);
            match begin(url.as_str()).await {
                Ok(response) if response.status() == StatusCode::CREATED => return Ok(Begun::Mounted),
                // It began an upload, which whoever has nothing to mount does not have to use.
                Ok(_) => (),
                // Whoever may not read there sends the blob.
                Err(
                    RegistryProblem::Unauthorized { .. }
                    | RegistryProblem::Forbidden { .. }
                    | RegistryProblem::NotFound { .. },
                ) => (),
                Err(problem) => return Err(problem),
            }
        }
        upload_place(&begin(&uploads).await?, &digest).map(Begun::Send)
    }

    /// Sends the request as long as its body gets on, and then waits for the registry to be done with it.
    async fn watched(
        &self,
        request: RequestBuilder,
        sent: &AtomicU64,
        size: u64,
    ) -> Result<Response, RegistryProblem> {
        let sending = request.send();
        tokio::pin!(sending);
        loop {
            let now = sent.load(Ordering::Relaxed);
            let wait = if now >= size { SETTLING } else { self.repository.options.read_timeout };
            match tokio::time::timeout(wait, &mut sending).await {
                Ok(Ok(response)) => return super::send::checked(response, None).await,
                Ok(Err(error)) => return Err(RegistryProblem::transport(error)),
                Err(_) if sent.load(Ordering::Relaxed) == now => {
                    return Err(RegistryProblem::Stalled { sent: now, seconds: wait.as_secs() });
                }
                Err(_) => (),
            }
        }
    }
}

async fn body(content: &Content, size: u64, sent: Arc<AtomicU64>) -> Result<Body, ImageError> {
    let FilePart { file, offset, .. } = match content {
        Content::Memory(bytes) => {
            sent.store(size, Ordering::Relaxed);
            return Ok(Body::from(bytes.to_vec()));
        }
        Content::File(place) => place,
    };
    let fail = |error| ImageError::io("read", file, error);
    let mut opened = tokio::fs::File::open(file).await.map_err(fail)?;
    opened.seek(std::io::SeekFrom::Start(*offset)).await.map_err(fail)?;
    let pieces = ReaderStream::with_capacity(opened.take(size), 128 << 10);
    let counted = pieces.inspect(move |piece| {
        if let Ok(piece) = piece {
            sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
        }
    });
    Ok(Body::wrap_stream(counted))
}

fn odd() -> RegistryProblem {
    RegistryProblem::Answer { problem: "it does not say where to send a blob".to_owned() }
}

/// Where the registry wants the blob.
fn upload_place(begun: &Response, digest: &str) -> Result<Url, RegistryProblem> {
    if begun.status() != StatusCode::ACCEPTED {
        return Err(odd());
    }
    let location =
        begun.headers().get(LOCATION).and_then(|location| location.to_str().ok()).ok_or_else(odd)?;
    let mut place = begun.url().join(location).map_err(|_| odd())?;
    if begun.url().scheme() == "https" && place.scheme() != "https" {
        return Err(RegistryProblem::Answer {
            problem: "it wants a blob sent without protection".to_owned(),
        });
    }
    place.query_pairs_mut().append_pair("digest", digest);
    Ok(place)
}
