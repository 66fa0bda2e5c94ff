//! Images handed over to container engines.

use cullet_image::layer::Compression;
use cullet_image::{EngineExport, ImageError, Store, StoreOptions};

use crate::made::{Made, amd64, chain, find, names};

#[tokio::test]
async fn what_an_engine_gets_is_the_content_of_the_layers() {
    let made = Made::new();
    let first = made.layer(&[("a", b"1")], Compression::Gzip);
    let layers = [first.clone(), made.layer(&[("b", b"2")], Compression::Zstd), first];
    made.add("linux/amd64", &layers, Some("1"));
    let image = find(&format!("oci-layout:{}:1", made.layout().display()), "linux/amd64").await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
    assert_eq!(store.configuration(&image.manifest_digest, &amd64()).await.unwrap(), None);
    store.keep_documents(&image).await.unwrap();
    assert_eq!(
        store.configuration(&image.manifest_digest, &amd64()).await.unwrap().as_ref(),
        Some(&image.config)
    );

    let export = EngineExport::of(&image.config);
    let file = made.dir.path().join("app.tar");
    store.export(&image, &export, std::fs::File::create(&file).unwrap()).await.unwrap();
    assert_eq!(names(&dir.path().join("partial")), [""; 0]);
    let read =
        find(&format!("docker-archive:{}:{}", file.display(), export.name), "linux/amd64").await.unwrap();
    assert_eq!(read.config.diff_ids, image.config.diff_ids);
    assert_eq!((read.config.env.len(), read.config.working_dir, read.config.cmd.len()), (0, None, 0));
    let trees = store.pull(&image).await.unwrap();
    assert_eq!(trees.len(), 3);
    assert!(trees[1].tree.join("b").exists());
    // The name is that of the layers and the platform, however programs are started in them.
    let other = cullet_image::ImageConfig { user: Some("x".to_owned()), ..image.config.clone() };
    assert_eq!(EngineExport::of(&other), export);
}

#[tokio::test]
async fn a_layer_that_is_not_what_it_should_be_ends_the_archive() {
    for compression in [Compression::None, Compression::Gzip] {
        let made = Made::new();
        let layer = made.layer(&[("a", b"content")], compression);
        let image = made.add("linux/amd64", std::slice::from_ref(&layer), Some("1"));
        let (_, file) = image.blobs.last().unwrap();
        let other = made.layer(&[("a", b"CONTENT")], compression);
        let place = file.parent().unwrap().join(other.blob.digest.hex());
        std::fs::copy(place, file).unwrap();
        let image = find(&format!("oci-layout:{}:1", made.layout().display()), "linux/amd64").await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
        let to = tempfile::tempfile().unwrap();
        let error = store.export(&image, &EngineExport::of(&image.config), to).await.unwrap_err();
        assert!(matches!(error, ImageError::Layer { .. }), "{}", chain(&error));
        assert!(chain(&error).contains("the image's configuration says"), "{}", chain(&error));
        assert_eq!(names(&dir.path().join("partial")), [""; 0]);
    }
}
