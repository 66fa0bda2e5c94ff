//! Blobs that were damaged on the disk after they had come.

use std::path::{Path, PathBuf};

use cullet_image::layer::Compression;
use cullet_image::{EngineExport, ImageError, Layer, Resolved, Store, StoreOptions};

use crate::made::{Made, chain, find, names};
use crate::stub::{Fault, Stub};

const SIZE: usize = 300_000;

fn open(dir: &Path) -> Store {
    Store::open(dir, StoreOptions::default()).unwrap()
}

/// An image of a registry, of which both layers were fetched and the unpacked ones are gone.
async fn fetched(stub: &Stub, dir: &Path) -> (Store, Resolved) {
    let image = find(&stub.reference(":1"), "linux/amd64").await.unwrap();
    let store = open(dir);
    store.pull(&image).await.unwrap();
    forget(dir);
    (store, image)
}

/// Removes what was unpacked, when nobody writes there any more.
fn forget(dir: &Path) {
    for form in names(&dir.join("layers")) {
        let form = dir.join("layers").join(form);
        for layer in names(&form) {
            let synced = form.join(layer).join("synced");
            for _ in 0..6000 {
                if synced.exists() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        }
        std::fs::remove_dir_all(form).unwrap();
    }
}

fn blob(dir: &Path, layer: &Layer) -> PathBuf {
    dir.join("blobs/sha256").join(layer.blob.digest.hex())
}

/// What a disk may have made of a file.
fn damaged(whole: &[u8]) -> Vec<Vec<u8>> {
    let mut flipped = whole.to_vec();
    flipped[whole.len() / 2] ^= 1;
    let half = whole[..whole.len() / 2].to_vec();
    let longer = [whole, b"x"].concat();
    vec![flipped, vec![0; whole.len()], half, Vec::new(), longer]
}

#[tokio::test]
async fn a_damaged_blob_is_fetched_once_more() {
    let (made, _) = Made::image("1", SIZE);
    let stub = Stub::new(&made.layout(), |_, _| Fault::None);
    let dir = tempfile::tempdir().unwrap();
    let (store, image) = fetched(&stub, dir.path()).await;
    for layer in &image.layers {
        let file = blob(dir.path(), layer);
        let whole = std::fs::read(&file).unwrap();
        for (at, bytes) in damaged(&whole).into_iter().enumerate() {
            let before = stub.blob_requests();
            std::fs::write(&file, &bytes).unwrap();
            let layers = store.pull(&image).await.unwrap_or_else(|error| panic!("{at}: {}", chain(&error)));
            assert_eq!(std::fs::metadata(layers[1].tree.join("data")).unwrap().len(), SIZE as u64);
            assert_eq!(stub.blob_requests() - before, 1, "{at}: the damaged one once");
            assert!(std::fs::read(&file).unwrap() == whole, "{at}");
            forget(dir.path());
        }
    }
}

#[tokio::test]
async fn an_image_that_is_wrong_itself_is_not_fetched_again() {
    let made = Made::new();
    let [layer, other] = [b"1", b"2"].map(|text| made.layer(&[("a", text)], Compression::Gzip));
    made.add("linux/amd64", &[Layer { diff_id: other.diff_id, ..layer }], Some("1"));
    let stub = Stub::new(&made.layout(), |_, _| Fault::None);
    let image = find(&stub.reference(":1"), "linux/amd64").await.unwrap();
    let (dir, before) = (tempfile::tempdir().unwrap(), stub.blob_requests());
    let store = open(dir.path());
    for _ in 0..2 {
        let error = store.pull(&image).await.unwrap_err();
        assert!(chain(&error).contains("the image's configuration says"), "{}", chain(&error));
        assert_eq!(stub.blob_requests() - before, 1, "what came is what its digest says");
    }
}

#[tokio::test]
async fn what_an_engine_gets_is_mended_too() {
    let (made, _) = Made::image("1", SIZE);
    let stub = Stub::new(&made.layout(), |_, _| Fault::None);
    let dir = tempfile::tempdir().unwrap();
    let (store, image) = fetched(&stub, dir.path()).await;
    let file = blob(dir.path(), &image.layers[1]);
    let whole = std::fs::read(&file).unwrap();
    for bytes in damaged(&whole) {
        std::fs::write(&file, bytes).unwrap();
        let archive = made.dir.path().join("app.tar");
        let export = EngineExport::of(&image.config);
        store.export(&image, &export, std::fs::File::create(&archive).unwrap()).await.unwrap();
        let name = format!("docker-archive:{}:{}", archive.display(), export.name);
        assert_eq!(store.pull(&find(&name, "linux/amd64").await.unwrap()).await.unwrap().len(), 2);
        assert!(std::fs::read(&file).unwrap() == whole);
        forget(dir.path());
    }
}

#[tokio::test]
async fn an_image_made_of_a_damaged_one_fails_once() {
    let (made, _) = Made::image("1", SIZE);
    let stub = Stub::new(&made.layout(), |_, _| Fault::None);
    let dir = tempfile::tempdir().unwrap();
    let (store, image) = fetched(&stub, dir.path()).await;
    let file = blob(dir.path(), &image.layers[1]);
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, vec![0; whole.len()]).unwrap();
    let composed = store.compose(&image, Vec::new(), "2010-01-01T00:00:00Z").await.unwrap();
    let error = composed.write_layout(&made.dir.path().join("one")).unwrap_err();
    assert!(matches!(error, ImageError::Damaged { .. }), "{error:?}");
    assert!(!file.exists());
    let composed = store.compose(&image, Vec::new(), "2010-01-01T00:00:00Z").await.unwrap();
    composed.write_layout(&made.dir.path().join("two")).unwrap();
}

#[tokio::test]
async fn verifying_removes_what_is_damaged_and_nothing_else() {
    let (made, image) = Made::image("1", SIZE);
    let stub = Stub::new(&made.layout(), |_, _| Fault::None);
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(Store::verify(&dir.path().join("missing")).unwrap().blobs, 0);
    let (_store, found) = fetched(&stub, dir.path()).await;
    let right = Store::verify(dir.path()).unwrap();
    assert_eq!((right.blobs, right.damaged.len()), (4, 0));
    let bytes: u64 = image.blobs.iter().map(|(blob, _)| blob.size).sum();
    assert_eq!(right.bytes, bytes + image.manifest.len() as u64);
    for bytes in damaged(&std::fs::read(blob(dir.path(), &found.layers[1])).unwrap()) {
        let file = blob(dir.path(), &found.layers[1]);
        std::fs::write(&file, bytes).unwrap();
        // Somebody is about to put it there anew.
        let lock = dir.path().join("locks").join(found.layers[1].blob.digest.hex());
        let busy = std::fs::File::create(lock).unwrap();
        busy.lock().unwrap();
        assert_eq!(Store::verify(dir.path()).unwrap().damaged, []);
        drop(busy);
        assert_eq!(Store::verify(dir.path()).unwrap().damaged, [found.layers[1].blob.digest]);
        assert_eq!(names(&dir.path().join("blobs/sha256")).len(), 3);
        assert_eq!(Store::verify(dir.path()).unwrap().damaged, []);
    }
}
