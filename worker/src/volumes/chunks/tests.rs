use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cullet_cache::{Blob, BlobStore as _, MemoryStore, StoreError};
use cullet_digest::Digest;
use tokio::runtime::Runtime;

use super::manifest::{Attributes, Chunk, Entry, Pack, What};
use super::*;

const MOST: u64 = 1 << 32;

struct Fixture {
    dir: tempfile::TempDir,
    blobs: MemoryStore,
    runtime: Runtime,
}

/// What was stored, and how many bytes were sent for it.
#[derive(Debug)]
struct Stored {
    manifest: Manifest,
    digest: Digest,
    sent: u64,
}

impl Fixture {
    fn new() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
        Self { dir: tempfile::tempdir().unwrap(), blobs: MemoryStore::new(1 << 32), runtime }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn way<'a>(&'a self, blobs: &'a dyn cullet_cache::BlobStore) -> Way<'a> {
        Way::new(blobs, self.runtime.handle(), Duration::from_secs(20))
    }

    fn layers(&self, layers: &[&str]) -> Vec<PathBuf> {
        layers.iter().map(|layer| self.path(layer)).collect()
    }

    /// None where it is the same as an earlier version.
    fn store(&self, layers: &[&str], earlier: Option<&Manifest>) -> Option<Stored> {
        let scanned = scan(&self.layers(layers), MOST, &self.way(&self.blobs)).unwrap();
        let (digest, manifest, sent) = plan(&scanned, earlier)?.send(&self.way(&self.blobs)).unwrap();
        Some(Stored { manifest, digest, sent })
    }

    fn restore_with(
        &self,
        manifest: &Manifest,
        local: Option<&Local>,
        target: &str,
    ) -> Result<u64, ChunkError> {
        restore(manifest, local, &self.way(&self.blobs), &self.path(target), (None, MOST))
    }

    fn restore(&self, digest: &Digest, target: &str) -> Result<u64, ChunkError> {
        self.restore_with(&read(&self.way(&self.blobs), digest)?, None, target)
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
    mode("one/d/exact", 0o444);
    mode("one/d", 0o700);
    let then = std::time::SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
    for path in ["one/small", "one/d/e", "one/d"] {
        File::open(fixture.path(path)).unwrap().set_modified(then).unwrap();
    }
    let stored = fixture.store(&["one"], None).unwrap();
    assert!(fixture.store(&["one"], Some(&stored.manifest)).is_none(), "the same");
    let fetched = fixture.restore(&stored.digest, "again").unwrap();
    assert_eq!(tree(&fixture.path("again")), tree(&fixture.path("one")));
    assert_eq!(fetched, (3 << 20) + LEAST_CHUNK as u64 + 5);
    assert!(fixture.store(&["again"], Some(&stored.manifest)).is_none(), "what was restored is the same");
    mode("one/small", 0o755);
    let other = fixture.store(&["one"], Some(&stored.manifest)).unwrap();
    assert_eq!(other.sent, other.digest.size(), "only what says so");
    fixture.write("two/small", b"other");
    fixture.restore(&fixture.store(&["two", "one"], None).unwrap().digest, "both").unwrap();
    assert_eq!(fs::read(fixture.path("both/small")).unwrap(), b"other");
    assert_eq!(tree(&fixture.path("both")).len(), 8);
}

#[test]
fn a_mebibyte_changed_in_the_middle_adds_few_chunks() {
    let fixture = Fixture::new();
    let size = 64 << 20;
    fixture.write("v/large", &noise(1, size));
    let first = fixture.store(&["v"], None).unwrap();
    assert!(first.sent > size as u64 && first.manifest.packs.len() <= 20, "{}", first.manifest.packs.len());
    let file = File::options().write(true).open(fixture.path("v/large")).unwrap();
    file.write_all_at(&noise(2, 1 << 20), size as u64 / 2).unwrap();
    let second = fixture.store(&["v"], Some(&first.manifest)).unwrap();
    assert!(((1 << 20)..(4 << 20)).contains(&second.sent), "{}", second.sent);
    // One byte more at the beginning moves everything.
    let moved = [b"x", &fs::read(fixture.path("v/large")).unwrap()[..]].concat();
    fs::write(fixture.path("v/large"), moved).unwrap();
    let third = fixture.store(&["v"], Some(&second.manifest)).unwrap();
    assert!(third.sent < 2 << 20, "{}", third.sent);
    fixture.restore(&third.digest, "again").unwrap();
    assert_eq!(tree(&fixture.path("again")), tree(&fixture.path("v")));
}

/// The figure of the documentation: a volume of 200 MiB in thousands of files, of which one in a hundred changes.
#[test]
fn of_many_files_those_that_changed_are_sent_and_fetched() {
    let fixture = Fixture::new();
    let (files, size) = (5_000, 40 << 10);
    for number in 0..files {
        fixture.write(&format!("v/d{}/f{number}", number % 50), &noise(number, size));
    }
    let all = files * size as u64;
    let first = fixture.store(&["v"], None).unwrap();
    assert!(first.sent < all + all / 100, "{}", first.sent);
    assert!(first.manifest.packs.len() as u64 <= all / (3 << 20), "{}", first.manifest.packs.len());
    assert_eq!(fixture.restore(&first.digest, "here").unwrap(), all);
    for number in (0..files).step_by(100) {
        fixture.write(&format!("v/d{}/f{number}", number % 50), &noise(files + number, size));
    }
    let second = fixture.store(&["v"], Some(&first.manifest)).unwrap();
    let local = Local::open(&fixture.layers(&["here"]), &first.manifest).unwrap();
    let fetched = fixture.restore_with(&second.manifest, Some(&local), "next").unwrap();
    println!(
        "of {all} bytes: {} sent, {fetched} fetched and a manifest of {}",
        second.sent,
        second.digest.size()
    );
    assert!(second.sent < all * 2 / 100, "{}", second.sent);
    assert_eq!(fetched, all / 100);
    assert_eq!(tree(&fixture.path("next")), tree(&fixture.path("v")));
    let inode = |path: &str| fs::metadata(fixture.path(path)).unwrap().ino();
    assert_eq!(inode("next/d1/f1"), inode("here/d1/f1"), "what did not change is not copied");
}

#[test]
fn a_file_that_moved_or_changed_in_part_is_made_of_what_is_here() {
    let fixture = Fixture::new();
    fixture.write("v/large", &noise(1, 16 << 20));
    let first = fixture.store(&["v"], None).unwrap();
    fixture.restore(&first.digest, "here").unwrap();
    fs::rename(fixture.path("v/large"), fixture.path("v/moved")).unwrap();
    let second = fixture.store(&["v"], Some(&first.manifest)).unwrap();
    let local = Local::open(&fixture.layers(&["here"]), &first.manifest).unwrap();
    assert_eq!(fixture.restore_with(&second.manifest, Some(&local), "next").unwrap(), 0);
    assert_eq!(tree(&fixture.path("next")), tree(&fixture.path("v")));
    // What is here was damaged meanwhile: then it comes from the store.
    File::options()
        .write(true)
        .open(fixture.path("here/large"))
        .unwrap()
        .write_all_at(&[0; 4096], 1 << 20)
        .unwrap();
    assert!(fixture.restore_with(&second.manifest, Some(&local), "again").unwrap() > 0);
    assert_eq!(tree(&fixture.path("again")), tree(&fixture.path("v")));
}

/// Gives other bytes for one blob, or never any.
#[derive(Debug)]
struct Lying<'a>(&'a MemoryStore, Digest, Option<&'static [u8]>);

#[async_trait::async_trait]
impl cullet_cache::BlobStore for Lying<'_> {
    async fn find_missing(&self, digests: &[Digest]) -> Result<Vec<Digest>, StoreError> {
        self.0.find_missing(digests).await
    }

    async fn get(&self, digest: &Digest) -> Result<Blob, StoreError> {
        match self.2 {
            _ if *digest != self.1 => self.0.get(digest).await,
            Some(bytes) => Ok(Blob::from(bytes.to_vec())),
            None => std::future::pending().await,
        }
    }

    async fn put(&self, digest: &Digest, blob: Blob) -> Result<(), StoreError> {
        self.0.put(digest, blob).await
    }
}

#[test]
fn a_lost_or_damaged_pack_is_an_error_and_so_is_too_much() {
    let fixture = Fixture::new();
    fixture.write("v/a", b"content");
    let Stored { manifest, digest, .. } = fixture.store(&["v"], None).unwrap();
    let pack = manifest.packs().next().unwrap();
    let refused = |blobs: &dyn cullet_cache::BlobStore, patience, target: &str| {
        let way = Way::new(blobs, fixture.runtime.handle(), patience);
        restore(&manifest, None, &way, &fixture.path(target), (None, MOST))
    };
    let patience = Duration::from_secs(20);
    for (bytes, target) in [(&b"CONTENT"[..], "other"), (b"CONTENT and more", "longer")] {
        let found = refused(&Lying(&fixture.blobs, pack, Some(bytes)), patience, target);
        assert!(matches!(found, Err(ChunkError::Store(_))), "{found:?}");
    }
    let slow = refused(&Lying(&fixture.blobs, pack, None), Duration::from_millis(50), "slow");
    assert!(matches!(slow, Err(ChunkError::TooSlow(_))), "{slow:?}");
    let large = restore(&manifest, None, &fixture.way(&fixture.blobs), &fixture.path("much"), (None, 8192));
    assert!(matches!(large, Err(ChunkError::TooLarge(8192))), "{large:?}");
    assert!(!fixture.path("much").exists(), "that is known before anything is made");
    let scanned = |most, way: &Way<'_>| scan(&fixture.layers(&["v"]), most, way).map(drop);
    assert!(matches!(scanned(6, &fixture.way(&fixture.blobs)), Err(ChunkError::TooLarge(_))));
    let no_time = Way::new(&fixture.blobs, fixture.runtime.handle(), Duration::ZERO);
    assert!(matches!(scanned(MOST, &no_time), Err(ChunkError::TooSlow(0))));
    fixture.blobs.remove(&pack);
    let lost = fixture.restore(&digest, "lost");
    assert!(matches!(lost, Err(ChunkError::Store(StoreError::NotFound { .. }))), "{lost:?}");
    // Who has it here sends it again.
    fixture.write("v/b", b"more");
    let mended = fixture.store(&["v"], Some(&manifest)).unwrap();
    fixture.restore(&mended.digest, "mended").unwrap();
    assert_eq!(tree(&fixture.path("mended")), tree(&fixture.path("v")));
}

#[test]
fn a_chunk_that_is_not_what_the_manifest_says_is_an_error() {
    let fixture = Fixture::new();
    fixture.write("v/a", b"content");
    let Manifest { entries, .. } = fixture.store(&["v"], None).unwrap().manifest;
    let packs = vec![Pack::of(b"content", vec![Chunk { bytes: 7, ..Chunk::of(b"other") }])];
    let feigned = Manifest::new(entries, packs);
    let refused = fixture.restore_with(&feigned, None, "t");
    assert!(matches!(refused, Err(ChunkError::Store(StoreError::Mismatch { .. }))), "{refused:?}");
}

#[test]
fn a_manifest_leads_nowhere_else() {
    let fixture = Fixture::new();
    let stat = rustix::fs::stat(fixture.dir.path()).unwrap();
    let attributes = Attributes::of(&stat);
    let entry = |path: &str, what| Entry { path: path.as_bytes().to_vec(), what };
    let put = |entries, packs| {
        let (digest, bytes) = Manifest::new(entries, packs).encode().unwrap();
        fixture.runtime.block_on(fixture.blobs.put(&digest, Blob::from(bytes))).unwrap();
        digest
    };
    let file = |chunks: &[u32]| What::File(attributes, chunks.to_vec());
    let top = || entry("", What::Directory(attributes));
    for path in ["../out", "/out", "a/../../out", "a//b", "."] {
        let manifest = put(vec![top(), entry(path, file(&[]))], vec![]);
        let refused = fixture.restore(&manifest, "t");
        assert!(matches!(refused, Err(ChunkError::Manifest(_))), "{path}: {refused:?}");
    }
    let pack = |bytes| Pack::of(b"x", vec![Chunk { bytes, ..Chunk::of(b"x") }]);
    for packs in [vec![], vec![Pack::of(b"", vec![])], vec![pack(0)], vec![pack(MOST_CHUNK as u32 + 1)]] {
        let refused = fixture.restore(&put(vec![top(), entry("a", file(&[0]))], packs), "t");
        assert!(matches!(refused, Err(ChunkError::Manifest(_))), "{refused:?}");
    }
    let outside = fixture.path("outside");
    fs::create_dir(&outside).unwrap();
    let link = entry("link", What::Symlink(outside.display().to_string().into_bytes()));
    let through = vec![top(), link, entry("link/out", file(&[]))];
    assert!(matches!(fixture.restore(&put(through, vec![]), "u"), Err(ChunkError::Io { .. })));
    let twice = vec![top(), entry("a", file(&[])), entry("a", file(&[]))];
    assert!(matches!(fixture.restore(&put(twice, vec![]), "w"), Err(ChunkError::Io { .. })));
    assert!(fs::read_dir(&outside).unwrap().next().is_none() && !fixture.path("out").exists());
    assert!(matches!(fixture.restore(&FUNCTION.digest(b"none"), "x"), Err(ChunkError::Store(_))));
}
