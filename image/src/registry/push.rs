//! An image into a registry.
//!
//! Source: OCI distribution-spec, "Push".

use reqwest::header::{CONTENT_TYPE, HeaderMap};

use super::repository::{Access, Endpoint, Repository};
use super::retry::Retries;
use super::upload::Uploads;
use super::{Registries, RegistryError, RegistryProblem};
use crate::manifest::Blob;
use crate::outgoing::OutgoingDocument;
use crate::{Digest, ImageError, Outgoing, Pick, RegistryReference};

/// What a push came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pushed {
    /// Of the manifest, or of the index.
    pub digest: Digest,
    /// Bytes of blobs that were sent.
    pub sent_bytes: u64,
    /// Blobs that were sent.
    pub sent: usize,
    /// Blobs that were there already.
    pub present: usize,
    /// Blobs that another repository of the registry had, so that they were not sent.
    pub mounted: usize,
}

/// How a blob came to be in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobPushed {
    /// It was there.
    Present,
    /// Another repository of the registry has it.
    Mounted,
    /// It was sent.
    Sent,
}

/// The most repositories that are tried to mount a blob from: each is a request for each blob that is missing.
pub const MOST_MOUNTS: usize = 8;

impl Registries {
    /// Pushes an image: blobs that the registry does not have, one after the other, then the manifest, so that
    /// nobody finds an image of which something is missing. Mirrors are not written to. Blobs that one of the repositories
    /// `mounts` of the same registry has are taken from there, as far as the registry can do that. `told` hears of each
    /// blob.
    ///
    /// # Errors
    /// [`ImageError::Registry`]; [`ImageError::Io`] and [`ImageError::Damaged`] for a blob of this machine that cannot be
    /// read or is not what its digest says; [`ImageError::Document`] where `to` names another digest.
    pub async fn push(
        &self,
        to: &RegistryReference,
        image: &Outgoing,
        mounts: &[String],
        told: &(dyn Fn(&Blob, BlobPushed) + Sync),
    ) -> Result<Pushed, ImageError> {
        let mut repository = self.repository(to);
        let others = mounts.iter().filter(|other| **other != to.repository).take(MOST_MOUNTS);
        repository.mounts = others.cloned().collect();
        let endpoint = repository.endpoints.last().ok_or_else(|| repository.nowhere("push"))?;
        let digest = image.digest().ok_or_else(|| repository.nowhere("push"))?;
        if let Pick::Digest(wanted) = &to.which
            && *wanted != digest
        {
            let problem = format!("its digest is {digest}, and it is to be pushed as {wanted}");
            return Err(ImageError::document("manifest", &image.name, problem));
        }
        let uploads = Uploads::new(self.upload_client()?, &repository, endpoint);
        let mut pushed = Pushed { digest, sent_bytes: 0, sent: 0, present: 0, mounted: 0 };
        for (blob, content) in &image.blobs {
            let how = uploads.push(blob, content, &image.name).await?;
            match how {
                BlobPushed::Present => pushed.present += 1,
                BlobPushed::Mounted => pushed.mounted += 1,
                BlobPushed::Sent => {
                    pushed.sent += 1;
                    pushed.sent_bytes += blob.size;
                }
            }
            told(blob, how);
        }
        let Some((last, below)) = image.documents.split_last() else { return Ok(pushed) };
        for document in below {
            repository.push_manifest(endpoint, &document.digest.to_string(), document).await?;
        }
        let name = match &to.which {
            Pick::Tag(tag) => tag.clone(),
            Pick::Digest(digest) => digest.to_string(),
        };
        repository.push_manifest(endpoint, &name, last).await?;
        Ok(pushed)
    }
}

impl Repository {
    async fn push_manifest(
        &self,
        endpoint: &Endpoint,
        name: &str,
        document: &OutgoingDocument,
    ) -> Result<(), RegistryError> {
        let url = self.url(endpoint, &format!("manifests/{name}"));
        let put = || {
            let request = self.http.put(&url).header(CONTENT_TYPE, &document.media_type);
            request.body(document.bytes.to_vec())
        };
        let mut retries = Retries::new(&self.options, false);
        loop {
            let sent = self.send(endpoint, Access::Push, put).await;
            let problem = match sent.and_then(|response| is_taken(response.headers(), document.digest)) {
                Ok(()) => return Ok(()),
                Err(problem) => problem,
            };
            if let Err(problem) = retries.pause(problem).await {
                return Err(self.error(endpoint, &format!("upload of manifest {name}"), problem));
            }
        }
    }
}

/// A registry that changes a manifest has another image than the one that was pushed.
pub(super) fn is_taken(headers: &HeaderMap, digest: Digest) -> Result<(), RegistryProblem> {
    let said = headers.get("docker-content-digest");
    let said = said.and_then(|said| said.to_str().ok()?.parse::<Digest>().ok());
    match said {
        Some(other) if other != digest => Err(RegistryProblem::Damaged { expected: digest, actual: other }),
        _ => Ok(()),
    }
}
