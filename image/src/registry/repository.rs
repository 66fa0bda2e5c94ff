//! One repository, in its registry and in mirrors of that.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::header::ACCEPT;
use reqwest::{RequestBuilder, Response};

use super::auth::Proof;
use super::retry::Retries;
use super::send::read_body;
use super::{RegistryError, RegistryOptions, RegistryProblem};
use crate::manifest::{ACCEPTED, Blob, Document, MOST_BYTES};
use crate::{Digest, Pick};

/// What is done with a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Access {
    Pull,
    Push,
    Delete,
}

impl Access {
    pub(super) fn actions(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "pull,push",
            Self::Delete => "pull,push,delete",
        }
    }
}

/// A place that answers for a registry.
pub(super) struct Endpoint {
    /// Under which its credentials are known.
    pub(super) name: String,
    /// Scheme, host and port.
    pub(super) base: String,
    /// What it wanted to see last, for each kind of access: whoever reads and writes in turn keeps both tokens.
    proofs: Mutex<BTreeMap<Access, Proof>>,
}

impl Endpoint {
    pub(super) fn new(name: &str, base: String) -> Self {
        Self { name: name.to_owned(), base, proofs: Mutex::default() }
    }

    pub(super) fn proof(&self, access: Access) -> Option<Proof> {
        self.proofs.lock().unwrap_or_else(PoisonError::into_inner).get(&access).cloned()
    }

    pub(super) fn keep(&self, access: Access, proof: Proof) {
        self.proofs.lock().unwrap_or_else(PoisonError::into_inner).insert(access, proof);
    }
}

/// A repository and how to reach it.
pub(crate) struct Repository {
    pub(super) http: reqwest::Client,
    /// For whoever gives tokens.
    pub(super) tokens: reqwest::Client,
    pub(super) options: Arc<RegistryOptions>,
    /// Mirrors, then the registry itself.
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) name: String,
    /// Other repositories of the registry that blobs may be taken from in a push.
    pub(super) mounts: Vec<String>,
}

/// Without what proves who asks.
impl fmt::Debug for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bases: Vec<&str> = self.endpoints.iter().map(|endpoint| endpoint.base.as_str()).collect();
        f.debug_struct("Repository").field("name", &self.name).field("endpoints", &bases).finish()
    }
}

impl Repository {
    pub(super) fn new(
        (http, tokens): (reqwest::Client, reqwest::Client),
        options: Arc<RegistryOptions>,
        endpoints: Vec<Endpoint>,
        name: String,
    ) -> Self {
        Self { http, tokens, options, endpoints, name, mounts: Vec::new() }
    }

    /// The registry itself, whichever mirrors it has.
    pub(crate) fn registry(&self) -> &str {
        self.endpoints.last().map_or("", |endpoint| endpoint.name.as_str())
    }

    #[cfg(test)]
    pub(super) fn bases(&self) -> Vec<String> {
        self.endpoints.iter().map(|endpoint| endpoint.base.clone()).collect()
    }

    /// A manifest or an index, checked against its digest where that was asked for, and against what the registry
    /// says of it where a tag was.
    pub(crate) async fn manifest(&self, which: &Pick) -> Result<Vec<u8>, RegistryError> {
        let name = match which {
            Pick::Tag(tag) => tag.clone(),
            Pick::Digest(digest) => digest.to_string(),
        };
        let path = format!("manifests/{name}");
        let check = |bytes: &[u8], said: Option<Digest>| {
            let expected = if let Pick::Digest(digest) = which { Some(*digest) } else { said };
            compare(bytes, expected)?;
            // Behind a mirror that sends something else, the registry may have it.
            let checked = Document::read(bytes, &self.name).map(drop);
            checked.map_err(|error| RegistryProblem::Answer { problem: error.to_string() })
        };
        let accept = |request: RequestBuilder| request.header(ACCEPT, ACCEPTED.join(", "));
        self.anywhere(&path, &format!("manifest {name}"), MOST_BYTES, accept, check).await
    }

    /// A short blob, whole.
    pub(crate) async fn small(&self, blob: &Blob) -> Result<Vec<u8>, RegistryError> {
        let check = |bytes: &[u8], _: Option<Digest>| {
            if (bytes.len() as u64) < blob.size {
                return Err(RegistryProblem::Cut { received: bytes.len() as u64, expected: blob.size });
            }
            compare(bytes, Some(blob.digest))
        };
        let path = format!("blobs/{}", blob.digest);
        self.anywhere(&path, &format!("blob {}", blob.digest), blob.size, |request| request, check).await
    }

    /// Asks mirrors, then the registry, each as often as is worth it; the registry's problem, if nobody answers. `check`
    /// is given the bytes and the digest that the answer says they have.
    async fn anywhere(
        &self,
        path: &str,
        what: &str,
        limit: u64,
        shape: impl Fn(RequestBuilder) -> RequestBuilder,
        check: impl Fn(&[u8], Option<Digest>) -> Result<(), RegistryProblem>,
    ) -> Result<Vec<u8>, RegistryError> {
        let mut last = None;
        for (at, endpoint) in self.endpoints.iter().enumerate() {
            let mut retries = Retries::new(&self.options, at + 1 < self.endpoints.len());
            let url = self.url(endpoint, path);
            let problem = loop {
                let sent = self.send(endpoint, Access::Pull, || shape(self.http.get(&url))).await;
                let done = match sent {
                    Ok(response) => answer(response, limit, &check).await,
                    Err(problem) => Err(problem),
                };
                match done {
                    Ok(bytes) => return Ok(bytes),
                    Err(problem) => match retries.pause(problem).await {
                        Ok(()) => (),
                        Err(problem) => break problem,
                    },
                }
            };
            last = Some(self.error(endpoint, what, problem));
        }
        Err(last.unwrap_or_else(|| self.nowhere(what)))
    }

    pub(super) fn url(&self, endpoint: &Endpoint, path: &str) -> String {
        format!("{}/v2/{}/{path}", endpoint.base, self.name)
    }

    pub(super) fn error(&self, endpoint: &Endpoint, what: &str, problem: RegistryProblem) -> RegistryError {
        let (registry, repository) = (endpoint.name.clone(), self.name.clone());
        RegistryError { registry, repository, what: what.to_owned(), problem: Box::new(problem) }
    }

    /// A repository has at least one endpoint; this keeps that from being a panic.
    pub(super) fn nowhere(&self, what: &str) -> RegistryError {
        let problem = Box::new(RegistryProblem::Settings { problem: "it has no address".to_owned() });
        let (registry, repository) = ("no registry".to_owned(), self.name.clone());
        RegistryError { registry, repository, what: what.to_owned(), problem }
    }
}

async fn answer(
    response: Response,
    limit: u64,
    check: &impl Fn(&[u8], Option<Digest>) -> Result<(), RegistryProblem>,
) -> Result<Vec<u8>, RegistryProblem> {
    let said = response.headers().get("docker-content-digest");
    let said = said.and_then(|digest| digest.to_str().ok()?.parse::<Digest>().ok());
    let bytes = read_body(response, limit).await?;
    check(&bytes, said)?;
    Ok(bytes)
}

pub(super) fn compare(bytes: &[u8], expected: Option<Digest>) -> Result<(), RegistryProblem> {
    let actual = Digest::of(bytes);
    match expected {
        Some(expected) if expected != actual => Err(RegistryProblem::Damaged { expected, actual }),
        _ => Ok(()),
    }
}
