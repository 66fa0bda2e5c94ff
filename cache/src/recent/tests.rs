//! What is remembered, and for how long.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cullet_digest::{Digest, DigestFunction};
use tokio::time::advance;

use super::*;
use crate::{ActionCache as _, BlobStore as _, MemoryActionCache, MemoryStore, Scope, conformance};

fn blob(text: &'static str) -> (Digest, Bytes) {
    (DigestFunction::Blake3.digest(text.as_bytes()), Bytes::from_static(text.as_bytes()))
}

#[tokio::test]
async fn conforms() {
    conformance::blob_store(|| RecentBlobs::new(Arc::new(MemoryStore::new(64 << 20)))).await;
    let actions =
        || Arc::<RecentResults>::default().before(Scope::Protected, Arc::new(MemoryActionCache::new(100)));
    conformance::action_cache(actions).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_seen_is_there_for_a_moment_and_what_was_not_is_asked_for_again() {
    let inner = Arc::new(MemoryStore::new(1 << 20));
    let store = RecentBlobs::new(inner.clone());
    let [(one, bytes), (two, _)] = ["one", "two"].map(blob);
    assert_eq!(store.find_missing(&[two, one]).await.unwrap(), [two, one]);
    inner.put(&one, bytes.into()).await.unwrap();
    assert_eq!(store.find_missing(&[two, one]).await.unwrap(), [two], "absence is not remembered");
    inner.remove(&one);
    advance(MOMENT - Duration::from_millis(1)).await;
    assert_eq!(store.find_missing(&[one, two]).await.unwrap(), [two]);
    advance(Duration::from_millis(1)).await;
    assert_eq!(store.find_missing(&[one, two]).await.unwrap(), [one, two], "asking makes no moment longer");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_not_taken_to_be_there() {
    let inner = Arc::new(MemoryStore::new(1 << 20));
    let store = RecentBlobs::new(inner.clone());
    let large = Bytes::from(vec![7; 65 << 10]);
    let digest = DigestFunction::Blake3.digest(&large);
    store.put(&digest, large.into()).await.unwrap();
    inner.remove(&digest);
    assert_eq!(store.find_missing(&[digest]).await.unwrap(), []);
    assert!(store.get(&digest).await.is_err(), "only small ones are in memory");
    assert_eq!(store.find_missing(&[digest]).await.unwrap(), [digest]);
}

#[tokio::test]
async fn small_blobs_are_read_once() {
    let inner = Arc::new(MemoryStore::new(1 << 20));
    let store = RecentBlobs::new(inner.clone());
    let [(read, read_bytes), (stored, stored_bytes)] = ["read", "stored"].map(blob);
    inner.put(&read, read_bytes.clone().into()).await.unwrap();
    store.get(&read).await.unwrap();
    store.put_small(vec![(stored, stored_bytes.clone())]).await.unwrap();
    inner.remove(&read);
    inner.remove(&stored);
    assert_eq!(store.get(&read).await.unwrap().into_bytes().unwrap(), read_bytes);
    assert_eq!(store.get(&stored).await.unwrap().into_bytes().unwrap(), stored_bytes);
}

#[tokio::test(start_paused = true)]
async fn a_result_is_remembered_for_a_moment_by_whom_it_was_found() {
    let inner = Arc::new(MemoryActionCache::new(100));
    let recent = Arc::<RecentResults>::default();
    let before = |scope| recent.before(scope, inner.clone());
    let (own, other) = (before(Scope::Protected), before(Scope::Branch("main".to_owned())));
    let (action, _) = blob("action");
    let result = conformance::result("a");
    inner.put(&action, &result).await.unwrap();
    assert_eq!(own.get(&action).await.unwrap().as_ref(), Some(&result));
    inner.remove(&action).await.unwrap();
    assert_eq!(own.get(&action).await.unwrap(), Some(result.clone()));
    assert_eq!(other.get(&action).await.unwrap(), None, "another scope has not found it");
    // What is done here is seen at once.
    let newer = conformance::result("b");
    own.put(&action, &newer).await.unwrap();
    assert_eq!(own.get(&action).await.unwrap(), Some(newer));
    own.remove(&action).await.unwrap();
    assert_eq!(own.get(&action).await.unwrap(), None);
    own.put(&action, &result).await.unwrap();
    assert!(own.get(&action).await.unwrap().is_some());
    inner.remove(&action).await.unwrap();
    advance(MOMENT).await;
    assert_eq!(own.get(&action).await.unwrap(), None);
}
