//! What `docker save` writes.

use std::path::{Path, PathBuf};

use cullet_image::layer::Compression;
use cullet_image::{ImageError, Store, StoreOptions};

use crate::made::{Made, chain, find};

/// A tar of these entries; a link where the bytes begin with `->`.
fn tar(path: &Path, entries: &[(&str, Vec<u8>)]) {
    let mut tar = tar::Builder::new(std::fs::File::create(path).unwrap());
    for (name, bytes) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        if let Some(target) = bytes.strip_prefix(b"->") {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            tar.append_link(&mut header, name, std::str::from_utf8(target).unwrap()).unwrap();
        } else {
            header.set_size(bytes.len() as u64);
            tar.append_data(&mut header, name, &bytes[..]).unwrap();
        }
    }
    tar.into_inner().unwrap();
}

/// The image of [`Made`] as Docker saves it; its layers, and its configuration.
fn saved(dir: &Path, compression: Compression) -> (PathBuf, Vec<(&'static str, Vec<u8>)>) {
    let made = Made::new();
    let layers = [made.layer(&[("a", b"1")], compression), made.layer(&[("b", b"2")], Compression::None)];
    let image = made.add("linux/amd64", &layers, None);
    let bytes: Vec<Vec<u8>> = image.blobs.iter().map(|(_, file)| std::fs::read(file).unwrap()).collect();
    let manifest = br#"[{"Config":"config.json","RepoTags":["app:1","example.com/app:2"],
        "Layers":["one/layer.tar","two/layer.tar","three/layer.tar"]}]"#;
    let mut config = String::from_utf8(bytes[0].clone()).unwrap();
    let second = layers[1].diff_id.to_string();
    config = config.replace(&format!("\"{second}\""), &format!("\"{second}\",\"{second}\""));
    let entries = vec![
        ("one/layer.tar", bytes[1].clone()),
        ("two/layer.tar", bytes[2].clone()),
        ("three/layer.tar", b"->../two/layer.tar".to_vec()),
        ("config.json", config.into_bytes()),
        ("manifest.json", manifest.to_vec()),
    ];
    let file = dir.join("app.tar");
    tar(&file, &entries);
    (file, entries)
}

#[tokio::test]
async fn saved_images_are_unpacked_from_where_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let mut digests = Vec::new();
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let (file, _) = saved(dir.path(), compression);
        for name in ["", ":app:1", ":docker.io/library/app:1", ":example.com/app:2"] {
            let image =
                find(&format!("docker-archive:{}{name}", file.display()), "linux/amd64").await.unwrap();
            digests.push(image.manifest_digest);
            let store = Store::open(&dir.path().join("store"), StoreOptions::default()).unwrap();
            let layers = store.pull(&image).await.unwrap();
            assert_eq!(std::fs::read_to_string(layers[0].tree.join("a")).unwrap(), "1");
            assert_eq!(std::fs::read_to_string(layers[1].tree.join("b")).unwrap(), "2");
            assert_eq!(layers[1], layers[2], "one layer, twice");
        }
    }
    digests.dedup();
    assert_eq!(digests.len(), 3, "the same image has the same digest, whatever it was called");
}

#[tokio::test]
async fn what_is_wrong_with_an_archive_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let (file, entries) = saved(dir.path(), Compression::None);
    let text = format!("docker-archive:{}", file.display());
    let error = find(&format!("{text}:other"), "linux/amd64").await.unwrap_err();
    assert!(chain(&error).contains("no single image other; it has app:1, example.com/app:2"), "{error}");
    assert!(matches!(find(&text, "linux/arm64").await, Err(ImageError::Platform { .. })));

    for (missing, says) in
        [(0, "`one/layer.tar` is missing"), (3, "`config.json` is missing"), (4, "`manifest.json`")]
    {
        let mut fewer = entries.clone();
        fewer.remove(missing);
        tar(&file, &fewer);
        let error = find(&text, "linux/amd64").await.unwrap_err();
        assert!(chain(&error).contains(says), "{error}");
    }
    tar(&file, &[&entries[..], &entries[..1]].concat());
    assert!(chain(&find(&text, "linux/amd64").await.unwrap_err()).contains("twice"));

    tar(&file, &entries);
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() / 3]).unwrap();
    assert!(find(&text, "linux/amd64").await.is_err());
    std::fs::write(&file, [0x1f, 0x8b, 8, 0]).unwrap();
    assert!(chain(&find(&text, "linux/amd64").await.unwrap_err()).contains("gunzip"));
    std::fs::write(&file, "").unwrap();
    assert!(find(&text, "linux/amd64").await.is_err());
}

#[tokio::test]
async fn a_layer_that_is_not_what_the_configuration_says_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (file, mut entries) = saved(dir.path(), Compression::None);
    entries[0].1 = entries[1].1.clone();
    tar(&file, &entries);
    let image = find(&format!("docker-archive:{}", file.display()), "linux/amd64").await.unwrap();
    let store = Store::open(&dir.path().join("store"), StoreOptions::default()).unwrap();
    assert!(matches!(store.pull(&image).await, Err(ImageError::Damaged { what: "layer", .. })));
    crate::made::is_emptied(&dir.path().join("store/unpacking")).await;
}
