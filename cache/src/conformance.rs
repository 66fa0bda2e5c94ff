//! What every store and every cache must do, whatever it is made of. Each backend and each decorator runs these.

mod objects;

use bytes::Bytes;
use cullet_digest::{Digest, DigestFunction, TreeRef};

pub use self::objects::objects;
use crate::{ActionCache, ActionResult, Blob, BlobStore, LogStream, Output, OutputKind, StoreError};

/// Sizes around what stores treat differently: empty, small, one block, in memory or not, several buffers.
const SIZES: [usize; 9] = [0, 1, 100, 4095, 4096, 262_144, 262_145, 1 << 20, 3_000_001];

/// Everything a [`BlobStore`] promises. `make` gives an empty store; it is called for each promise anew.
///
/// # Panics
/// Where a promise is broken.
pub async fn blob_store<S: BlobStore>(make: impl Fn() -> S) {
    what_is_put_is_got(&make()).await;
    missing_blobs_are_named_in_order(&make()).await;
    wrong_bytes_are_refused(&make()).await;
    the_empty_blob_is_always_there(&make()).await;
    putting_twice_is_putting_once(&make()).await;
    many_at_once(&make()).await;
    small_ones_together(&make()).await;
}

/// Everything an [`ActionCache`] promises. `make` gives an empty cache; it is called for each promise anew.
///
/// # Panics
/// Where a promise is broken.
pub async fn action_cache<C: ActionCache>(make: impl Fn() -> C) {
    results_are_kept_replaced_and_removed(&make()).await;
    actions_are_told_apart(&make()).await;
}

/// A result without outputs, told from others by what it printed.
pub fn result(text: &str) -> ActionResult {
    ActionResult {
        exit_code: 0,
        outputs: vec![Output { path: "link".to_owned(), kind: OutputKind::Symlink("target".to_owned()) }],
        stdout: LogStream::Inline(Bytes::copy_from_slice(text.as_bytes())),
        stderr: LogStream::default(),
        interleaving: vec![1, 2, 3],
        worker: "worker".to_owned(),
        started_at_ms: 1_790_000_000_000,
        duration_ms: 12,
        usage: crate::Usage { cpu_ms: 5, peak_memory_bytes: 6, read_bytes: 7, written_bytes: 8 },
        signature: None,
        trees: Vec::new(),
        times: Default::default(),
    }
}

/// Bytes that differ from those of every other length.
fn bytes(len: usize) -> Bytes {
    (0..len).map(|index| (index.wrapping_mul(31) ^ len) as u8).collect::<Vec<u8>>().into()
}

async fn got(store: &impl BlobStore, digest: &Digest) -> Bytes {
    match store.get(digest).await.map(Blob::into_bytes) {
        Ok(Ok(bytes)) => bytes,
        other => panic!("{digest} cannot be read: {other:?}"),
    }
}

async fn put(store: &impl BlobStore, digest: &Digest, blob: impl Into<Blob>) {
    if let Err(error) = store.put(digest, blob.into()).await {
        panic!("{digest} cannot be stored: {error:?}");
    }
}

async fn what_is_put_is_got(store: &impl BlobStore) {
    for function in DigestFunction::ALL {
        for bytes in SIZES.map(bytes) {
            let digest = function.digest(&bytes);
            put(store, &digest, bytes.clone()).await;
            assert_eq!(got(store, &digest).await, bytes, "{digest}");
            assert_eq!(store.find_missing(&[digest]).await.ok(), Some(vec![]), "{digest}");
        }
    }
}

async fn missing_blobs_are_named_in_order(store: &impl BlobStore) {
    let digests: Vec<Digest> = (1..1500).map(|len| DigestFunction::Blake3.digest(&bytes(len))).collect();
    for len in (1..1500).step_by(3) {
        put(store, &DigestFunction::Blake3.digest(&bytes(len)), bytes(len)).await;
    }
    let missing = store.find_missing(&digests).await.ok();
    let expected: Vec<Digest> =
        digests.iter().enumerate().filter(|(index, _)| index % 3 != 0).map(|(_, digest)| *digest).collect();
    assert_eq!(missing, Some(expected));
    // The same bytes under the other function are another blob.
    let other = DigestFunction::Sha256.digest(&bytes(1));
    assert!(matches!(store.get(&other).await, Err(StoreError::NotFound { digest }) if digest == other));
}

async fn wrong_bytes_are_refused(store: &impl BlobStore) {
    for len in [0, 5, 1 << 20] {
        let digest = DigestFunction::Blake3.digest(&bytes(len + 1));
        let refused = store.put(&digest, bytes(len).into()).await;
        assert!(matches!(refused, Err(StoreError::Mismatch { expected, .. }) if expected == digest), "{len}");
        assert_eq!(store.find_missing(&[digest]).await.ok(), Some(vec![digest]), "{len}");
    }
    // The right hash with a wrong size is no blob either.
    let right = DigestFunction::Blake3.digest(&bytes(5));
    let Ok(wrong) = Digest::from_wire(right.function(), &right.hash_hex(), 6) else { unreachable!() };
    put(store, &right, bytes(5)).await;
    assert!(matches!(store.put(&wrong, bytes(5).into()).await, Err(StoreError::Mismatch { .. })));
    assert!(matches!(store.get(&wrong).await, Err(StoreError::NotFound { .. })));
    assert_eq!(got(store, &right).await, bytes(5), "asking with a wrong size removes nothing");
}

async fn the_empty_blob_is_always_there(store: &impl BlobStore) {
    for function in DigestFunction::ALL {
        let digest = function.digest(b"");
        assert_eq!(store.find_missing(&[digest]).await.ok(), Some(vec![]));
        assert!(got(store, &digest).await.is_empty());
        put(store, &digest, Bytes::new()).await;
    }
    let Ok(other) = Digest::from_wire(DigestFunction::Blake3, &"0".repeat(64), 0) else { unreachable!() };
    assert_eq!(store.find_missing(&[other]).await.ok(), Some(vec![other]));
    assert!(matches!(store.get(&other).await, Err(StoreError::NotFound { .. })));
}

async fn putting_twice_is_putting_once(store: &impl BlobStore) {
    for len in [10, 1 << 20] {
        let digest = DigestFunction::Blake3.digest(&bytes(len));
        put(store, &digest, bytes(len)).await;
        put(store, &digest, bytes(len)).await;
        assert_eq!(got(store, &digest).await, bytes(len));
        assert!(matches!(store.put(&digest, bytes(3).into()).await, Err(StoreError::Mismatch { .. })));
        assert_eq!(got(store, &digest).await, bytes(len), "a refused put changes nothing");
    }
}

async fn many_at_once(store: &impl BlobStore) {
    let one = |len: usize| async move {
        let digest = DigestFunction::Sha256.digest(&bytes(len));
        let blob = || Blob::from(bytes(len));
        let (first, second) = tokio::join!(store.put(&digest, blob()), store.put(&digest, blob()));
        assert!(first.is_ok() && second.is_ok());
        assert_eq!(got(store, &digest).await, bytes(len));
    };
    tokio::join!(one(1), one(2), one(300_000), one(300_001), one(300_000));
}

async fn small_ones_together(store: &impl BlobStore) {
    let blob = |len: usize| (DigestFunction::Blake3.digest(&bytes(len)), bytes(len));
    let blobs: Vec<_> = [0, 1, 300, 4096, 300, 70_000].map(blob).into();
    assert!(store.put_small(Vec::new()).await.is_ok());
    for _ in 0..2 {
        assert!(store.put_small(blobs.clone()).await.is_ok());
        for (digest, bytes) in &blobs {
            assert_eq!(got(store, digest).await, *bytes);
        }
    }
    let wrong = (blob(2).0, bytes(3));
    let refused = store.put_small(vec![wrong]).await;
    assert!(matches!(refused, Err(StoreError::Mismatch { expected, .. }) if expected == blob(2).0));
    assert_eq!(store.find_missing(&[blob(2).0]).await.ok(), Some(vec![blob(2).0]));
}

async fn kept(cache: &impl ActionCache, action: &Digest) -> Option<ActionResult> {
    cache.get(action).await.unwrap_or_else(|error| panic!("{action} cannot be looked up: {error:?}"))
}

async fn results_are_kept_replaced_and_removed(cache: &impl ActionCache) {
    let action = DigestFunction::Blake3.digest(b"action");
    assert_eq!(kept(cache, &action).await, None);
    assert!(cache.remove(&action).await.is_ok(), "there is nothing to remove");
    for text in ["first", "second, and longer", ""] {
        assert!(cache.put(&action, &result(text)).await.is_ok());
        assert_eq!(kept(cache, &action).await, Some(result(text)));
    }
    assert!(cache.remove(&action).await.is_ok());
    assert_eq!(kept(cache, &action).await, None);
}

async fn actions_are_told_apart(cache: &impl ActionCache) {
    let empty = TreeRef::Directory(DigestFunction::Blake3.digest(b""));
    let mut with_output = result("blake3");
    with_output.outputs.insert(0, Output { path: "dir".to_owned(), kind: OutputKind::Tree(empty) });
    let blake3 = DigestFunction::Blake3.digest(b"action");
    let sha256 = DigestFunction::Sha256.digest(b"action");
    assert!(cache.put(&blake3, &with_output).await.is_ok());
    assert_eq!(kept(cache, &sha256).await, None);
    assert!(cache.put(&sha256, &result("sha256")).await.is_ok());
    assert_eq!(kept(cache, &blake3).await, Some(with_output));
    assert_eq!(kept(cache, &sha256).await, Some(result("sha256")));
    let Ok(other_size) = Digest::from_wire(DigestFunction::Blake3, &blake3.hash_hex(), 7) else {
        unreachable!()
    };
    assert_eq!(kept(cache, &other_size).await, None);
    assert!(kept(cache, &blake3).await.is_some(), "asking with a wrong size removes nothing");
}
