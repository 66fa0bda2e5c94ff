//! Manifests that are not what they should be.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use cullet_cache::Objects;

use crate::registry::Real;
use crate::support::{name, open, registries, start, store};

/// The files of blobs and manifests that have this text in them.
fn files_with(dir: &Path, text: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_with(&path, text, found);
        } else if String::from_utf8_lossy(&std::fs::read(&path).unwrap()).contains(text) {
            found.push(path);
        }
    }
}

/// The file of the manifest of a record.
fn manifest_of(real: &Real, tag: &str) -> PathBuf {
    let mut found = Vec::new();
    files_with(&real.dir.path().join("data"), tag, &mut found);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

async fn is_healed(objects: &dyn Objects, text: &str) {
    assert_eq!(objects.record(&name(text)).await.unwrap(), None);
    assert!(!objects.has_record(&name(text)).await.unwrap());
    objects.remove_record(&name(text)).await.unwrap();
    assert_eq!(objects.record(&name(text)).await.unwrap(), None);
    objects.put_record(&name(text), "healed".into(), &[]).await.unwrap();
    assert_eq!(objects.record(&name(text)).await.unwrap().unwrap(), "healed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_manifest_is_no_record() {
    let Some(real) = start(true) else { return };
    let objects = &*open(&real.address, "team/cache");
    objects.put_record(&name("a"), "text of the record".into(), &[]).await.unwrap();
    let file = manifest_of(&real, &name("a").to_string());
    let sound = String::from_utf8(std::fs::read(&file).unwrap()).unwrap();
    // Another content that reads well, and one that does not read.
    for (from, to) in [("dGV4", "dHV4"), ("\"annotations\"", "\"annotation\"")] {
        assert!(sound.contains(from), "{sound}");
        std::fs::write(&file, sound.replace(from, to)).unwrap();
        is_healed(objects, "a").await;
        objects.put_record(&name("a"), "text of the record".into(), &[]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_put_under_the_name_of_a_record_is_none_and_stays_theirs() {
    for deletes in [true, false] {
        let Some(real) = start(deletes) else { return };
        let objects = &*open(&real.address, "team/cache");
        objects.put_record(&name("a"), "a".into(), &[]).await.unwrap();
        let other = registries().artifacts(&real.address, "team/cache").unwrap();
        let theirs = other.manifest(&name("a").to_string()).await.unwrap().unwrap();
        let kind = "application/vnd.oci.image.manifest.v1+json";
        other.put_manifest(&name("b").to_string(), kind, &Bytes::from(theirs)).await.unwrap();
        is_healed(objects, "b").await;
        assert_eq!(objects.record(&name("a")).await.unwrap().unwrap(), "a", "the same manifest has this tag");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_record_whose_blob_is_gone_is_none() {
    let Some(real) = start(true) else { return };
    let objects = &*open(&real.address, "team/cache");
    let text = "x".repeat(100_000);
    objects.put_record(&name("a"), text.clone().into(), &[]).await.unwrap();
    assert!(objects.has_record(&name("a")).await.unwrap());
    // The content is a blob like any other.
    objects.remove_data(&store(objects, &text).await).await.unwrap();
    is_healed(objects, "a").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_does_not_come_before_its_data() {
    let Some(real) = start(true) else { return };
    let objects = &*open(&real.address, "team/cache");
    let missing = cullet_digest::DigestFunction::Sha256.digest(b"never stored");
    let error = objects.put_record(&name("a"), "a".into(), &[missing]).await.unwrap_err();
    assert!(crate::support::chain(&error).contains("blob unknown"), "{}", crate::support::chain(&error));
    assert!(!objects.has_record(&name("a")).await.unwrap());
}
