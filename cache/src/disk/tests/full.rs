//! A disk without room.

use std::fs;
use std::time::Instant;

use rustix::mount::{MountFlags, UnmountFlags};

use super::*;
use crate::{StoreError, conformance};

/// A filesystem of its own in memory; none for who may not mount.
pub(super) struct Tmpfs(pub(super) TempDir);

impl Tmpfs {
    pub(super) fn mount(options: &std::ffi::CStr) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        rustix::mount::mount("tmpfs", dir.path(), "tmpfs", flags, Some(options)).ok()?;
        Some(Self(dir))
    }

    pub(super) fn remount_read_only(&self) {
        // Until it becomes another program, a child that another test starts holds what this process has open for writing.
        let deadline = Instant::now() + Duration::from_secs(10);
        while let Err(error) = rustix::mount::mount_remount(self.0.path(), MountFlags::RDONLY, c"") {
            assert!(error == rustix::io::Errno::BUSY && Instant::now() < deadline, "{error}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(self.0.path(), UnmountFlags::DETACH);
    }
}

#[test]
fn a_full_disk_makes_room_by_evicting() {
    let Some(disk) = Tmpfs::mount(c"size=4m") else { return };
    let store = reopen(disk.0.path(), 1 << 30);
    for number in 0..400 {
        put_block(&store, number, 64 << 10);
    }
    assert!(store.has(&block(399, 64 << 10).0).unwrap());
    assert!(!store.has(&block(0, 64 << 10).0).unwrap());
    assert_eq!(store.verify(false, &mut |_| {}).unwrap().damaged, []);
}

#[test]
fn a_disk_full_of_other_things_is_an_error_that_says_what_to_do() {
    let Some(disk) = Tmpfs::mount(c"size=2m") else { return };
    let store = reopen(disk.0.path(), 1 << 30);
    let kept = put(&store, "kept");
    let _run = store.live_run().unwrap();
    let filler = disk.0.path().join("filler");
    assert!(fs::write(&filler, vec![1; 4 << 20]).is_err(), "the disk is full now");

    let (digest, bytes) = block(1, 64 << 10);
    let error = store.put_bytes_blocking(&digest, &bytes).unwrap_err();
    assert!(matches!(error, StoreError::NoSpace { .. }));
    assert!(error.to_string().contains("CULLET_CACHE_SIZE"), "{error}");
    let error = actions(&store).put_blocking(&super::digest("a"), &conformance::result("")).unwrap_err();
    assert!(matches!(error, StoreError::NoSpace { .. }), "{error:?}");
    assert!(store.put_blocking(&digest, bytes.clone().into()).is_err());

    assert!(!store.has(&digest).unwrap());
    assert!(store.has(&kept).unwrap(), "the run holds it");
    let below = |dir: PathBuf| fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let drafts = below(disk.0.path().join("tmp")).flat_map(below);
    assert_eq!(drafts.flat_map(below).next(), None, "no half files stay");
    fs::remove_file(filler).unwrap();
    store.put_bytes_blocking(&digest, &bytes).unwrap();
    assert_eq!(store.verify(false, &mut |_| {}).unwrap().damaged, []);
}
