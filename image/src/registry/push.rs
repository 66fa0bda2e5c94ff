//! An image into a registry.
//!
//! Source: OCI distribution-spec, "Push".

use std::path::Path;

use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use reqwest::{Body, Response, StatusCode, Url};
use tokio_util::io::ReaderStream;

use super::repository::{Access, Endpoint, Repository};
use super::retry::Retries;
use super::{Registries, RegistryError, RegistryProblem};
use crate::manifest::Blob;
use crate::{Digest, ImageError, Pick, RegistryReference, WrittenImage};

/// What a push came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pushed {
    /// Of the manifest.
    pub digest: Digest,
    /// Bytes of blobs that were sent.
    pub sent_bytes: u64,
    /// Blobs that were there already.
    pub present: usize,
}

impl Registries {
    /// Pushes an image: blobs that the registry does not have, one after the other, then the manifest, so that
    /// nobody finds an image of which something is missing. Mirrors are not written to.
    ///
    /// # Errors
    /// [`ImageError::Registry`], and [`ImageError::Io`] for a blob that cannot be read.
    pub async fn push(&self, to: &RegistryReference, image: &WrittenImage) -> Result<Pushed, ImageError> {
        let repository = self.repository(to);
        let endpoint = repository.endpoints.last().ok_or_else(|| repository.nowhere("push"))?;
        let mut pushed = Pushed { digest: image.digest, sent_bytes: 0, present: 0 };
        for (blob, file) in &image.blobs {
            if repository.push_blob(endpoint, blob, file).await? {
                pushed.sent_bytes += blob.size;
            } else {
                pushed.present += 1;
            }
        }
        let name = match &to.which {
            Pick::Tag(tag) => tag.clone(),
            Pick::Digest(digest) => digest.to_string(),
        };
        repository.push_manifest(endpoint, &name, image).await?;
        Ok(pushed)
    }
}

/// What one attempt came to: the file may be at fault, or the registry.
type Attempt<T> = Result<Result<T, RegistryProblem>, ImageError>;

impl Repository {
    /// Whether the blob had to be sent.
    async fn push_blob(&self, endpoint: &Endpoint, blob: &Blob, file: &Path) -> Result<bool, ImageError> {
        let mut retries = Retries::new(&self.options, false);
        let mut refused = false;
        loop {
            let problem = match self.try_blob(endpoint, blob, file).await? {
                Ok(sent) => return Ok(sent),
                // A token may expire during a long upload; the next attempt begins with a new one.
                Err(RegistryProblem::Unauthorized { .. }) if !std::mem::replace(&mut refused, true) => {
                    continue;
                }
                Err(problem) => problem,
            };
            if let Err(problem) = retries.pause(problem).await {
                return Err(self.error(endpoint, &format!("upload of blob {}", blob.digest), problem).into());
            }
        }
    }

    async fn try_blob(&self, endpoint: &Endpoint, blob: &Blob, file: &Path) -> Attempt<bool> {
        let url = self.url(endpoint, &format!("blobs/{}", blob.digest));
        match self.send(endpoint, Access::Push, || self.http.head(&url)).await {
            Ok(_) => return Ok(Ok(false)),
            Err(RegistryProblem::NotFound { .. }) => (),
            Err(problem) => return Ok(Err(problem)),
        }
        let url = self.url(endpoint, "blobs/uploads/");
        let begin = || self.http.post(&url).header(CONTENT_LENGTH, 0);
        let place =
            match self.send(endpoint, Access::Push, begin).await.and_then(|begun| upload_place(&begun, blob))
            {
                Ok(place) => place,
                Err(problem) => return Ok(Err(problem)),
            };
        let opened =
            tokio::fs::File::open(file).await.map_err(|error| ImageError::io("read", file, error))?;
        let body = Body::wrap_stream(ReaderStream::with_capacity(opened, 128 << 10));
        let mut request = self
            .http
            .put(place.clone())
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(CONTENT_LENGTH, blob.size)
            .body(body);
        // A place elsewhere has what it needs in its address; credentials are for the registry alone.
        let ours = Url::parse(&endpoint.base).is_ok_and(|base| base.origin() == place.origin());
        if let Some(proof) = endpoint.proof(Access::Push).filter(|_| ours) {
            request = proof.add(request);
        }
        let sent = match request.send().await {
            Ok(response) => super::send::checked(response, None).await,
            Err(error) => Err(RegistryProblem::transport(error)),
        };
        Ok(sent.map(|_| true))
    }

    async fn push_manifest(
        &self,
        endpoint: &Endpoint,
        name: &str,
        image: &WrittenImage,
    ) -> Result<(), RegistryError> {
        let url = self.url(endpoint, &format!("manifests/{name}"));
        let put = || {
            let request = self.http.put(&url).header(CONTENT_TYPE, &image.media_type);
            request.body(image.manifest.clone())
        };
        let mut retries = Retries::new(&self.options, false);
        loop {
            let problem = match self.send(endpoint, Access::Push, put).await {
                Ok(_) => return Ok(()),
                Err(problem) => problem,
            };
            if let Err(problem) = retries.pause(problem).await {
                return Err(self.error(endpoint, &format!("upload of manifest {name}"), problem));
            }
        }
    }
}

/// Where the registry wants the blob.
fn upload_place(begun: &Response, blob: &Blob) -> Result<Url, RegistryProblem> {
    let odd = || RegistryProblem::Answer { problem: "it does not say where to send a blob".to_owned() };
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
    place.query_pairs_mut().append_pair("digest", &blob.digest.to_string());
    Ok(place)
}
