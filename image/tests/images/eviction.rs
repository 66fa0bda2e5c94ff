//! Images that are used stay; of the others those go first that were not used for longest.

use cullet_image::layer::Compression;
use cullet_image::{Digest, Evicted, HeldImage, Store, StoreOptions};

use crate::made::{Made, amd64, find, names};
use crate::stub::{Fault, Stub};

fn open(dir: &std::path::Path) -> Store {
    Store::open(dir, StoreOptions::default()).unwrap()
}

async fn held(store: &Store, digest: &Digest) -> Option<HeldImage> {
    store.held(digest, &amd64()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_has_stays_until_it_is_given_back() {
    let (made, image) = Made::image("1", 5000);
    let stub = Stub::new(&made.layout(), |_, _| Fault::None);
    let dir = tempfile::tempdir().unwrap();
    // Two stores in one directory are what two processes have.
    let [store, other] = [open(dir.path()), open(dir.path())];
    assert!(held(&store, &image.digest).await.is_none());
    let resolved = find(&stub.reference(":1"), "linux/amd64").await.unwrap();
    let taken = store.take(&resolved).await.unwrap();
    let requests = stub.requests().len();
    let again = held(&other, &image.digest).await.unwrap();
    assert_eq!((&again.layers, &again.config), (&taken.layers, &taken.config));
    let stats = Store::stats(dir.path()).unwrap();
    assert_eq!((stats.layers, stats.blobs), (2, 4));
    assert!(stats.layer_bytes > 5000 && stats.blob_bytes > 5000, "{stats:?}");

    drop(taken);
    let evicted = Store::evict(dir.path(), 0, None).unwrap();
    assert_eq!((evicted.layers, evicted.blobs), (0, 2), "layers as they were sent are not needed any more");
    assert!(again.layers.iter().all(|layer| layer.tree.exists()));
    assert!(held(&store, &image.digest).await.is_some());
    assert_eq!(stub.requests().len(), requests, "nobody was asked");
    drop(again);
    let evicted = Store::evict(dir.path(), 0, None).unwrap();
    assert_eq!((evicted.layers, evicted.blobs, evicted.bytes_after), (2, 2, 0));
    assert!(held(&other, &image.digest).await.is_none());
    for place in ["blobs/sha256", "unpacking", "partial"] {
        assert_eq!(names(&dir.path().join(place)), [""; 0], "{place}");
    }
    store.take(&resolved).await.unwrap();
}

#[tokio::test]
async fn what_was_not_used_for_longest_goes_first() {
    let made = Made::new();
    let mut digests = Vec::new();
    for text in ["first", "second"] {
        let layer = made.layer(&[("file", text.as_bytes())], Compression::None);
        digests.push(made.add("linux/amd64", &[layer], Some(text)).digest);
    }
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for text in ["first", "second"] {
        let reference = format!("oci-layout:{}:{text}", made.layout().display());
        store.take(&find(&reference, "linux/amd64").await.unwrap()).await.unwrap();
    }
    std::thread::sleep(std::time::Duration::from_millis(20));
    held(&store, &digests[0]).await.unwrap();
    let bound = Store::stats(dir.path()).unwrap().bytes() - 1;
    let evicted = Store::evict(dir.path(), bound, None).unwrap();
    assert_eq!((evicted.layers + evicted.blobs, evicted.bytes_before), (1, bound + 1));
    assert!(held(&store, &digests[0]).await.is_some());
    assert!(held(&store, &digests[1]).await.is_none());
    let none = Store::evict(dir.path(), bound, None).unwrap();
    assert_eq!((none.layers, none.blobs), (0, 0));
    assert_eq!(Store::evict(&dir.path().join("missing"), 0, None).unwrap(), Evicted::default());
}

#[tokio::test]
async fn a_damaged_document_is_none() {
    let (made, image) = Made::image("1", 10);
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let resolved = find(&format!("oci-layout:{}", made.layout().display()), "linux/amd64").await.unwrap();
    drop(store.take(&resolved).await.unwrap());
    let path = dir.path().join("blobs/sha256").join(image.digest.hex());
    std::fs::write(&path, b"{}").unwrap();
    assert!(held(&store, &image.digest).await.is_none());
    store.take(&resolved).await.unwrap();
    assert!(held(&store, &image.digest).await.is_some());
}

#[tokio::test]
async fn what_an_image_is_made_of_stays_until_it_is_written() {
    let (made, image) = Made::image("1", 5000);
    let stub = Stub::new(&made.layout(), |_, _| Fault::None);
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let base = find(&stub.reference(":1"), "linux/amd64").await.unwrap();
    let composed = store.compose(&base, Vec::new(), "2010-01-01T00:00:00Z").await.unwrap();
    let evicted = Store::evict(dir.path(), 0, None).unwrap();
    assert_eq!((evicted.blobs, evicted.bytes_after), (0, evicted.bytes_before), "{evicted:?}");
    let written = composed.write_layout(&made.dir.path().join("made")).unwrap();
    assert_eq!(written.blobs.len(), image.blobs.len());
    drop(composed);
    assert_eq!(Store::evict(dir.path(), 0, None).unwrap().blobs, 2);
}

#[tokio::test]
async fn parts_of_blobs_count_and_go_when_nobody_works_on_them() {
    let dir = tempfile::tempdir().unwrap();
    let _store = open(dir.path());
    let part = |name: &str| dir.path().join("partial").join(name);
    for name in ["left", "busy", "wanted"] {
        std::fs::write(part(name), vec![0; 1000]).unwrap();
    }
    let stats = Store::stats(dir.path()).unwrap();
    assert_eq!((stats.parts, stats.part_bytes, stats.bytes()), (3, 3000, 3000));
    let lock = |name: &str| std::fs::File::create(dir.path().join("locks").join(name)).unwrap();
    let (busy, wanted) = (lock("busy"), lock("use-wanted"));
    busy.lock().unwrap();
    wanted.lock_shared().unwrap();
    let evicted = Store::evict(dir.path(), 0, None).unwrap();
    assert_eq!((evicted.blobs, evicted.bytes_after), (1, 2000));
    assert_eq!(names(&dir.path().join("partial")), ["busy", "wanted"]);
    drop((busy, wanted));
    assert_eq!(Store::evict(dir.path(), 0, None).unwrap().bytes_after, 0);
    assert_eq!(names(&dir.path().join("partial")), [""; 0]);
}
