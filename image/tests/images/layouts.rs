//! Image layouts, and the choice between several images.

use cullet_image::layer::Compression;
use cullet_image::{Digest, ImageError, Platform};

use crate::made::{Made, chain, find};

#[tokio::test]
async fn what_was_written_is_found() {
    let (made, image) = Made::image("app:1.0", 1000);
    let dir = made.layout();
    for text in
        [format!("oci-layout:{}", dir.display()), format!("oci-layout:{}@{}", dir.display(), image.digest)]
    {
        let found = find(&text, "linux/amd64").await.unwrap();
        assert_eq!(found.manifest_digest, image.digest);
        assert_eq!((found.config.cmd.len(), found.config.working_dir.as_deref()), (1, Some("/srv")));
        assert_eq!((found.layers.len(), found.config.env.len()), (2, 1));
    }
    assert_eq!(Digest::of(&image.manifest), image.digest);
}

#[tokio::test]
async fn the_platform_decides_and_a_missing_one_is_said_with_those_there_are() {
    let made = Made::new();
    let layer = made.layer(&[("a", b"1")], Compression::Gzip);
    let arm = made.add("linux/arm64", std::slice::from_ref(&layer), Some("app"));
    let old = made.add("linux/arm/v6", std::slice::from_ref(&layer), Some("app"));
    let dir = made.layout();
    // As an index with several platforms: the tag is that of the index.
    let index = std::fs::read(dir.join("index.json")).unwrap();
    let digest = Digest::of(&index);
    std::fs::write(dir.join("blobs/sha256").join(digest.hex()), &index).unwrap();
    let top = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"{digest}",
            "size":{},"annotations":{{"org.opencontainers.image.ref.name":"app"}}}}]}}"#,
        index.len()
    );
    std::fs::write(dir.join("index.json"), top).unwrap();
    let text = format!("oci-layout:{}:app", dir.display());
    assert_eq!(find(&text, "linux/arm64").await.unwrap().manifest_digest, arm.digest);
    assert_eq!(find(&text, "linux/arm/v7").await.unwrap().manifest_digest, old.digest, "v7 runs v6");
    let error = find(&text, "linux/amd64").await.unwrap_err();
    let ImageError::Platform { available, .. } = &error else { panic!("{error:?}") };
    assert_eq!(
        available[..],
        [Platform::new("linux", "arm64", None), Platform::new("linux", "arm", Some("v6"))]
    );
    assert!(chain(&error).contains("only for linux/arm64, linux/arm/v6"), "{error}");
    // One image alone is checked as well.
    let text = format!("oci-layout:{}@{}", dir.display(), arm.digest);
    assert!(matches!(find(&text, "linux/amd64").await, Err(ImageError::Platform { .. })));
}

#[tokio::test]
async fn what_is_missing_or_ambiguous_is_said() {
    let made = Made::new();
    let layer = made.layer(&[("a", b"1")], Compression::Gzip);
    let dir = made.layout();
    let text = format!("oci-layout:{}", dir.display());
    assert!(matches!(find(&text, "linux/amd64").await, Err(ImageError::Choice { wanted: None, .. })));
    made.add("linux/amd64", std::slice::from_ref(&layer), Some("one"));
    made.add("linux/amd64", &[], Some("two"));
    made.add("linux/amd64", &[], Some("two"));
    let error = find(&text, "linux/amd64").await.unwrap_err();
    assert!(chain(&error).contains("it has one, two"), "{error}");
    let error = find(&format!("{text}:three"), "linux/amd64").await.unwrap_err();
    assert!(chain(&error).contains("no single image :three"), "{error}");
    assert!(find(&format!("{text}:one"), "linux/amd64").await.is_ok());
    let missing = find("oci-layout:/does/not/exist", "linux/amd64").await.unwrap_err();
    assert!(matches!(&missing, ImageError::Io { path, .. } if path.ends_with("oci-layout")), "{missing:?}");
    let nothing = format!("{text}@{}", Digest::of(b"nothing"));
    assert!(matches!(find(&nothing, "linux/amd64").await, Err(ImageError::Io { .. })));
}

#[tokio::test]
async fn damaged_documents_are_found() {
    let (made, image) = Made::image("app", 10);
    let dir = made.layout();
    let text = format!("oci-layout:{}", dir.display());
    let blob = |digest: &Digest| dir.join("blobs/sha256").join(digest.hex());
    let (config, file) = &image.blobs[0];
    let whole = std::fs::read(file).unwrap();
    for damaged in [&whole[1..], &[&whole[..], b" "].concat()] {
        std::fs::write(blob(&config.digest), damaged).unwrap();
        let error = find(&text, "linux/amd64").await.unwrap_err();
        assert!(matches!(error, ImageError::Damaged { what: "configuration", .. }), "{error:?}");
    }
    std::fs::write(blob(&config.digest), whole).unwrap();
    std::fs::write(blob(&image.digest), b"{}").unwrap();
    let error = find(&text, "linux/amd64").await.unwrap_err();
    assert!(matches!(error, ImageError::Damaged { what: "manifest", .. }), "{error:?}");
    for version in [r#"{"imageLayoutVersion":"2.0.0"}"#, "{}"] {
        std::fs::write(dir.join("oci-layout"), version).unwrap();
        assert!(matches!(find(&text, "linux/amd64").await, Err(ImageError::Document { what: "layout", .. })));
    }
}

#[test]
fn equal_images_have_equal_digests() {
    let digests = [0, 1].map(|_| Made::image("app", 5000).1.digest);
    assert_eq!(digests[0], digests[1]);
}
