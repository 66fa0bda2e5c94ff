//! Blobs from files, and files from blobs.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use super::*;
use crate::StoreError;

const FUNCTION: DigestFunction = DigestFunction::Blake3;

/// A directory on another filesystem, if this machine has one that can be written.
fn elsewhere(dir: &Path) -> Option<TempDir> {
    let device = fs::metadata(dir).unwrap().dev();
    ["/dev/shm", "/run", "/var/tmp", "/tmp"]
        .iter()
        .filter(|path| fs::metadata(path).is_ok_and(|found| found.dev() != device))
        .find_map(|path| tempfile::tempdir_in(path).ok())
}

fn assert_normal(path: &Path, mode: u32) {
    let found = fs::metadata(path).unwrap();
    assert_eq!(found.mode() & 0o7777, mode, "{}", path.display());
    assert_eq!((found.mtime(), found.mtime_nsec()), (1_262_304_000, 0), "{}", path.display());
}

#[test]
fn a_file_is_adopted_by_renaming_it() {
    let (dir, store) = store();
    let file = dir.path().join("output");
    for mode in [0o644, 0o755, 0o600, 0o000, 0o4755] {
        fs::write(&file, format!("text {mode}")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let inode = fs::metadata(&file).unwrap().ino();
        let digest = store.adopt_file(&file, FUNCTION).unwrap();
        assert_eq!(digest, FUNCTION.digest(format!("text {mode}").as_bytes()));
        let path = blob_path(dir.path(), &digest);
        assert_normal(&path, 0o644);
        assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
        assert!(!file.exists());
    }
}

#[test]
fn what_must_not_be_renamed_is_copied() {
    let (dir, store) = store();
    let file = dir.path().join("output");
    fs::write(&file, "linked").unwrap();
    fs::hard_link(&file, dir.path().join("other")).unwrap();
    let digest = store.adopt_file(&file, FUNCTION).unwrap();
    fs::write(dir.path().join("other"), "changed").unwrap();
    assert_eq!(fs::read(blob_path(dir.path(), &digest)).unwrap(), b"linked");
    let Some(elsewhere) = elsewhere(dir.path()) else { return };
    let file = elsewhere.path().join("output");
    fs::write(&file, "far away").unwrap();
    let digest = store.adopt_file(&file, FUNCTION).unwrap();
    assert_normal(&blob_path(dir.path(), &digest), 0o644);
    assert_eq!(fs::read(blob_path(dir.path(), &digest)).unwrap(), b"far away");
}

#[test]
fn a_copy_is_out_of_reach_of_whoever_still_holds_the_file() {
    use std::io::Write as _;
    let (dir, store) = store();
    let file = dir.path().join("output");
    for (number, len) in [(1_u64, 8_u64), (2, 300_000)] {
        let (digest, bytes) = block(number, len);
        fs::write(&file, &bytes).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        let mut held = File::options().write(true).open(&file).unwrap();
        assert_eq!(store.adopt_copy(&file, FUNCTION).unwrap(), digest);
        held.write_all(b"poisoned").unwrap();
        let path = blob_path(dir.path(), &digest);
        assert_ne!(fs::metadata(&path).unwrap().ino(), held.metadata().unwrap().ino());
        assert_eq!(fs::read(&path).unwrap(), bytes);
        assert_normal(&path, 0o644);
        fs::write(&file, &bytes).unwrap();
        assert_eq!(store.adopt_copy(&file, FUNCTION).unwrap(), digest, "it is there already");
        fs::write(&file, "").unwrap();
        assert_eq!(store.adopt_copy(&file, FUNCTION).unwrap(), FUNCTION.digest(b""));
    }
    assert_eq!(store.stats().unwrap().blobs, 2);
    let drafts = rustix::fs::Dir::read_from(store.disk.layout.scratch().unwrap().drafts()).unwrap();
    let mut names = drafts.map(|entry| entry.unwrap().file_name().to_owned());
    assert!(names.all(|name| name == c"." || name == c".."), "no draft is left");
    symlink(&file, dir.path().join("link")).unwrap();
    assert!(store.adopt_copy(&dir.path().join("link"), FUNCTION).is_err());
}

#[test]
fn only_regular_files_are_adopted_and_links_are_not_followed() {
    let (dir, store) = store();
    fs::write(dir.path().join("target"), "secret").unwrap();
    symlink(dir.path().join("target"), dir.path().join("link")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        dir.path().join("fifo"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o644),
        0,
    )
    .unwrap();
    for name in ["link", "fifo", "tmp", "nothing"] {
        let refused = store.adopt_file(&dir.path().join(name), FUNCTION);
        assert!(matches!(refused, Err(StoreError::Io { .. })), "{name}: {refused:?}");
    }
    assert_eq!(store.stats().unwrap().blobs, 0);
}

#[test]
fn extended_attributes_do_not_come_along() {
    let (dir, store) = store();
    let file = dir.path().join("output");
    fs::write(&file, "text").unwrap();
    let flags = rustix::fs::XattrFlags::empty();
    if rustix::fs::setxattr(&file, "user.test", b"value", flags).is_err() {
        return;
    }
    let digest = store.adopt_file(&file, FUNCTION).unwrap();
    let mut names = [0; 100];
    assert_eq!(rustix::fs::listxattr(blob_path(dir.path(), &digest), &mut names), Ok(0));
}

#[test]
fn a_copy_is_checked_while_it_is_made() {
    let (dir, store) = store();
    let file = dir.path().join("source");
    for len in [3_u64, 200_000] {
        let (digest, bytes) = block(len, len.max(8));
        fs::write(&file, &bytes).unwrap();
        store.ingest_copy(&digest, &file).unwrap();
        assert_eq!(fs::read(blob_path(dir.path(), &digest)).unwrap(), bytes);
        assert_normal(&blob_path(dir.path(), &digest), 0o644);
        let (other, _) = block(len + 1, len.max(8));
        let refused = store.ingest_copy(&other, &file);
        assert!(matches!(refused, Err(StoreError::Mismatch { expected, .. }) if expected == other));
        assert!(!store.has(&other).unwrap());
    }
}

#[test]
fn a_link_shares_the_inode_of_its_mode() {
    let (dir, store) = store();
    let digest = put(&store, "#!/bin/sh\n");
    let [plain, run, run2] = ["plain", "run", "run2"].map(|name| dir.path().join(name));
    store.link_to(&digest, false, &plain).unwrap();
    store.link_to(&digest, true, &run).unwrap();
    store.link_to(&digest, true, &run2).unwrap();
    assert_normal(&plain, 0o644);
    assert_normal(&run, 0o755);
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    assert_eq!(inode(&plain), inode(&blob_path(dir.path(), &digest)));
    assert_eq!(inode(&run), inode(&run2));
    assert_ne!(inode(&run), inode(&plain));
    assert_eq!(fs::read(&run).unwrap(), b"#!/bin/sh\n");
    assert!(
        matches!(store.link_to(&digest, false, &plain), Err(StoreError::Io { .. })),
        "it is there already"
    );
    let missing = super::digest("missing");
    assert!(matches!(store.link_to(&missing, true, &run), Err(StoreError::NotFound { .. })));
}

#[test]
fn links_are_made_while_others_store_the_same_blob() {
    let (dir, store) = store();
    let threads = 4;
    let start = std::sync::Barrier::new(threads);
    for round in 0..200 {
        let (source, text) = (dir.path().join(format!("source-{round}")), format!("text {round}"));
        fs::write(&source, &text).unwrap();
        let digest = FUNCTION.digest(text.as_bytes());
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let (store, source, start) = (&store, &source, &start);
                let dest = dir.path().join(format!("link-{round}-{thread}"));
                scope.spawn(move || {
                    start.wait();
                    store.ingest_copy(&digest, source).unwrap();
                    store.link_to(&digest, false, &dest).unwrap();
                });
            }
        });
    }
    let nowhere = store.link_to(&FUNCTION.digest(b"text 0"), false, &dir.path().join("no/such/place"));
    assert!(matches!(nowhere, Err(StoreError::Io { .. })), "{nowhere:?}");
}

#[test]
fn a_damaged_executable_variant_is_made_again() {
    let (dir, store) = store();
    let digest = put(&store, "program");
    store.link_to(&digest, true, &dir.path().join("1")).unwrap();
    fs::write(dir.path().join("1"), "PROGRAM").unwrap();
    store.link_to(&digest, true, &dir.path().join("2")).unwrap();
    assert_eq!(fs::read(dir.path().join("2")).unwrap(), b"program");
}

#[test]
fn a_changed_mode_is_put_right() {
    let (dir, store) = store();
    let digest = put(&store, "input");
    fs::set_permissions(blob_path(dir.path(), &digest), fs::Permissions::from_mode(0o666)).unwrap();
    store.link_to(&digest, false, &dir.path().join("link")).unwrap();
    assert_normal(&dir.path().join("link"), 0o644);
}

#[test]
fn the_empty_blob_can_be_linked_and_copied() {
    let (dir, store) = store();
    let empty = FUNCTION.digest(b"");
    for (name, executable) in [("plain", false), ("run", true)] {
        store.link_to(&empty, executable, &dir.path().join(name)).unwrap();
        assert_normal(&dir.path().join(name), if executable { 0o755 } else { 0o644 });
    }
    store.copy_to(&empty, &dir.path().join("copy"), 0o644).unwrap();
    assert_eq!(fs::metadata(dir.path().join("copy")).unwrap().len(), 0);
}

#[test]
fn another_filesystem_gets_a_copy_that_looks_like_the_link() {
    let (dir, store) = store();
    let Some(elsewhere) = elsewhere(dir.path()) else { return };
    let digest = put(&store, "content");
    for (name, mode) in [("plain", 0o644), ("run", 0o755)] {
        let dest = elsewhere.path().join(name);
        store.link_to(&digest, mode == 0o755, &dest).unwrap();
        assert_eq!(fs::read(&dest).unwrap(), b"content");
        assert_normal(&dest, mode);
    }
}

#[test]
fn an_output_is_never_a_link_and_replaces_what_was_there() {
    let (dir, store) = store();
    let (digest, bytes) = block(1, MIB);
    store.put_bytes_blocking(&digest, &bytes).unwrap();
    let dest = dir.path().join("out");
    fs::write(&dest, "old").unwrap();
    store.copy_to(&digest, &dest, 0o755).unwrap();
    let found = fs::metadata(&dest).unwrap();
    assert_eq!((found.nlink(), found.mode() & 0o700), (1, 0o700));
    assert_eq!(fs::read(&dest).unwrap(), bytes);
    fs::write(&dest, "edited").unwrap();
    assert_eq!(store.verify(false, &mut |_| {}).unwrap().damaged, []);
}

#[test]
fn root_gives_blobs_to_the_configured_owner() {
    if !is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let options = OpenOptions { owner: Some((1234, 2345)), ..OpenOptions::new(dir.path()) };
    let store = DiskStore::open(&options).unwrap();
    let digest = put(&store, "owned");
    fs::write(dir.path().join("output"), "adopted").unwrap();
    let adopted = store.adopt_file(&dir.path().join("output"), FUNCTION).unwrap();
    store.link_to(&digest, true, &dir.path().join("run")).unwrap();
    for path in [blob_path(dir.path(), &digest), blob_path(dir.path(), &adopted), dir.path().join("run")] {
        let found = fs::metadata(&path).unwrap();
        assert_eq!((found.uid(), found.gid()), (1234, 2345), "{}", path.display());
    }
}
