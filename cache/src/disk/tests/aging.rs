//! Who counts as recently used, and what that costs.

use super::*;
use crate::{BlobStore as _, conformance};

type Use = fn(&DiskStore, &Digest, &Path);

/// Entries used in every way there is become fresh.
#[tokio::test]
async fn every_use_marks_an_old_entry_as_used() {
    let (dir, store) = store();
    let uses: [(&str, Use); 6] = [
        ("has", |store, digest, _| assert!(store.has(digest).unwrap())),
        ("get", |store, digest, _| drop(store.get_blocking(digest).unwrap())),
        ("put", |store, used, _| assert_eq!(put(store, "used"), *used)),
        ("link", |store, digest, dir| store.link_to(digest, false, &dir.join("link")).unwrap()),
        ("run", |store, digest, dir| store.link_to(digest, true, &dir.join("run")).unwrap()),
        ("copy", |store, digest, dir| store.copy_to(digest, &dir.join("copy"), 0o644).unwrap()),
    ];
    let used = put(&store, "used");
    for (name, act) in uses {
        age(&blob_path(dir.path(), &used), 100);
        act(&store, &used, dir.path());
        assert_eq!(minutes_unused(&blob_path(dir.path(), &used)), 0, "{name}");
    }
    age(&blob_path(dir.path(), &used), 100);
    assert!(store.find_missing(&[used]).await.unwrap().is_empty());
    assert_eq!(minutes_unused(&blob_path(dir.path(), &used)), 0);
}

#[test]
fn looking_up_a_result_marks_it_as_used() {
    let (dir, store) = store();
    let actions = actions(&store);
    actions.put_blocking(&digest("a"), &conformance::result("")).unwrap();
    let path = entry(dir.path(), "ac", &digest("a"));
    age(&path, 100);
    assert!(actions.get_blocking(&digest("a")).unwrap().is_some());
    assert_eq!(minutes_unused(&path), 0);
}

#[test]
fn a_warm_entry_is_not_written_again() {
    let (dir, store) = store();
    let used = put(&store, "used");
    let path = blob_path(dir.path(), &used);
    age(&path, 5);
    let _run = store.live_run().unwrap();
    assert!(store.has(&used).unwrap());
    assert_eq!(minutes_unused(&path), 5, "five minutes protect it well enough");
    age(&path, 15);
    assert!(store.has(&used).unwrap());
    assert_eq!(minutes_unused(&path), 0);
}

#[test]
fn a_cache_more_than_half_full_is_kept_exactly() {
    let (dir, store) = bounded(MIB);
    put_block(&store, 1, 600 << 10);
    let used = put(&store, "used");
    let path = blob_path(dir.path(), &used);
    age(&path, 5);
    let _run = store.live_run().unwrap();
    assert!(store.has(&used).unwrap());
    assert_eq!(minutes_unused(&path), 0);
}

#[test]
fn looking_for_damage_is_no_use() {
    let (dir, store) = store();
    let unused = put(&store, "unused");
    age(&blob_path(dir.path(), &unused), 100);
    store.verify(false, &mut |_| {}).unwrap();
    store.stats().unwrap();
    assert_eq!(minutes_unused(&blob_path(dir.path(), &unused)), 100);
}
