//! Objects in a real directory, in buckets of real servers, and in buckets that fail.

mod bucket;
mod collectable;
mod faults;
mod others;
mod server;

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cullet_digest::{Digest, DigestFunction};
use futures_util::TryStreamExt as _;

use super::*;
use crate::arriving::Arriving;
use crate::testing::{Kept, Stack};
use crate::{Blob, SharedCache, StoreError, conformance};

fn open(dir: &Path) -> SharedCache {
    let location = format!("file://{}", dir.join("shared").display());
    SharedCache::open(&location, &ObjectOptions::new(dir.join("spool"))).unwrap()
}

fn stack() -> Kept<Stack> {
    let dir = tempfile::tempdir().unwrap();
    let SharedCache { blobs, actions, .. } = open(dir.path());
    Kept(Stack { blobs, actions }, Arc::new(dir))
}

fn blob(len: usize) -> (Digest, Bytes) {
    let bytes: Bytes = (0..len).map(|index| (index * 7 % 251) as u8).collect::<Vec<u8>>().into();
    (DigestFunction::Blake3.digest(&bytes), bytes)
}

/// A blob in a file, as stores hand out large ones.
fn as_file(dir: &Path, bytes: &[u8]) -> Blob {
    let path = dir.join("source");
    std::fs::write(&path, bytes).unwrap();
    Blob::File { file: std::fs::File::open(&path).unwrap(), path, len: bytes.len() as u64 }
}

fn object(dir: &Path, area: &str, digest: &Digest) -> std::path::PathBuf {
    let hash = digest.hash_hex();
    dir.join("shared").join(area).join("blake3").join(&hash[..2]).join(format!("{hash}-{}", digest.size()))
}

#[tokio::test]
async fn a_directory_is_a_blob_store_and_an_action_cache() {
    conformance::blob_store(stack).await;
    conformance::action_cache(stack).await;
}

#[tokio::test]
async fn large_blobs_travel_in_parts_and_only_whole_ones_are_there() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path());
    let (digest, bytes) = blob((2 * place::PART + 12_345) as usize);
    cache.blobs.put(&digest, as_file(dir.path(), &bytes)).await.unwrap();
    assert_eq!(cache.blobs.get(&digest).await.unwrap().into_bytes().unwrap(), bytes);
    cache.blobs.put(&digest, as_file(dir.path(), &bytes)).await.unwrap();

    for offset in [0, 5, place::PART, digest.size() - 1, digest.size()] {
        let pieces = cache.objects.open(&digest, offset).await.unwrap();
        let pieces: Vec<Bytes> = pieces.try_collect().await.unwrap();
        assert_eq!(pieces.concat(), bytes[offset as usize..], "{offset}");
    }
    let (other, _) = blob(digest.size() as usize + 1);
    for wrong in [&other, &digest] {
        let mut changed = bytes.to_vec();
        changed[9_000_000] ^= 1;
        let refused = cache.blobs.put(wrong, as_file(dir.path(), &changed)).await;
        assert!(matches!(refused, Err(StoreError::Mismatch { expected, .. }) if expected == *wrong));
    }
    assert_eq!(cache.blobs.find_missing(&[digest, other]).await.unwrap(), [other]);
    let stray = std::fs::read_dir(object(dir.path(), "cas", &digest).parent().unwrap()).unwrap().count();
    assert_eq!(stray, 1, "nothing half-made stays");
}

/// A blob as an upload or a download leaves it.
fn arrived(spool: &Path, digest: &Digest, bytes: &[u8]) -> Blob {
    let mut arriving = Arriving::new(digest, spool).unwrap();
    arriving.append(bytes).unwrap();
    arriving.finish().unwrap().open().unwrap()
}

#[tokio::test]
async fn a_checked_file_becomes_the_blob_without_a_copy_where_it_can() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path());
    let [here, there] =
        [tempfile::tempdir_in(dir.path()), tempfile::tempdir_in("/dev/shm")].map(Result::unwrap);
    let device = |path: &Path| std::fs::metadata(path).unwrap().dev();
    assert_ne!(device(here.path()), device(there.path()), "this test needs another filesystem");
    for (spool, len) in [(&here, 3 << 20), (&there, (3 << 20) + 1)] {
        let (digest, bytes) = blob(len);
        let file = arrived(spool.path(), &digest, &bytes);
        let Blob::Checked(checked) = &file else { panic!("large blobs arrive in files") };
        let inode = std::fs::metadata(checked.path()).unwrap().ino();
        cache.blobs.put(&digest, file).await.unwrap();
        assert_eq!(std::fs::read_dir(spool.path()).unwrap().count(), 0, "the spool keeps nothing");
        let path = object(dir.path(), "cas", &digest);
        assert_eq!(std::fs::metadata(&path).unwrap().ino() == inode, spool.path() == here.path());
        let plain = dir.path().join("plain");
        std::fs::write(&plain, "").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().mode();
        assert_eq!(mode(&path), mode(&plain), "whoever may read a file may read it");
        cache.blobs.put(&digest, arrived(spool.path(), &digest, &bytes)).await.unwrap();
        assert_eq!(cache.blobs.get(&digest).await.unwrap().into_bytes().unwrap(), bytes);
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing half-made stays");
        // What another blob was promised to be is looked at.
        let (other, _) = blob(len + 2);
        let refused = cache.blobs.put(&other, arrived(spool.path(), &digest, &bytes)).await;
        assert!(matches!(refused, Err(StoreError::Mismatch { expected, .. }) if expected == other));
    }
}

#[tokio::test]
async fn a_damaged_object_is_said_once_deleted_and_can_be_put_again() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path());
    for len in [100, 1 << 20] {
        let (digest, bytes) = blob(len);
        cache.blobs.put(&digest, bytes.clone().into()).await.unwrap();
        let path = object(dir.path(), "cas", &digest);
        std::fs::write(&path, vec![0; len]).unwrap();
        assert!(matches!(cache.blobs.get(&digest).await, Err(StoreError::Mismatch { .. })), "{len}");
        assert!(matches!(cache.blobs.get(&digest).await, Err(StoreError::NotFound { .. })), "{len}");
        cache.blobs.put(&digest, bytes.clone().into()).await.unwrap();
        assert_eq!(cache.blobs.get(&digest).await.unwrap().into_bytes().unwrap(), bytes);
        // One of another length is none, and is replaced.
        std::fs::write(&path, vec![0; len / 2]).unwrap();
        assert_eq!(cache.blobs.find_missing(&[digest]).await.unwrap(), [digest]);
        assert!(matches!(cache.blobs.get(&digest).await, Err(StoreError::NotFound { .. })), "{len}");
        cache.blobs.put(&digest, bytes.clone().into()).await.unwrap();
        assert_eq!(cache.blobs.get(&digest).await.unwrap().into_bytes().unwrap(), bytes);
    }
}

#[tokio::test]
async fn a_damaged_result_is_a_miss_and_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path());
    let action = DigestFunction::Blake3.digest(b"action");
    cache.actions.put(&action, &conformance::result("text")).await.unwrap();
    let path = object(dir.path(), "ac", &action);
    let mut record = std::fs::read(&path).unwrap();
    *record.last_mut().unwrap() ^= 1;
    std::fs::write(&path, record).unwrap();
    assert_eq!(cache.actions.get(&action).await.unwrap(), None);
    cache.actions.put(&action, &conformance::result("again")).await.unwrap();
    assert_eq!(cache.actions.get(&action).await.unwrap(), Some(conformance::result("again")));
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path());
    cache.probe().await.unwrap();
    let (digest, bytes) = blob(1000);
    // A file where a directory has to be: refused for root as well.
    std::fs::write(dir.path().join("shared/cas/sha256"), "in the way").unwrap();
    let sha256 = DigestFunction::Sha256.digest(&bytes);
    let error = cache.blobs.put(&sha256, bytes.clone().into()).await.unwrap_err();
    assert!(matches!(error, StoreError::Remote { .. }), "{error:?}");
    assert!(error.to_string().contains("shared"), "{error}");
    cache.blobs.put(&digest, bytes.into()).await.unwrap();
    let read_only = std::fs::Permissions::from_mode(0o555);
    std::fs::set_permissions(dir.path().join("shared/cas/blake3"), read_only).unwrap();
    assert!(cache.blobs.get(&digest).await.is_ok());
}

#[tokio::test]
async fn a_full_directory_refuses_and_keeps_nothing_half_made() {
    let dir = tempfile::tempdir().unwrap();
    let mounted = dir.path().join("shared");
    std::fs::create_dir(&mounted).unwrap();
    let flags = rustix::mount::MountFlags::NOSUID;
    if rustix::mount::mount("tmpfs", &mounted, "tmpfs", flags, Some(c"size=4m")).is_err() {
        return; // Only who may mount can have a small filesystem.
    }
    let cache = open(dir.path());
    let (digest, bytes) = blob(20 << 20);
    for blob in [Blob::from(bytes.clone()), as_file(dir.path(), &bytes)] {
        let refused = cache.blobs.put(&digest, blob).await;
        assert!(matches!(refused, Err(StoreError::Remote { .. })), "{refused:?}");
        assert_eq!(cache.blobs.find_missing(&[digest]).await.unwrap(), [digest]);
    }
    let (small, bytes) = blob(3 << 20);
    cache.blobs.put(&small, bytes.into()).await.unwrap();
    drop(cache);
    rustix::mount::unmount(&mounted, rustix::mount::UnmountFlags::DETACH).unwrap();
}

#[tokio::test]
async fn readers_of_a_bucket_share_one_deadline_and_lookups_are_misses() {
    // Accepts connections and never says a word.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let held = tokio::spawn(async move {
        let mut connections = Vec::new();
        while let Ok((connection, _)) = silent.accept().await {
            connections.push(connection);
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let variables = [
        ("AWS_ENDPOINT_URL", format!("http://{address}")),
        ("AWS_ACCESS_KEY_ID", "id".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
    ];
    let options = ObjectOptions {
        variables: variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        deadline: Duration::from_millis(200),
        retries: 1,
        ..ObjectOptions::new(dir.path())
    };
    let cache = Arc::new(SharedCache::open("s3://bucket/prefix", &options).unwrap());
    let (digest, bytes) = blob(1000);
    let started = Instant::now();
    for failed in [
        cache.blobs.get(&digest).await.map(drop),
        cache.blobs.find_missing(&[digest]).await.map(drop),
        cache.blobs.put(&digest, bytes.into()).await,
    ] {
        let error = failed.unwrap_err();
        assert!(matches!(error, StoreError::Remote { .. } | StoreError::Deadline { .. }), "{error:?}");
        assert!(error.to_string().contains("s3://bucket/prefix"), "{error}");
    }
    assert_eq!(cache.actions.get(&digest).await.unwrap(), None, "trouble is a miss");
    // Five waits of at most two attempts each, with room for a busy machine.
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    held.abort();
}

#[tokio::test]
async fn a_bucket_is_opened_without_asking_it() {
    let dir = tempfile::tempdir().unwrap();
    // Over TLS, to the provider's own address.
    let options = ObjectOptions::new(dir.path());
    assert!(SharedCache::open("s3://bucket/prefix", &options).is_ok());
    let https = ("AWS_ENDPOINT_URL".to_owned(), "https://127.0.0.1:1".to_owned());
    let options = ObjectOptions {
        variables: [https].into(),
        deadline: Duration::from_millis(200),
        retries: 0,
        ..options
    };
    let cache = SharedCache::open("s3://bucket", &options).unwrap();
    assert!(cache.probe().await.is_err());
}
