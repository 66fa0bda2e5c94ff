//! The store: once for all who ask, in one process and several, and nothing half done.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::time::Duration;

use cullet_image::layer::{Compression, Limits, UnpackOptions};
use cullet_image::{ImageError, Progress, Store, StoreOptions};

use crate::made::{Made, find, is_emptied, names};
use crate::stub::{Fault, Stub};

const SIZE: usize = 3 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_who_ask_are_one_download() {
    let (made, _) = Made::image("1", SIZE);
    // Slow enough for all to come in between.
    let stub = Stub::new(&made.layout(), |request, _| {
        if request.is_blob() {
            std::thread::sleep(Duration::from_millis(200));
        }
        Fault::None
    });
    let image = find(&stub.reference(":1"), "linux/amd64").await.unwrap();
    let before = stub.blob_requests();
    let dir = tempfile::tempdir().unwrap();
    // Two stores in one directory are what two processes have.
    let stores = [0, 1].map(|_| Store::open(dir.path(), StoreOptions::default()).unwrap());
    let pulls = (0..16).map(|at| {
        let (store, image) = (stores[at % 2].clone(), image.clone());
        tokio::spawn(async move { store.pull(&image).await.unwrap() })
    });
    let mut results = Vec::new();
    for pull in pulls.collect::<Vec<_>>() {
        results.push(pull.await.unwrap());
    }
    assert!(results.iter().all(|layers| *layers == results[0]));
    assert_eq!(stub.blob_requests() - before, 2, "each layer once");
    let again = stores[0].pull(&image).await.unwrap();
    assert_eq!((again, stub.blob_requests() - before), (results[0].clone(), 2), "and never again");
    assert_eq!(names(&dir.path().join("blobs/sha256")).len(), 4, "manifest, configuration, layers");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_is_everybodys_and_the_next_one_tries_again() {
    let (made, image) = Made::image("1", 100);
    let data = image.blobs[2].0.digest.to_string();
    let stub = Stub::new(&made.layout(), move |request, count| {
        if request.path.ends_with(&data) && count == 1 {
            std::thread::sleep(Duration::from_millis(200));
            return Fault::status(403);
        }
        Fault::None
    });
    let image = find(&stub.reference(":1"), "linux/amd64").await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
    let (one, two) = tokio::join!(store.pull(&image), store.pull(&image));
    assert!(matches!((one, two), (Err(ImageError::Registry(_)), Err(ImageError::Registry(_)))));
    assert!(store.pull(&image).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_gives_up_leaves_a_part_that_the_next_one_resumes() {
    let (made, image) = Made::image("1", SIZE);
    let data = image.blobs[2].0.clone();
    let suffix = data.digest.to_string();
    let stub = Stub::new(&made.layout(), move |request, count| match count {
        1 if request.path.ends_with(&suffix) => Fault::Cut(2 << 20),
        2 if request.path.ends_with(&suffix) => {
            std::thread::sleep(Duration::from_secs(1));
            Fault::None
        }
        _ => Fault::None,
    });
    let image = find(&stub.reference(":1"), "linux/amd64").await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
    let given_up = tokio::time::timeout(Duration::from_millis(900), store.pull(&image)).await;
    assert!(given_up.is_err());
    drop(store);
    // The next process.
    let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
    let part = std::fs::metadata(dir.path().join("partial").join(data.digest.hex())).unwrap().len();
    assert_eq!(part, 2 << 20, "young parts are kept");
    let small = image.layers[0].blob.size;
    let (is, all_bytes) = (store.progress(&image), small + image.layers[1].blob.size);
    assert_eq!(is, Progress { layers: 1, all_layers: 2, bytes: small + part, all_bytes });
    store.pull(&image).await.unwrap();
    let last = stub.requests().into_iter().rfind(|request| request.is_blob()).unwrap();
    assert_eq!(last.headers["range"], format!("bytes={part}-"));
}

#[tokio::test]
async fn leftovers_are_removed_when_nobody_works_on_them() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { keep_partial: Duration::ZERO, ..StoreOptions::default() };
    let store = Store::open(dir.path(), options.clone()).unwrap();
    let left = dir.path().join("unpacking/trusted-00/tree/sealed");
    std::fs::create_dir_all(&left).unwrap();
    std::fs::write(left.join("x"), "").unwrap();
    std::fs::set_permissions(&left, std::fs::Permissions::from_mode(0o000)).unwrap();
    std::fs::create_dir_all(dir.path().join("unpacking/busy/tree")).unwrap();
    for name in ["old", "busy"] {
        std::fs::write(dir.path().join("partial").join(name), "").unwrap();
    }
    let busy = std::fs::File::create(dir.path().join("locks/busy")).unwrap();
    busy.lock().unwrap();
    std::thread::sleep(Duration::from_millis(20));
    drop(Store::open(dir.path(), options.clone()).unwrap());
    assert_eq!(names(&dir.path().join("unpacking")), ["busy"]);
    assert_eq!(names(&dir.path().join("partial")), ["busy"]);
    drop(busy);
    drop(Store::open(dir.path(), options).unwrap());
    is_emptied(&dir.path().join("unpacking")).await;
    is_emptied(&dir.path().join("partial")).await;
    drop(store);
    let mode = std::fs::metadata(dir.path().join("layers")).unwrap().mode();
    assert_eq!(mode & 0o777, 0o700, "setuid programs of images are out of reach");
}

#[tokio::test]
async fn what_is_locked_for_too_long_is_said() {
    let (made, image) = Made::image("1", 10);
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { lock_timeout: Duration::from_millis(100), ..StoreOptions::default() };
    let store = Store::open(dir.path(), options).unwrap();
    let lock = std::fs::File::create(dir.path().join("locks").join(image.digest.hex())).unwrap();
    lock.lock().unwrap();
    let image = find(&format!("oci-layout:{}", made.layout().display()), "linux/amd64").await.unwrap();
    assert!(matches!(store.pull(&image).await, Err(ImageError::Locked { .. })));
    drop(lock);
    assert!(store.pull(&image).await.is_ok());
}

#[tokio::test]
async fn limits_and_damage_end_a_pull_and_leave_nothing() {
    let made = Made::new();
    let layer = made.layer(&[("zeros", &vec![0; 4 << 20])], Compression::Zstd);
    let image = made.add("linux/amd64", std::slice::from_ref(&layer), None);
    let text = format!("oci-layout:{}", made.layout().display());
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { unpacked_bytes: 1 << 20, ..Limits::default() };
    let unpack = UnpackOptions { limits, ..UnpackOptions::for_this_user() };
    let small = Store::open(dir.path(), StoreOptions { unpack, ..StoreOptions::default() }).unwrap();
    let found = find(&text, "linux/amd64").await.unwrap();
    assert!(matches!(small.pull(&found).await, Err(ImageError::Layer { .. })));
    is_emptied(&dir.path().join("unpacking")).await;
    let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
    let file = &image.blobs[1].1;
    let whole = std::fs::read(file).unwrap();
    let longer = [&whole[..], b"x"].concat();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for damaged in [&whole[..whole.len() - 1], &longer, &flipped, b""] {
        std::fs::write(file, damaged).unwrap();
        let error = store.pull(&found).await.unwrap_err();
        assert!(matches!(error, ImageError::Layer { .. } | ImageError::Damaged { .. }), "{error:?}");
        is_emptied(&dir.path().join("unpacking")).await;
    }
    std::fs::write(file, whole).unwrap();
    assert_eq!(store.pull(&found).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_a_power_cut_may_have_left_is_unpacked_again() {
    let (made, _) = Made::image("1", 10);
    let dir = tempfile::tempdir().unwrap();
    let image = find(&format!("oci-layout:{}", made.layout().display()), "linux/amd64").await.unwrap();
    let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
    let layer = store.pull(&image).await.unwrap().remove(1);
    let place = layer.tree.parent().unwrap();
    for _ in 0..6000 {
        if place.join("synced").exists() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let notes = std::fs::read_to_string(place.join("notes")).unwrap();
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let earlier = notes.replace(boot.trim(), "another");
    assert_ne!(notes, earlier);
    // As after a restart: synced, it is used as it is; otherwise not, whatever became of it.
    let data = layer.tree.join("data");
    std::fs::write(&data, "").unwrap();
    std::fs::write(place.join("notes"), &earlier).unwrap();
    store.pull(&image).await.unwrap();
    assert_eq!(std::fs::metadata(&data).unwrap().len(), 0);
    for left in [&earlier[..], "", "\0\0\0"] {
        std::fs::write(&data, "").unwrap();
        std::fs::write(place.join("notes"), left).unwrap();
        let _gone = std::fs::remove_file(place.join("synced"));
        store.pull(&image).await.unwrap();
        assert_eq!(std::fs::metadata(&data).unwrap().len(), 10, "{left:?}");
        while !place.join("synced").exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_stands_still_holds_up_no_other() {
    let ((slow, _), (quick, _)) = (Made::image("1", SIZE), Made::image("1", SIZE - 1));
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let standing = Stub::new(&slow.layout(), move |request, _| {
        if LARGEST.get().is_some_and(|digest| request.path.ends_with(&digest.to_string())) {
            // Until the sender is gone.
            let _gone = released.lock().unwrap().recv();
        }
        Fault::None
    });
    let standing_image = find(&standing.reference(":1"), "linux/amd64").await.unwrap();
    LARGEST.set(standing_image.layers[1].blob.digest).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), StoreOptions { downloads: 1, ..StoreOptions::default() }).unwrap();
    let waiting = tokio::spawn({
        let (store, image) = (store.clone(), standing_image.clone());
        async move { store.pull(&image).await }
    });
    let path = format!("/blobs/{}", standing_image.layers[1].blob.digest);
    let asked = || standing.requests().iter().any(|request| request.path.ends_with(&path));
    while !asked() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // The only download of the first registry is under way, and gets nowhere.
    let other = Stub::new(&quick.layout(), |_, _| Fault::None);
    let image = find(&other.reference(":1"), "linux/amd64").await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), store.pull(&image)).await.unwrap().unwrap();
    assert!(!waiting.is_finished());
    drop(release);
    waiting.await.unwrap().unwrap();
}

/// The layer that is not sent.
static LARGEST: std::sync::OnceLock<cullet_image::Digest> = std::sync::OnceLock::new();

#[tokio::test]
async fn what_ended_processes_left_is_removed_and_what_is_worked_on_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let day = Duration::from_secs(24 * 60 * 60);
    assert_eq!(Store::clean(&dir.path().join("nothing"), day, None).unwrap(), 0);
    let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
    let leave = || {
        std::fs::create_dir_all(dir.path().join("unpacking/trusted-00/tree/a")).unwrap();
        std::fs::write(dir.path().join("partial/00"), vec![0; 1000]).unwrap();
        std::fs::write(dir.path().join("partial/01"), vec![0; 10]).unwrap();
    };
    leave();
    let lock = std::fs::File::create(dir.path().join("locks/01")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    assert_eq!(Store::clean(dir.path(), day, None).unwrap(), 0);
    assert_eq!(names(&dir.path().join("partial")), ["00", "01"], "somebody may go on with them");
    assert_eq!(names(&dir.path().join("unpacking")), [""; 0]);
    leave();
    assert_eq!(Store::clean(dir.path(), Duration::ZERO, None).unwrap(), 1000);
    assert_eq!(names(&dir.path().join("partial")), ["01"], "somebody works on it");
    drop(store);
}
