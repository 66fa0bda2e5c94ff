//! A cache that can only be read.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::full::Tmpfs;
use super::*;
use crate::{StoreError, conformance};

/// A read-only copy of a cache with one blob and one result: a mount for root, whom modes do not stop.
struct ReadOnly {
    dir: PathBuf,
    _mount: Option<Tmpfs>,
    _temporary: Option<TempDir>,
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        let _ = fs::set_permissions(&self.dir, fs::Permissions::from_mode(0o755));
    }
}

fn fill(dir: &Path) {
    let store = reopen(dir, 1 << 30);
    let log = put(&store, "log");
    age(&blob_path(dir, &log), 100);
    let result = crate::ActionResult { stdout: crate::LogStream::Blob(log), ..conformance::result("") };
    actions(&store).put_blocking(&digest("action"), &result).unwrap();
}

fn read_only() -> Option<ReadOnly> {
    read_only_with(fill)
}

fn read_only_with(fill: fn(&Path)) -> Option<ReadOnly> {
    if is_root() {
        let mount = Tmpfs::mount(c"size=8m")?;
        fill(mount.0.path());
        mount.remount_read_only();
        return Some(ReadOnly { dir: mount.0.path().to_owned(), _mount: Some(mount), _temporary: None });
    }
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("cache");
    fs::create_dir(&dir).unwrap();
    fill(&dir);
    for place in ["", "tmp", "leases", "gc", "cas/blake3", "ac/blake3"] {
        fs::set_permissions(dir.join(place), fs::Permissions::from_mode(0o555)).unwrap();
    }
    Some(ReadOnly { dir, _mount: None, _temporary: Some(temporary) })
}

#[tokio::test]
async fn reading_works_and_writing_says_read_only() {
    let Some(place) = read_only() else { return };
    let cache = crate::open(&OpenOptions::new(&place.dir)).unwrap();
    assert!(cache.disk.is_read_only());
    let _run = cache.live_run().unwrap();
    let result = cache.actions.get(&digest("action")).await.unwrap().unwrap();
    assert_eq!(cache.blobs.get(&digest("log")).await.unwrap().into_bytes().unwrap(), "log");
    assert_eq!(cache.blobs.find_missing(&[digest("log"), digest("x")]).await.unwrap(), [digest("x")]);

    let refused = [
        cache.blobs.put(&digest("new"), bytes::Bytes::from_static(b"new").into()).await,
        cache.actions.put(&digest("new"), &result).await,
        cache.actions.remove(&digest("action")).await,
        cache.gc(0).map(drop),
        cache.clear(true),
        cache.verify(true, &mut |_| {}).map(drop),
    ];
    for (index, outcome) in refused.into_iter().enumerate() {
        assert!(matches!(outcome, Err(StoreError::ReadOnly { .. })), "{index}: {outcome:?}");
    }
    assert_eq!(cache.maybe_gc().unwrap(), None);
    assert_eq!(cache.verify(false, &mut |_| {}).unwrap().damaged, []);
    assert_eq!(cache.stats().unwrap().blobs, 1);
}

#[test]
fn its_blobs_can_be_materialised() {
    let Some(place) = read_only() else { return };
    let store = reopen(&place.dir, 1 << 30);
    let out = tempfile::tempdir().unwrap();
    store.link_to(&digest("log"), false, &out.path().join("plain")).unwrap();
    store.link_to(&digest("log"), true, &out.path().join("run")).unwrap();
    store.link_to(&DigestFunction::Blake3.digest(b""), false, &out.path().join("empty")).unwrap();
    store.copy_to(&digest("log"), &out.path().join("copy"), 0o644).unwrap();
    for name in ["plain", "run", "copy"] {
        assert_eq!(fs::read(out.path().join(name)).unwrap(), b"log", "{name}");
    }
    let mode = fs::metadata(out.path().join("run")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o755);
    let missing = store.link_to(&digest("missing"), true, &out.path().join("missing"));
    assert!(matches!(missing, Err(StoreError::NotFound { .. })));
    fs::write(out.path().join("output"), "given up").unwrap();
    let refused = store.adopt_file(&out.path().join("output"), DigestFunction::Blake3);
    assert!(matches!(refused, Err(StoreError::ReadOnly { .. })));
}

#[test]
fn a_damaged_executable_variant_is_not_used() {
    let fill = |dir: &Path| {
        fill(dir);
        let store = reopen(dir, 1 << 30);
        let link = dir.join("link");
        for (program, change) in [("sound", "sound"), ("program", "PROGRAM")] {
            store.link_to(&put(&store, program), true, &link).unwrap();
            if change != program {
                fs::write(&link, change).unwrap();
            }
            fs::remove_file(&link).unwrap();
        }
    };
    let Some(place) = read_only_with(fill) else { return };
    let (store, out) = (reopen(&place.dir, 1 << 30), tempfile::tempdir().unwrap());
    for program in ["sound", "program"] {
        let dest = out.path().join(program);
        store.link_to(&digest(program), true, &dest).unwrap();
        assert_eq!(fs::read_to_string(&dest).unwrap(), program);
        assert_eq!(fs::metadata(&dest).unwrap().permissions().mode() & 0o7777, 0o755);
    }
}
