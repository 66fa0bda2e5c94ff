//! Directories of other versions, and other things that are no cache.

use std::fs;

use super::*;
use crate::StoreError;

fn open(dir: &Path) -> Result<DiskStore, StoreError> {
    DiskStore::open(&OpenOptions::new(dir))
}

#[test]
fn a_future_version_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("VERSION"), "2\n").unwrap();
    let error = open(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::FutureVersion { found: 2, known: 1, .. }), "{error}");
    assert!(error.to_string().contains("use a newer cullet"), "{error}");
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["VERSION"]);
}

#[test]
fn a_version_that_is_no_number_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for text in ["", "one", "-1", "99999999999"] {
        fs::write(dir.path().join("VERSION"), text).unwrap();
        assert!(matches!(open(dir.path()), Err(StoreError::Io { .. })), "{text}");
    }
}

#[test]
fn a_directory_that_cannot_be_made_is_an_error_with_its_path() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = open(&file.join("cache")).unwrap_err();
    assert!(error.to_string().contains("file/cache"), "{error}");
}

#[test]
fn missing_parents_are_made_and_a_second_opening_finds_everything() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("a/b/cache");
    let digest = put(&open(&root).unwrap(), "kept");
    assert!(open(&root).unwrap().has(&digest).unwrap());
    assert_eq!(fs::read_to_string(root.join("VERSION")).unwrap(), "1\n");
}

#[test]
fn files_that_are_not_ours_are_left_alone() {
    let (dir, store) = store();
    put(&store, "ours");
    let stray = dir.path().join("cas/blake3/README");
    fs::write(&stray, "hello").unwrap();
    fs::create_dir_all(dir.path().join("cas/blake3/zz")).unwrap();
    fs::write(dir.path().join("cas/blake3/zz/nothing"), "hello").unwrap();
    assert_eq!(store.gc(0).unwrap().evicted_blobs, 1);
    assert!(stray.exists() && dir.path().join("cas/blake3/zz/nothing").exists());
}
