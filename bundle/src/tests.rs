//! Bundles that are written, read, damaged and continued.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use cullet_cache::{Area, MemoryStore, ObjectOptions, RecordName, conformance};
use cullet_cache::{BlobStore as _, SharedCache, SigningKey};
use cullet_digest::{Digest, DigestFunction, Directory, FileNode, NodeName};
use cullet_image::{Digest as BlobName, FilePart, LocalBlobs as _};

use super::*;

const FUNCTION: DigestFunction = DigestFunction::Blake3;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32]).unwrap()
}

fn action(name: &str) -> Digest {
    FUNCTION.digest(name.as_bytes())
}

/// What the cache of a bundle needs while it is used.
struct Kept {
    cache: SharedCache,
    _spool: tempfile::TempDir,
}

fn kept(objects: Arc<dyn cullet_cache::Objects>, read_only: bool) -> Kept {
    let spool = tempfile::tempdir().unwrap();
    let options = ObjectOptions { read_only, ..ObjectOptions::new(spool.path()) };
    Kept { cache: SharedCache::over(objects, &options).unwrap(), _spool: spool }
}

/// A tree with these files, and its root.
async fn tree(files: &[(&str, Vec<u8>)]) -> (MemoryStore, Digest) {
    let from = MemoryStore::new(1 << 20);
    let mut nodes = Vec::new();
    for (name, bytes) in files {
        let digest = FUNCTION.digest(bytes);
        from.put(&digest, Bytes::from(bytes.clone()).into()).await.unwrap();
        nodes.push(FileNode { name: NodeName::new(*name).unwrap(), digest, executable: false });
    }
    let bytes = Directory::new(nodes, vec![], vec![]).unwrap().encode();
    let root = FUNCTION.digest(&bytes);
    from.put(&root, Bytes::from(bytes).into()).await.unwrap();
    (from, root)
}

/// A bundle with a file, a source tree, a result, an image and a program.
async fn write(dir: &Path, name: &str, base: Option<Arc<Bundle>>, steps: &[&str]) -> PathBuf {
    let path = dir.join(name);
    let writer = BundleWriter::create(&path, base).unwrap();
    let store = kept(Arc::new(writer.clone()), false);
    let mut contents =
        Contents { pipeline: "p".to_owned(), file: "p.yaml".to_owned(), ..Contents::default() };
    contents.files.push(writer.add_file("p.yaml", b"cullet: 1\n").unwrap());
    let (from, root) = tree(&[("a", b"text of a file".to_vec()), ("b", vec![7; 5000])]).await;
    store.cache.objects.put_tree(&root, &from).await.unwrap();
    contents.sources.push(Tree::new("src", "", &root, true));
    for step in steps {
        store.cache.all_actions.put(&action(step), &conformance::result(step)).await.unwrap();
        contents.results.push(StepResult::new(step, &action(step)));
    }
    let layer = dir.join("layer");
    std::fs::write(&layer, vec![3; 700]).unwrap();
    let layer_name = BlobName::of(&[3; 700]);
    let part = FilePart { file: layer.clone(), offset: 0, size: 700 };
    let config = b"{}";
    let manifest = format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"c","digest":"{}","size":2}},
            "layers":[{{"mediaType":"l","digest":"{layer_name}","size":700}}]}}"#,
        BlobName::of(config)
    );
    let image = Image { reference: "debian:12".to_owned(), manifest: BlobName::of(manifest.as_bytes()) };
    writer.add_image(image, [manifest.as_bytes(), config], &[(layer_name, part)]).unwrap();
    writer.add_program(&layer).unwrap();
    writer.finish(contents, &[key(1)]).unwrap();
    path
}

fn open(path: &Path, bases: &[PathBuf]) -> Result<Bundle, BundleError> {
    let bundle = Bundle::open(path, bases)?;
    bundle.verify(&mut |_| {})?;
    Ok(bundle)
}

#[tokio::test]
async fn what_is_written_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "app.bundle", None, &["build", "test"]).await;
    let bundle = Arc::new(open(&path, &[]).unwrap());
    assert_eq!(bundle.signers(), [key(1).public()]);
    let contents = bundle.contents();
    assert_eq!(bundle.file(&contents.files[0]).unwrap(), b"cullet: 1\n");
    let names: Vec<_> = contents.results.iter().map(|result| &*result.step).collect();
    assert_eq!(names, ["build", "test"]);
    let store = kept(bundle.objects(), true);
    for result in &contents.results {
        let found = store.cache.all_actions.get(&result.key().unwrap()).await.unwrap();
        assert_eq!(found, Some(conformance::result(&result.step)));
    }
    assert_eq!(store.cache.all_actions.get(&action("other")).await.unwrap(), None);
    let root = contents.sources[0].digest().unwrap();
    let tree = store.cache.objects.tree(&root).await.unwrap().unwrap();
    assert_eq!(tree.directories().len(), 1);
    let file = store.cache.blobs.get(&FUNCTION.digest(&[7; 5000])).await.unwrap();
    assert_eq!(file.into_bytes().unwrap(), vec![7; 5000]);
    let layer = bundle.find(&BlobName::of(&[3; 700])).unwrap();
    assert_eq!(BlobName::read(layer.reader().unwrap()).unwrap(), BlobName::of(&[3; 700]));
    // Nothing is left beside it, and other programs may read it.
    let left: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[tokio::test]
async fn the_same_is_the_same_file() {
    let dir = tempfile::tempdir().unwrap();
    let first = write(dir.path(), "a", None, &["build"]).await;
    let second = write(dir.path(), "b", None, &["build"]).await;
    assert!(std::fs::read(first).unwrap() == std::fs::read(second).unwrap());
}

#[tokio::test]
async fn no_byte_of_it_can_change() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "app.bundle", None, &["build"]).await;
    let sound = std::fs::read(&path).unwrap();
    let changed = dir.path().join("changed");
    // Every byte of text and headers, and some of what is long.
    for at in (0..sound.len()).step_by(3) {
        let mut bytes = sound.clone();
        bytes[at] ^= 1 << (at % 8);
        std::fs::write(&changed, bytes).unwrap();
        let Err(error) = open(&changed, &[]) else { panic!("byte {at} changed and nobody saw it") };
        assert!(matches!(error, BundleError::Entry { .. } | BundleError::Form { .. }), "{at}: {error:?}");
    }
    for len in (0..sound.len()).step_by(512).chain([1, sound.len() - 1]) {
        std::fs::write(&changed, &sound[..len]).unwrap();
        assert!(open(&changed, &[]).is_err(), "cut off after {len} bytes");
    }
    std::fs::write(&changed, [&*sound, &[0; 512]].concat()).unwrap();
    assert!(open(&changed, &[]).is_err(), "longer");
}

#[tokio::test]
async fn the_entry_that_is_damaged_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "app.bundle", None, &["build"]).await;
    let bundle = open(&path, &[]).unwrap();
    let damaged = |digest: &BlobName, what: &str| {
        let part = bundle.find(digest).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[usize::try_from(part.offset).unwrap()] ^= 0x20;
        let changed = dir.path().join("changed");
        std::fs::write(&changed, bytes).unwrap();
        let error = open(&changed, &[]).unwrap_err().to_string();
        let expected = format!("changed: the entry blobs/sha256/{} ({what}) has other bytes", digest.hex());
        assert!(error.contains(&expected), "{error}");
    };
    damaged(&bundle.contents().files[0].blob, "p.yaml");
    damaged(&BlobName::of(&[3; 700]), "layer 1 of debian:12");
    let name = RecordName::new(Area::Result, action("build")).to_string();
    damaged(&bundle.contents().records[&name].0, &format!("the record {name}"));
}

/// A tar with these entries besides those of a bundle.
fn with_entries(path: &Path, to: &Path, extra: &[(&str, &[u8])]) {
    let bytes = std::fs::read(path).unwrap();
    let mut tar = tar::Builder::new(bytes[..bytes.len() - 1024].to_vec());
    for (name, bytes) in extra {
        tar.append(&archive::header(name, bytes.len() as u64).unwrap(), *bytes).unwrap();
    }
    std::fs::write(to, tar.into_inner().unwrap()).unwrap();
}

#[tokio::test]
async fn what_nobody_named_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "app.bundle", None, &["build"]).await;
    let changed = dir.path().join("changed");
    let stray = archive::entry_of(&BlobName::of(b"stray"));
    for (entry, why) in [
        ("etc/passwd", "has a name that nothing in a bundle has"),
        ("blobs/sha256/xyz", "has a name that nothing in a bundle has"),
        ("index.json", "is there twice"),
        (&*stray, "is named by nothing in the bundle"),
    ] {
        with_entries(&path, &changed, &[(entry, b"stray")]);
        let error = open(&changed, &[]).unwrap_err().to_string();
        assert!(error.contains(entry) && error.contains(why), "{error}");
    }
    with_entries(&path, &changed, &[]);
    assert!(open(&changed, &[]).is_ok());
}

#[tokio::test]
async fn only_who_is_trusted_is_believed() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "app.bundle", None, &["build"]).await;
    let bundle = open(&path, &[]).unwrap();
    bundle.refuse_strangers(&[key(2).public(), key(1).public()]).unwrap();
    let error = bundle.refuse_strangers(&[key(2).public()]).unwrap_err().to_string();
    assert!(error.contains(&key(1).public().to_string()), "{error}");
    // Another manifest has another digest, of which the signature is none.
    let [text, other] = [key(1), key(2)].map(|key| signature::annotation(&key, &BlobName::of(b"another")));
    for (name, value) in [(&text.0, &text.1), (&text.0, &other.1)] {
        let annotations = [(name.clone(), value.clone())].into();
        assert_eq!(signature::signers(&annotations, &bundle.digest()).unwrap_err(), *name);
    }
}

#[tokio::test]
async fn a_bundle_continues_another() {
    let dir = tempfile::tempdir().unwrap();
    let first = write(dir.path(), "1", None, &["build"]).await;
    let base = Arc::new(open(&first, &[]).unwrap());
    let second = write(dir.path(), "2", Some(base.clone()), &["build", "test"]).await;
    let both = Arc::new(open(&second, std::slice::from_ref(&first)).unwrap());
    let third = write(dir.path(), "3", Some(both.clone()), &["test", "lint"]).await;
    // Found wherever they are given, and whatever else is.
    let all = Arc::new(open(&third, &[first.clone(), second.clone()]).unwrap());
    assert!(open(&third, &[second.clone(), first.clone()]).is_ok());

    let store = kept(all.objects(), true);
    for step in ["build", "test", "lint"] {
        let found = store.cache.all_actions.get(&action(step)).await.unwrap();
        assert_eq!(found, Some(conformance::result(step)), "{step}");
    }
    assert_eq!(all.file(&all.contents().files[0]).unwrap(), b"cullet: 1\n");
    // The layer of the image is there once.
    let layer = BlobName::of(&[3; 700]);
    assert!(all.find(&layer).is_some() && all.archive.blob(&layer).is_none());

    for bases in [vec![], vec![first.clone()], vec![second.clone()]] {
        assert!(matches!(open(&third, &bases), Err(BundleError::Base { .. })));
    }
    // One that is damaged shows with those that continue it.
    let mut bytes = std::fs::read(&first).unwrap();
    let part = base.find(&layer).unwrap();
    bytes[usize::try_from(part.offset).unwrap()] ^= 1;
    std::fs::write(&first, bytes).unwrap();
    let error = open(&third, &[first, second]).unwrap_err().to_string();
    assert!(error.contains("layer 1 of debian:12"), "{error}");
}

#[tokio::test]
async fn a_bundle_that_is_not_finished_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.bundle");
    let writer = BundleWriter::create(&path, None).unwrap();
    writer.add_file("a", b"bytes").unwrap();
    drop(writer);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    let layer = dir.path().join("layer");
    std::fs::write(&layer, b"damaged").unwrap();
    let writer = BundleWriter::create(&path, None).unwrap();
    let image = Image { reference: "debian:12".to_owned(), manifest: BlobName::of(b"{}") };
    let part = FilePart { file: layer, offset: 0, size: 7 };
    let refused = writer.add_image(image, [b"{}", b"{}"], &[(BlobName::of(b"sound"), part)]).unwrap_err();
    assert!(refused.to_string().contains("a layer of debian:12"), "{refused}");
}
