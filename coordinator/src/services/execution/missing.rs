//! Blobs that an action needs and that are not there, as clients are told of them: they upload them and ask again.

use std::collections::{HashSet, VecDeque};

use cullet_cache::{BlobStore, StoreError};
use cullet_digest::{Digest, DigestFunction, Directory};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, PreconditionViolation, StatusExt as _};

use crate::resolve::describe;

/// Blobs that are named at once. Who brings these is told of the others then.
const MOST: usize = 1000;

/// Directories that are read to find them.
const MOST_DIRECTORIES: usize = 1 << 17;

/// The largest directory that is read, in bytes.
const LARGEST: u64 = 64 << 20;

/// `FAILED_PRECONDITION` with a violation of type `MISSING` for each (`Execution.Execute` of the API).
pub(super) fn missing(blobs: &[Digest]) -> Status {
    let violation = |digest: &Digest| {
        PreconditionViolation::new("MISSING", subject(digest), "the blob is not in the store")
    };
    let violations = blobs.iter().take(MOST).map(violation).collect::<Vec<_>>();
    let what =
        format!("{} of the blobs that the action needs are not in the store: upload them first", blobs.len());
    let details = ErrorDetails::with_precondition_failure(violations);
    Status::with_error_details(Code::FailedPrecondition, what, details)
}

/// A blob as `ByteStream.Read` names it, without its instance: with its digest function, unless that is SHA-256.
fn subject(digest: &Digest) -> String {
    let function = match digest.function() {
        DigestFunction::Sha256 => String::new(),
        function => format!("{function}/"),
    };
    format!("blobs/{function}{}/{}", digest.hash_hex(), digest.size())
}

/// The store cannot be asked.
pub(super) fn not_there(error: &StoreError) -> Status {
    match error {
        StoreError::TooLarge { .. } => Status::invalid_argument(error.to_string()),
        error => {
            tracing::warn!(error = describe(error), "the store failed while an action was read");
            Status::unavailable("the store behind this server failed; its log says why")
        }
    }
}

/// What is missing below a directory, itself included. What cannot be found out is not.
pub(super) async fn missing_below(blobs: &dyn BlobStore, root: Digest) -> Vec<Digest> {
    let (mut seen, mut waiting) = (HashSet::from([root]), VecDeque::from([root]));
    let mut lacking = Vec::new();
    while let Some(next) = waiting.pop_front() {
        if next.is_empty() || lacking.len() >= MOST || seen.len() > MOST_DIRECTORIES {
            continue;
        }
        let directory = match read(blobs, &next).await {
            Ok(directory) => directory,
            Err(StoreError::NotFound { .. } | StoreError::Mismatch { .. }) => {
                lacking.push(next);
                continue;
            }
            Err(_) => continue,
        };
        let files: Vec<Digest> = directory.files().iter().map(|file| file.digest).collect();
        lacking.extend(blobs.find_missing(&files).await.unwrap_or_default());
        let children = directory.directories().iter().map(|child| child.digest);
        waiting.extend(children.filter(|child| seen.insert(*child)));
    }
    lacking.sort_unstable();
    lacking.dedup();
    lacking
}

async fn read(blobs: &dyn BlobStore, digest: &Digest) -> Result<Directory, StoreError> {
    let none = || StoreError::NotFound { digest: *digest };
    if digest.size() > LARGEST {
        return Err(none());
    }
    let bytes = blobs.get(digest).await?.into_bytes();
    let bytes = bytes.map_err(|error| StoreError::io("read", "a directory", error))?;
    Directory::decode(digest.function(), &bytes).map_err(|_| none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blobs_are_named_as_they_are_read() {
        let hash = |function: DigestFunction| function.digest(b"x").hash_hex();
        let named = |function: DigestFunction| subject(&function.digest(b"x"));
        assert_eq!(named(DigestFunction::Sha256), format!("blobs/{}/1", hash(DigestFunction::Sha256)));
        assert_eq!(named(DigestFunction::Blake3), format!("blobs/blake3/{}/1", hash(DigestFunction::Blake3)));
    }
}
