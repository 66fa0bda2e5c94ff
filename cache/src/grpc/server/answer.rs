//! Results as clients of the Remote Execution API read them.

use std::collections::HashSet;

use bytes::Bytes;
use cullet_digest::{Digest, DigestFunction};
use cullet_proto::reapi;
use prost::Message as _;

use super::services::digest;
use crate::grpc::{BATCH, wire};
use crate::whole::read_whole;
use crate::{ActionResult, Blob, BlobStore, tree_message};

/// What a client wants to have in the answer beside its digest.
#[derive(Debug, Clone, Default)]
pub struct Inlined {
    /// Standard output.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
    /// The contents of these output files.
    pub files: HashSet<String>,
}

/// A result of an action, for clients of every version: with the `Tree` of each output directory, which those before version 2.3
/// need, and with what they want to have inlined as long as it fits into a message.
pub async fn result_for_clients(
    blobs: &dyn BlobStore,
    action: &Digest,
    result: &ActionResult,
    wanted: &Inlined,
) -> reapi::ActionResult {
    let function = action.function();
    let mut answer = result.to_wire();
    // For clients of version 2.0, which look nowhere else.
    answer.output_file_symlinks.clone_from(&answer.output_symlinks);
    for directory in &mut answer.output_directories {
        if directory.tree_digest.is_none() {
            directory.tree_digest =
                made_tree(blobs, function, directory.root_directory_digest.as_ref()).await;
        }
    }
    inline(blobs, wanted, function, &mut answer).await;
    answer
}

/// The stored `Tree` of a directory of a result that a pipeline made. Where it cannot be had, clients that know directories by their
/// digests still have that.
async fn made_tree(
    blobs: &dyn BlobStore,
    function: DigestFunction,
    root: Option<&reapi::Digest>,
) -> Option<reapi::Digest> {
    let root = digest(function, root?).ok()?;
    let (tree, bytes) = tree_message(blobs, &root).await.ok()?;
    if !blobs.find_missing(&[tree]).await.ok()?.is_empty() {
        blobs.put(&tree, Blob::from(bytes)).await.ok()?;
    }
    Some(wire::to_wire(&tree))
}

/// Puts what the client asked for into the answer, as long as it fits.
async fn inline(
    blobs: &dyn BlobStore,
    wanted: &Inlined,
    function: DigestFunction,
    answer: &mut reapi::ActionResult,
) {
    let mut room = BATCH.saturating_sub(answer.encoded_len() as u64);
    let logs = [
        (wanted.stdout, &answer.stdout_digest, &mut answer.stdout_raw),
        (wanted.stderr, &answer.stderr_digest, &mut answer.stderr_raw),
    ];
    for (_, named, raw) in logs.into_iter().filter(|(wanted, ..)| *wanted) {
        if let Some(bytes) = fitting(blobs, function, named.as_ref(), &mut room).await {
            *raw = bytes;
        }
    }
    for file in answer.output_files.iter_mut().filter(|file| wanted.files.contains(&file.path)) {
        if let Some(bytes) = fitting(blobs, function, file.digest.as_ref(), &mut room).await {
            file.contents = bytes;
        }
    }
}

/// A blob, if there is room for it. What cannot be read now is read by the client later.
async fn fitting(
    blobs: &dyn BlobStore,
    function: DigestFunction,
    named: Option<&reapi::Digest>,
    room: &mut u64,
) -> Option<Bytes> {
    let digest = digest(function, named?).ok()?;
    *room = room.checked_sub(digest.size())?;
    read_whole(blobs.get(&digest).await.ok()?).await.ok()
}
