use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use cullet_cache::{Blob, BlobStore as _, MemoryStore, StoreError};
use cullet_digest::Digest;
use tokio::runtime::Runtime;

use super::manifest::{Attributes, Entry, Manifest, What};
use super::*;

struct Fixture {
    dir: tempfile::TempDir,
    blobs: MemoryStore,
    runtime: Runtime,
}

impl Fixture {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        Self { dir: tempfile::tempdir().unwrap(), blobs: MemoryStore::new(1 << 32), runtime }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn store(&self, layers: &[&str]) -> Stored {
        let layers: Vec<PathBuf> = layers.iter().map(|layer| self.path(layer)).collect();
        store(&layers, &self.blobs, self.runtime.handle()).unwrap()
    }

    fn restore(&self, manifest: &Digest, target: &str) -> Result<Restored, ChunkError> {
        restore(manifest, (&self.blobs, self.runtime.handle()), &self.path(target), None, 1 << 32)
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// Bytes that no chunk has twice.
fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..count).map(|_| random.u8(..)).collect()
}

/// Every name with its kind, mode, time and content.
fn tree(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut pending = vec![dir.to_owned()];
    while let Some(path) = pending.pop() {
        let stat = fs::symlink_metadata(&path).unwrap();
        let name = path.strip_prefix(dir).unwrap().display().to_string();
        let (mode, time) = (stat.mode(), (stat.mtime(), stat.mtime_nsec()));
        found.push(if stat.is_dir() {
            pending.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            format!("{name} {mode:o} {time:?}")
        } else if stat.is_symlink() {
            format!("{name} -> {}", fs::read_link(&path).unwrap().display())
        } else {
            format!("{name} {mode:o} {time:?} {}", FUNCTION.digest(&fs::read(&path).unwrap()).hash_hex())
        });
    }
    found.sort();
    found
}

#[test]
fn what_comes_back_is_what_was_stored() {
    let fixture = Fixture::new();
    fixture.write("one/small", b"small");
    fixture.write("one/empty", b"");
    fixture.write("one/d/e/large", &noise(1, 3 << 20));
    fixture.write("one/d/exact", &noise(2, LEAST_CHUNK));
    symlink("../nowhere", fixture.path("one/d/link")).unwrap();
    let mode = |path: &str, mode| {
        fs::set_permissions(fixture.path(path), std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    };
    mode("one/small", 0o751);
    mode("one/d", 0o700);
    let then = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::new(1_000_000_000, 123_456_789);
    for path in ["one/small", "one/d/e", "one/d"] {
        File::open(fixture.path(path)).unwrap().set_modified(then).unwrap();
    }
    let stored = fixture.store(&["one"]);
    assert_eq!(stored, fixture.store(&["one"]).with_new(stored.new_chunks));
    let restored = fixture.restore(&stored.manifest, "again").unwrap();
    assert_eq!(tree(&fixture.path("again")), tree(&fixture.path("one")));
    assert_eq!(restored.entries, 8);
    fixture.write("two/small", b"other");
    fixture.restore(&fixture.store(&["two", "one"]).manifest, "both").unwrap();
    assert_eq!(fs::read(fixture.path("both/small")).unwrap(), b"other");
    assert_eq!(tree(&fixture.path("both")).len(), 8);
}

impl Stored {
    fn with_new(self, new_chunks: u64) -> Self {
        Self { new_chunks, ..self }
    }
}

#[test]
fn a_mebibyte_changed_in_the_middle_adds_few_chunks() {
    let fixture = Fixture::new();
    let size = 64 << 20;
    fixture.write("v/large", &noise(1, size));
    let first = fixture.store(&["v"]);
    assert!((128..1024).contains(&first.chunks), "{first:?}");
    let file = File::options().write(true).open(fixture.path("v/large")).unwrap();
    file.write_all_at(&noise(2, 1 << 20), size as u64 / 2).unwrap();
    let second = fixture.store(&["v"]);
    assert!((1..=20).contains(&second.new_chunks), "{second:?}");
    // One byte more at the beginning moves everything.
    let moved = [b"x", &fs::read(fixture.path("v/large")).unwrap()[..]].concat();
    fs::write(fixture.path("v/large"), moved).unwrap();
    assert!(fixture.store(&["v"]).new_chunks <= 3);
    assert_eq!(fixture.store(&["v"]).new_chunks, 0);
}

/// Gives other bytes for one blob.
#[derive(Debug)]
struct Lying<'a>(&'a MemoryStore, Digest);

#[async_trait::async_trait]
impl cullet_cache::BlobStore for Lying<'_> {
    async fn find_missing(&self, digests: &[Digest]) -> Result<Vec<Digest>, StoreError> {
        self.0.find_missing(digests).await
    }

    async fn get(&self, digest: &Digest) -> Result<Blob, StoreError> {
        if *digest == self.1 { Ok(Blob::from(b"CONTENT".to_vec())) } else { self.0.get(digest).await }
    }

    async fn put(&self, digest: &Digest, blob: Blob) -> Result<(), StoreError> {
        self.0.put(digest, blob).await
    }
}

#[test]
fn a_lost_or_damaged_chunk_is_an_error_and_so_is_too_much() {
    let fixture = Fixture::new();
    fixture.write("v/a", b"content");
    let manifest = fixture.store(&["v"]).manifest;
    let chunk = FUNCTION.digest(b"content");
    let lying = Lying(&fixture.blobs, chunk);
    let refused = restore(&manifest, (&lying, fixture.runtime.handle()), &fixture.path("bad"), None, 1 << 32);
    assert!(matches!(refused, Err(ChunkError::Store(StoreError::Mismatch { .. }))), "{refused:?}");
    fixture.blobs.remove(&chunk);
    let refused = fixture.restore(&manifest, "lost");
    assert!(matches!(refused, Err(ChunkError::Store(StoreError::NotFound { .. }))), "{refused:?}");
    fixture.store(&["v"]);
    let blobs = (&fixture.blobs as &dyn cullet_cache::BlobStore, fixture.runtime.handle());
    let refused = restore(&manifest, blobs, &fixture.path("much"), None, 8192);
    assert!(matches!(refused, Err(ChunkError::TooLarge(8192))), "{refused:?}");
}

#[test]
fn a_manifest_leads_nowhere_else() {
    let fixture = Fixture::new();
    let stat = rustix::fs::stat(fixture.dir.path()).unwrap();
    let attributes = Attributes::of(&stat);
    let entry = |path: &str, what| Entry { path: path.as_bytes().to_vec(), what };
    let put = |entries| {
        let bytes = Manifest::new(entries).encode().unwrap();
        let digest = FUNCTION.digest(&bytes);
        fixture.runtime.block_on(fixture.blobs.put(&digest, Blob::from(bytes))).unwrap();
        digest
    };
    let file = || What::File(attributes, Vec::new());
    for path in ["../out", "/out", "a/../../out", "a//b", "."] {
        let manifest = put(vec![entry("", What::Directory(attributes)), entry(path, file())]);
        let refused = fixture.restore(&manifest, "t");
        assert!(matches!(refused, Err(ChunkError::Manifest(_))), "{path}: {refused:?}");
    }
    let outside = fixture.path("outside");
    fs::create_dir(&outside).unwrap();
    let link = entry("link", What::Symlink(outside.display().to_string().into_bytes()));
    let through = vec![entry("", What::Directory(attributes)), link, entry("link/out", file())];
    assert!(matches!(fixture.restore(&put(through), "u"), Err(ChunkError::Io { .. })));
    let twice = vec![entry("", What::Directory(attributes)), entry("a", file()), entry("a", file())];
    assert!(matches!(fixture.restore(&put(twice), "w"), Err(ChunkError::Io { .. })));
    assert!(fs::read_dir(&outside).unwrap().next().is_none() && !fixture.path("out").exists());
    assert!(matches!(fixture.restore(&FUNCTION.digest(b"none"), "x"), Err(ChunkError::Store(_))));
}
