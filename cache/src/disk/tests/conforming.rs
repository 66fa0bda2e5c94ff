//! The suites that every backend runs.

use std::sync::Arc;

use super::*;
use crate::testing::{Kept, Stack};
use crate::{LocalCache, conformance};

#[tokio::test]
async fn the_directory_is_a_blob_store() {
    conformance::blob_store(|| {
        let (dir, store) = store();
        Kept(store, Arc::new(dir))
    })
    .await;
}

#[tokio::test]
async fn the_directory_is_an_action_cache() {
    conformance::action_cache(|| {
        let (dir, store) = store();
        Kept(actions(&store), Arc::new(dir))
    })
    .await;
}

#[tokio::test]
async fn the_whole_stack_is_both() {
    let stack = || {
        let dir = tempfile::tempdir().unwrap();
        let LocalCache { blobs, actions, .. } = crate::open(&OpenOptions::new(dir.path())).unwrap();
        Kept(Stack { blobs, actions }, Arc::new(dir))
    };
    conformance::blob_store(stack).await;
    conformance::action_cache(stack).await;
}

#[test]
fn it_works_without_a_runtime_of_tokio() {
    let (_dir, store) = store();
    let (digest, bytes) = block(1, MIB);
    store.put_blocking(&digest, bytes.clone().into()).unwrap();
    let blob = store.get_blocking(&digest).unwrap();
    assert_eq!(blob.into_bytes().unwrap(), bytes);
}
