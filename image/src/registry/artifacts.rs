//! A repository as storage for what is no image: documents under tags, and blobs under their digests.
//!
//! Source: OCI distribution-spec, "Pull", "Push" and "Content Management".

use std::fmt;

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, LINK};
use reqwest::{Client, RequestBuilder};
use serde::Deserialize;

use super::push::is_taken;
use super::repository::{Access, Endpoint, Repository, compare};
use super::retry::Retries;
use super::send::read_body;
use super::upload::Uploads;
use super::{Registries, RegistryError, RegistryProblem};
use crate::manifest::{MOST_BYTES, OCI_INDEX, OCI_MANIFEST};
use crate::{Digest, Pick, RegistryReference};

/// One repository of a registry. It keeps its tokens, so it is made once and not for each request. Mirrors are not asked:
/// what they have under a tag may be old. Every request is tried again as [`crate::RegistryOptions`] say.
pub struct Artifacts {
    /// With the registry itself as its only endpoint.
    repository: Repository,
    uploads: Client,
}

/// Without what proves who asks.
impl fmt::Debug for Artifacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.repository.fmt(f)
    }
}

/// What came of a request.
struct Answer {
    headers: HeaderMap,
    body: Vec<u8>,
}

/// What a registry answers about tags.
#[derive(Deserialize)]
struct TagList {
    tags: Option<Vec<String>>,
}

/// Tags that are asked for at once.
const TAGS: usize = 1000;

/// The most bytes of a list of tags: half a million of them, for registries that know no pages.
const MOST_TAGS: u64 = 64 << 20;

/// The most bytes of an answer that needs none.
const NO_BODY: u64 = 64 << 10;

impl Registries {
    /// A repository as storage. `registry` is host and port, `repository` a name in lower case.
    ///
    /// # Errors
    /// [`RegistryProblem::Settings`] where no client can be made.
    pub fn artifacts(&self, registry: &str, repository: &str) -> Result<Artifacts, RegistryError> {
        let reference = RegistryReference {
            registry: registry.to_owned(),
            repository: repository.to_owned(),
            which: Pick::Tag(String::new()),
        };
        let mut repository = self.repository(&reference);
        let mirrors = repository.endpoints.len().saturating_sub(1);
        repository.endpoints.drain(..mirrors);
        Ok(Artifacts { repository, uploads: self.upload_client()? })
    }
}

impl Artifacts {
    /// The manifest or index under a tag, byte for byte, as long as the specification has registries accept (4 MiB). None
    /// where there is none (404).
    ///
    /// # Errors
    /// [`RegistryProblem::Damaged`] where the bytes are not those that the registry says they are.
    pub async fn manifest(&self, tag: &str) -> Result<Option<Vec<u8>>, RegistryError> {
        let (path, what) = (format!("manifests/{tag}"), format!("manifest {tag}"));
        let accepted = format!("{OCI_MANIFEST}, {OCI_INDEX}");
        let get = |http: &Client, url: &str| http.get(url).header(ACCEPT, &accepted);
        let found = self.ask(Access::Pull, &path, MOST_BYTES, get).await;
        let checked = found.and_then(|answer| {
            let said = answer.headers.get("docker-content-digest");
            compare(&answer.body, said.and_then(|said| said.to_str().ok()?.parse().ok()))?;
            Ok(answer.body)
        });
        self.or_none(&what, checked)
    }

    /// Puts a manifest or an index under a tag, in place of what had it.
    ///
    /// # Errors
    /// Also where the registry changes it. Most registries refuse one that names what they do not have.
    pub async fn put_manifest(
        &self,
        tag: &str,
        media_type: &str,
        bytes: &Bytes,
    ) -> Result<(), RegistryError> {
        let (path, what) = (format!("manifests/{tag}"), format!("upload of manifest {tag}"));
        let digest = Digest::of(bytes);
        let put =
            |http: &Client, url: &str| http.put(url).header(CONTENT_TYPE, media_type).body(bytes.clone());
        let answer = self.ask(Access::Push, &path, NO_BODY, put).await;
        let taken = answer.and_then(|answer| is_taken(&answer.headers, digest));
        taken.map_err(|problem| self.error(&what, problem))
    }

    /// The tags of the repository that come after `last` in its order, as many as the registry says at once, and whether
    /// there are more. Empty where there is no such repository. Source: OCI distribution-spec 1.1, "Listing Tags".
    ///
    /// # Errors
    /// They cannot be read, or are no list.
    pub async fn tags(&self, last: Option<&str>) -> Result<(Vec<String>, bool), RegistryError> {
        let after = last.map(|last| format!("&last={last}")).unwrap_or_default();
        let path = format!("tags/list?n={TAGS}{after}");
        let found = self.ask(Access::Pull, &path, MOST_TAGS, |http, url| http.get(url)).await;
        let read = found.and_then(|answer| {
            let list: TagList = serde_json::from_slice(&answer.body).map_err(|error| {
                RegistryProblem::Answer { problem: format!("its list of tags is none: {error}") }
            })?;
            // Some registries say null where a repository has none. Those that know no pages send all, and no link.
            let tags = list.tags.unwrap_or_default();
            let more = answer.headers.contains_key(LINK) && !tags.is_empty();
            Ok((tags, more))
        });
        Ok(self.or_none("list of tags", read)?.unwrap_or_default())
    }

    /// Whether a blob of this length is there.
    ///
    /// # Errors
    /// It cannot be found out.
    pub async fn has_blob(&self, digest: &Digest, size: u64) -> Result<bool, RegistryError> {
        let path = format!("blobs/{digest}");
        let found = self.ask(Access::Pull, &path, NO_BODY, |http, url| http.head(url)).await;
        let headers =
            self.or_none(&format!("blob {digest}"), found.map(|answer| answer.headers))?.unwrap_or_default();
        let len = headers.get(CONTENT_LENGTH).and_then(|len| len.to_str().ok()?.parse::<u64>().ok());
        // Without a length, the registry may have sent on to a storage that says none.
        Ok(!headers.is_empty() && len.is_none_or(|len| len == size))
    }

    /// The bytes of a blob, if it is there and has this length. They are not checked.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn blob(&self, digest: &Digest, size: u64) -> Result<Option<Bytes>, RegistryError> {
        let path = format!("blobs/{digest}");
        let found = self.ask(Access::Pull, &path, size, |http, url| http.get(url)).await;
        let bytes = match found.map(|answer| answer.body) {
            Err(RegistryProblem::TooLong { .. }) => None,
            other => self.or_none(&format!("blob {digest}"), other)?,
        };
        Ok(bytes.filter(|bytes| bytes.len() as u64 == size).map(Bytes::from))
    }

    /// Sends a blob in two requests, whether it is there or not. The caller has hashed it; the registry does, too.
    ///
    /// # Errors
    /// It is not taken.
    pub async fn put_blob(&self, digest: &Digest, bytes: &Bytes) -> Result<(), RegistryError> {
        let what = format!("upload of blob {digest}");
        let uploads = Uploads::new(self.uploads.clone(), &self.repository, self.endpoint(&what)?);
        uploads.put(digest, bytes).await.map_err(|problem| self.error(&what, problem))
    }

    /// Removes a manifest or an index, and with it all its tags. False where that did not happen: it was not there, or the
    /// registry removes nothing, or not for whoever asks.
    ///
    /// # Errors
    /// It is not known what came of it.
    pub async fn delete_manifest(&self, digest: &Digest) -> Result<bool, RegistryError> {
        self.delete("manifest", &format!("manifests/{digest}"), digest).await
    }

    /// Removes a blob from the repository; otherwise as [`Self::delete_manifest`].
    ///
    /// # Errors
    /// It is not known what came of it.
    pub async fn delete_blob(&self, digest: &Digest) -> Result<bool, RegistryError> {
        self.delete("blob", &format!("blobs/{digest}"), digest).await
    }

    async fn delete(&self, kind: &str, path: &str, digest: &Digest) -> Result<bool, RegistryError> {
        match self.ask(Access::Delete, path, NO_BODY, |http, url| http.delete(url)).await {
            Ok(_) => Ok(true),
            // The specification has 405; there are registries, and those who give tokens for them, with another answer,
            // and some that keep what something else names.
            Err(
                RegistryProblem::Status { status: 400 | 405 | 409 | 501, .. }
                | RegistryProblem::Unauthorized { .. }
                | RegistryProblem::Forbidden { .. }
                | RegistryProblem::NotFound { .. },
            ) => Ok(false),
            Err(problem) => Err(self.error(&format!("removal of {kind} {digest}"), problem)),
        }
    }

    /// Asks as often as is worth it.
    async fn ask(
        &self,
        access: Access,
        path: &str,
        limit: u64,
        shape: impl Fn(&Client, &str) -> RequestBuilder,
    ) -> Result<Answer, RegistryProblem> {
        let Some(endpoint) = self.repository.endpoints.last() else {
            return Err(RegistryProblem::Settings { problem: "it has no address".to_owned() });
        };
        let url = self.repository.url(endpoint, path);
        let mut retries = Retries::new(&self.repository.options, false);
        loop {
            let request = || shape(&self.repository.http, &url);
            let done = match self.repository.send(endpoint, access, request).await {
                Ok(response) => {
                    let headers = response.headers().clone();
                    read_body(response, limit).await.map(|body| Answer { headers, body })
                }
                Err(problem) => Err(problem),
            };
            match done {
                Ok(answer) => return Ok(answer),
                Err(problem) => retries.pause(problem).await?,
            }
        }
    }

    /// A repository has at least one endpoint; this keeps that from being a panic.
    fn endpoint(&self, what: &str) -> Result<&Endpoint, RegistryError> {
        self.repository.endpoints.last().ok_or_else(|| self.repository.nowhere(what))
    }

    fn or_none<T>(&self, what: &str, found: Result<T, RegistryProblem>) -> Result<Option<T>, RegistryError> {
        match found {
            Ok(found) => Ok(Some(found)),
            Err(RegistryProblem::NotFound { .. }) => Ok(None),
            Err(problem) => Err(self.error(what, problem)),
        }
    }

    fn error(&self, what: &str, problem: RegistryProblem) -> RegistryError {
        match self.endpoint(what) {
            Ok(endpoint) => self.repository.error(endpoint, what, problem),
            Err(error) => error,
        }
    }
}
