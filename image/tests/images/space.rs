//! Disks without space, and without inodes, for what an image needs.

use std::path::Path;
use std::process::Command;

use cullet_image::layer::Compression;
use cullet_image::{Progress, Store, StoreOptions};
use tempfile::TempDir;

use crate::made::{Made, chain, find, is_emptied, names};
use crate::stub::{Fault, Stub};

/// A small file system of its own.
struct Tmpfs(TempDir);

impl Tmpfs {
    /// None where this user cannot mount.
    #[expect(clippy::print_stderr, reason = "whoever runs the tests has to see what they leave out")]
    fn mount(options: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        let mounted = mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(dir.path()).output();
        let is_there = mounted.is_ok_and(|output| output.status.success());
        if !is_there {
            eprintln!("left out: this user cannot mount");
        }
        is_there.then(|| Self(dir))
    }

    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        assert!(Command::new("mount").args(["-o", &options]).arg(self.path()).status().unwrap().success());
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(self.path()).status());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_said_and_left_as_it_was() {
    let size = 12 << 20;
    let (made, _) = Made::image("1", size);
    let stub = Stub::new(&made.layout(), |_, _| Fault::None);
    let layout = format!("oci-layout:{}", made.layout().display());
    for text in [layout, stub.reference(":1")] {
        let Some(disk) = Tmpfs::mount("size=8m") else { return };
        let image = find(&text, "linux/amd64").await.unwrap();
        let store = Store::open(disk.path(), StoreOptions::default()).unwrap();
        for _ in 0..2 {
            let error = store.pull(&image).await.unwrap_err();
            assert!(error.is_no_space(), "{error:?}");
            assert!(chain(&error).contains("No space left on device"), "{}", chain(&error));
            is_emptied(&disk.path().join("unpacking")).await;
            is_emptied(&disk.path().join("partial")).await;
            let stats = Store::stats(disk.path()).unwrap();
            assert!(stats.layers <= 1 && stats.bytes() < 1 << 20, "only what is small and whole: {stats:?}");
        }
        disk.remount("size=64m");
        let layers = store.pull(&image).await.unwrap();
        assert_eq!(std::fs::metadata(layers[1].tree.join("data")).unwrap().len(), size as u64);
        let Progress { layers, all_layers, bytes, all_bytes } = store.progress(&image);
        assert_eq!((layers, bytes), (all_layers, all_bytes));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_inodes_it_is_the_same() {
    let Some(disk) = Tmpfs::mount("nr_inodes=60") else { return };
    let made = Made::new();
    let files: Vec<String> = (0..100).map(|number| format!("f{number}")).collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|name| (name.as_str(), &b"x"[..])).collect();
    made.add("linux/amd64", &[made.layer(&files, Compression::Zstd)], None);
    let image = find(&format!("oci-layout:{}", made.layout().display()), "linux/amd64").await.unwrap();
    let store = Store::open(disk.path(), StoreOptions::default()).unwrap();
    let error = store.pull(&image).await.unwrap_err();
    assert!(error.is_no_space(), "{error:?}");
    is_emptied(&disk.path().join("unpacking")).await;
    disk.remount("nr_inodes=1000");
    assert_eq!(names(&store.pull(&image).await.unwrap()[0].tree).len(), 100);
}
