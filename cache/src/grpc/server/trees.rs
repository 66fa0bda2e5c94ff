//! `Tree` messages: a directory and all below it in one blob.

use std::collections::HashSet;

use bytes::Bytes;
use cullet_digest::{Digest, Directory};
use cullet_proto::reapi;
use prost::Message as _;
use tonic::Status;

use crate::grpc::wire;
use crate::offload::offload;
use crate::tree_message::MOST_TREE;
use crate::{BlobStore, StoreError};

/// Stores each directory of a `Tree` as a blob of its own, which is how our stores have them, and says which is the root.
pub(super) async fn unpack(blobs: &dyn BlobStore, tree: &Digest) -> Result<Digest, Status> {
    if tree.size() > MOST_TREE {
        return Err(Status::invalid_argument(format!("the tree {tree} has more than {MOST_TREE} bytes")));
    }
    let blob = blobs.get(tree).await.map_err(|error| match error {
        StoreError::NotFound { .. } | StoreError::Mismatch { .. } => {
            Status::failed_precondition(format!("the tree {tree} is not there: upload it first"))
        }
        error => wire::status(&error),
    })?;
    let digest = *tree;
    let read = offload(move || {
        let bytes = blob.into_bytes().map_err(|error| StoreError::io("read", "a blob", error))?;
        Ok(directories(&digest, bytes))
    });
    let (root, all) = read
        .await
        .map_err(|error| wire::status(&error))?
        .map_err(|why| Status::invalid_argument(format!("{tree} is no tree: {why}")))?;
    let digests: Vec<Digest> = all.iter().map(|(digest, _)| *digest).collect();
    let missing = blobs.find_missing(&digests).await.map_err(|error| wire::status(&error))?;
    let missing: HashSet<Digest> = missing.into_iter().collect();
    let new = all.into_iter().filter(|(digest, _)| missing.contains(digest)).collect();
    blobs.put_small(new).await.map_err(|error| wire::status(&error))?;
    Ok(root)
}

/// The root, and all directories with their bytes. Each has to be one, and each that is named has to be there.
fn directories(tree: &Digest, bytes: Bytes) -> Result<(Digest, Vec<(Digest, Bytes)>), String> {
    let function = tree.function();
    let reapi::Tree { root, children } = reapi::Tree::decode(bytes).map_err(|error| error.to_string())?;
    let root_digest = function.digest(&root);
    let mut all = vec![(root_digest, root)];
    all.extend(children.into_iter().map(|child| (function.digest(&child), child)));
    let known: HashSet<Digest> = all.iter().map(|(digest, _)| *digest).collect();
    for (digest, bytes) in &all {
        let directory = Directory::decode(function, bytes).map_err(|error| format!("{digest}: {error}"))?;
        let lacking = directory.directories().iter().find(|child| !known.contains(&child.digest));
        if let Some(child) = lacking {
            return Err(format!("the directory '{}' of {digest} is not in it", child.name));
        }
    }
    Ok((root_digest, all))
}
