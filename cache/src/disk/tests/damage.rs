//! What rots, is cut short, or disappears.

use std::fs::{self, File};

use super::*;
use crate::{ActionCache as _, BlobStore as _, Damaged, StoreError, conformance};

#[tokio::test]
async fn a_flipped_bit_in_a_blob_is_found_dropped_and_repaired() {
    let dir = tempfile::tempdir().unwrap();
    let cache = crate::open(&OpenOptions::new(dir.path())).unwrap();
    let digest = put(&cache.disk, "some content");
    flip_a_bit(&blob_path(dir.path(), &digest));
    assert!(matches!(cache.blobs.get(&digest).await, Err(StoreError::Mismatch { .. })));
    assert_eq!(cache.blobs.find_missing(&[digest]).await.unwrap(), [digest]);
    put(&cache.disk, "some content");
    assert_eq!(cache.blobs.get(&digest).await.unwrap().into_bytes().unwrap(), "some content");
}

#[tokio::test]
async fn a_truncated_blob_is_missing_without_being_read() {
    let dir = tempfile::tempdir().unwrap();
    let cache = crate::open(&OpenOptions::new(dir.path())).unwrap();
    let digest = put(&cache.disk, "some content");
    File::options().write(true).open(blob_path(dir.path(), &digest)).unwrap().set_len(3).unwrap();
    assert_eq!(cache.blobs.find_missing(&[digest]).await.unwrap(), [digest]);
    assert!(matches!(cache.blobs.get(&digest).await, Err(StoreError::NotFound { .. })));
    assert!(!blob_path(dir.path(), &digest).exists());
    put(&cache.disk, "some content");
    assert!(cache.disk.has(&digest).unwrap());
}

#[tokio::test]
async fn a_truncated_blob_is_replaced_by_a_put() {
    let (dir, store) = store();
    let digest = put(&store, "some content");
    File::options().write(true).open(blob_path(dir.path(), &digest)).unwrap().set_len(3).unwrap();
    put(&store, "some content");
    assert_eq!(store.get(&digest).await.unwrap().into_bytes().unwrap(), "some content");
}

#[tokio::test]
async fn a_result_whose_blob_was_deleted_is_no_hit_and_the_blob_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let cache = crate::open(&OpenOptions::new(dir.path())).unwrap();
    let log = put(&cache.disk, "log");
    let result = crate::ActionResult { stdout: crate::LogStream::Blob(log), ..conformance::result("") };
    cache.actions.put(&digest("action"), &result).await.unwrap();
    assert_eq!(cache.actions.get(&digest("action")).await.unwrap(), Some(result));
    fs::remove_file(blob_path(dir.path(), &log)).unwrap();
    assert_eq!(cache.actions.get(&digest("action")).await.unwrap(), None);
    assert_eq!(cache.take_incomplete()[0].missing, [log]);
    assert!(cache.all_actions.get(&digest("action")).await.unwrap().is_some(), "it can still be explained");
}

#[test]
fn a_damaged_result_is_none_and_goes_away() {
    let (dir, store) = store();
    let actions = actions(&store);
    let path = entry(dir.path(), "ac", &digest("action"));
    let damages: [fn(&Path); 4] = [
        flip_a_bit,
        |path| File::options().write(true).open(path).unwrap().set_len(10).unwrap(),
        |path| fs::write(path, "").unwrap(),
        |path| File::options().write(true).open(path).unwrap().set_len(1 << 40).unwrap(),
    ];
    for damage in damages {
        actions.put_blocking(&digest("action"), &conformance::result("x")).unwrap();
        damage(&path);
        assert_eq!(actions.get_blocking(&digest("action")).unwrap(), None);
        assert!(!path.exists());
    }
}

#[test]
fn a_damaged_blob_is_never_linked() {
    let (dir, store) = store();
    let digest = put(&store, "input");
    let dest = dir.path().join("dest");
    store.link_to(&digest, false, &dest).unwrap();
    // Through the link, as a step that got out of its overlay would.
    fs::write(&dest, "INPUT").unwrap();
    let again = dir.path().join("again");
    assert!(matches!(store.link_to(&digest, false, &again), Err(StoreError::Mismatch { .. })));
    assert!(!again.exists());
    assert!(matches!(store.copy_to(&digest, &again, 0o644), Err(StoreError::NotFound { .. })));
}

#[test]
fn verify_finds_all_of_it_and_fix_removes_it() {
    let (dir, store) = store();
    let actions = actions(&store);
    put(&store, "sound");
    let rotten = put(&store, "rotten");
    let lost = put(&store, "lost");
    let with = |log| crate::ActionResult { stdout: crate::LogStream::Blob(log), ..conformance::result("") };
    actions.put_blocking(&digest("1"), &with(rotten)).unwrap();
    actions.put_blocking(&digest("2"), &with(lost)).unwrap();
    actions.put_blocking(&digest("3"), &conformance::result("torn")).unwrap();
    actions.put_blocking(&digest("4"), &conformance::result("sound")).unwrap();
    flip_a_bit(&blob_path(dir.path(), &rotten));
    fs::remove_file(blob_path(dir.path(), &lost)).unwrap();
    flip_a_bit(&entry(dir.path(), "ac", &digest("3")));

    let found = store.verify(false, &mut |_| {}).unwrap();
    assert_eq!((found.blobs, found.results, found.damaged.len()), (2, 4, 4));
    let function = DigestFunction::Blake3;
    let expected = [
        Damaged::Blob { function, hash: rotten.hash_hex() },
        Damaged::Result { function, hash: digest("3").hash_hex() },
        Damaged::Incomplete { action: digest("1"), missing: vec![rotten] },
        Damaged::Incomplete { action: digest("2"), missing: vec![lost] },
    ];
    assert!(expected.iter().all(|damaged| found.damaged.contains(damaged)), "{found:?}");
    assert_eq!(store.verify(true, &mut |_| {}).unwrap().damaged.len(), 4);
    let after = store.verify(false, &mut |_| {}).unwrap();
    assert_eq!((after.blobs, after.results, after.damaged.len()), (1, 1, 0));
}
