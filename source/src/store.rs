//! Where snapshots are kept: a directory with one file per source.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use cullet_digest::{DigestFunction, Hasher};

use crate::SourceSpec;
use crate::codec;
use crate::snapshot::Snapshot;

/// A source that nobody scanned for so long is forgotten.
const KEEP: Duration = Duration::from_secs(30 * 24 * 3600);
/// How old a file's use may look before it is noted again: often enough for [`KEEP`], seldom enough to cost
/// nothing.
const TOUCH: Duration = Duration::from_secs(24 * 3600);
/// A temporary file that old belongs to a process that was killed.
const STALE: Duration = Duration::from_secs(3600);
/// More sources than anyone works on within a month; the longest unused go first.
const MAX_FILES: usize = 256;
/// The files together: 256 MiB hold the snapshots of two million files.
const MAX_BYTES: u64 = 256 << 20;

const SUFFIX: &str = "sources";
const TEMPORARY: &str = ".new-";

/// The directory of snapshots. Any number of processes may use it: a file is replaced as a whole, and the last
/// one to write wins, which costs the others some hashing at most.
#[derive(Debug)]
pub(crate) struct Store {
    directory: PathBuf,
    function: DigestFunction,
}

/// The file of one source.
#[derive(Debug)]
pub(crate) struct Slot {
    path: PathBuf,
    /// What the names of all files for the same directory start with, whatever the globs.
    family: String,
    root: Vec<u8>,
}

impl Slot {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Store {
    pub(crate) const fn new(directory: PathBuf, function: DigestFunction) -> Self {
        Self { directory, function }
    }

    /// The file for `spec`, whose root really is at `root`.
    pub(crate) fn slot(&self, root: &Path, spec: &SourceSpec) -> Slot {
        let root = root.as_os_str().as_bytes().to_vec();
        let family = short_hash([b"root".as_slice(), self.function.name().as_bytes(), &root].into_iter());
        let globs =
            |list: &[String]| list.iter().map(|glob| format!("{}:{glob}", glob.len())).collect::<String>();
        let (include, exclude) = (globs(&spec.include), globs(&spec.exclude));
        let own = short_hash([include.as_bytes(), b"\0", exclude.as_bytes()].into_iter());
        Slot { path: self.directory.join(format!("{family}-{own}.{SUFFIX}")), family, root }
    }

    /// The snapshot of this source, or the latest of the same directory with other globs, whose files are
    /// mostly the same. Whatever cannot be read is as if it were not there. The flag says that it is its own.
    pub(crate) fn load(&self, slot: &Slot) -> Option<(Snapshot, bool)> {
        if let Some(snapshot) = self.read(&slot.path, slot) {
            note_use(&slot.path);
            return Some((snapshot, true));
        }
        let mut siblings: Vec<_> =
            list(&self.directory).filter(|file| file.name.starts_with(&slot.family)).collect();
        siblings.sort_by_key(|file| std::cmp::Reverse(file.used));
        siblings.iter().find_map(|file| self.read(&file.path, slot)).map(|snapshot| (snapshot, false))
    }

    fn read(&self, path: &Path, slot: &Slot) -> Option<Snapshot> {
        codec::decode(&fs::read(path).ok()?, &slot.root, self.function)
    }

    /// Replaces the file of a source, and forgets what is old.
    pub(crate) fn save(&self, slot: &Slot, snapshot: &Snapshot) -> io::Result<()> {
        let bytes = codec::encode(snapshot, &slot.root).ok_or_else(|| {
            io::Error::new(io::ErrorKind::FileTooLarge, "the tree is too large for the stat cache")
        })?;
        fs::create_dir_all(&self.directory)?;
        replace(&self.directory, &slot.path, &bytes)?;
        self.forget_old(&slot.path);
        Ok(())
    }

    /// Forgetting is best effort: what cannot be removed now is tried at the next write.
    fn forget_old(&self, just_written: &Path) {
        let now = SystemTime::now();
        let mut files: Vec<_> = list(&self.directory).collect();
        files.sort_by_key(|file| std::cmp::Reverse(file.used));
        let (mut count, mut bytes) = (0, 0);
        for file in files.iter().filter(|file| file.path != just_written) {
            let unused = now.duration_since(file.used).unwrap_or_default();
            let temporary = file.name.starts_with(TEMPORARY);
            if !temporary {
                count += 1;
                bytes += file.bytes;
            }
            let too_old = unused > if temporary { STALE } else { KEEP };
            if too_old || count >= MAX_FILES || bytes > MAX_BYTES {
                let _ = fs::remove_file(&file.path);
            }
        }
    }
}

/// Writes `bytes` to `path` so that a reader, or a crash at any moment, finds the old file or the new one. Not
/// synced: after a power cut the file may be torn, and its checksum then says so.
pub(crate) fn replace(directory: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let temporary = directory.join(format!("{TEMPORARY}{}-{number}", std::process::id()));
    let written = fs::File::create(&temporary)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

struct Kept {
    path: PathBuf,
    name: String,
    used: SystemTime,
    bytes: u64,
}

/// Our files in the directory; files of others in it are left alone.
fn list(directory: &Path) -> impl Iterator<Item = Kept> {
    let suffix = format!(".{SUFFIX}");
    fs::read_dir(directory).into_iter().flatten().filter_map(move |item| {
        let item = item.ok()?;
        let name = item.file_name().into_string().ok()?;
        let ours = name.ends_with(&suffix) || name.starts_with(TEMPORARY);
        let meta = ours.then(|| item.metadata().ok()).flatten()?;
        Some(Kept { path: item.path(), name, used: meta.modified().ok()?, bytes: meta.len() })
    })
}

/// The mtime of a snapshot is when it was last used.
fn note_use(path: &Path) {
    let now = SystemTime::now();
    let Ok(file) = fs::File::open(path) else { return };
    let used = file.metadata().and_then(|meta| meta.modified());
    if used.is_ok_and(|used| now.duration_since(used).is_ok_and(|age| age > TOUCH)) {
        // Of a read-only cache nothing is forgotten either.
        let _ = file.set_modified(now);
    }
}

fn short_hash<'a>(parts: impl Iterator<Item = &'a [u8]>) -> String {
    let mut hasher = Hasher::new(DigestFunction::Blake3);
    for part in parts {
        hasher.update(part);
    }
    hasher.finish().hash_hex()[..24].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> Snapshot {
        let record = crate::snapshot::Record {
            subdirs: 0..0,
            entries: 0..0,
            first_child: 1,
            rules: [0; 16],
            hash: [0; 32],
            size: 0,
        };
        let function = DigestFunction::Blake3;
        Snapshot { function, text: String::new(), subdirs: vec![], entries: vec![], dirs: vec![record] }
    }

    fn with_exclude(glob: &str) -> SourceSpec {
        SourceSpec { exclude: vec![glob.to_owned()], ..SourceSpec::new("/x") }
    }

    #[test]
    fn a_new_set_of_globs_starts_from_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path().join("stat"), DigestFunction::Blake3);
        let (old, new) = (
            store.slot(Path::new("/x"), &with_exclude("a")),
            store.slot(Path::new("/x"), &with_exclude("b")),
        );
        assert!(store.load(&old).is_none());
        store.save(&old, &snapshot()).unwrap();
        assert!(store.load(&old).unwrap().1);
        assert!(!store.load(&new).unwrap().1);
        assert!(store.load(&store.slot(Path::new("/y"), &with_exclude("a"))).is_none());
    }

    #[test]
    fn what_nobody_used_for_a_month_goes_and_strangers_stay() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path().to_owned(), DigestFunction::Blake3);
        let old = store.slot(Path::new("/old"), &with_exclude("a"));
        store.save(&old, &snapshot()).unwrap();
        let leftover = dir.path().join(".new-1-1");
        let stranger = dir.path().join("notes.txt");
        for path in [old.path(), &leftover, &stranger] {
            let file = fs::File::options().create(true).append(true).open(path).unwrap();
            file.set_modified(SystemTime::now() - KEEP - TOUCH).unwrap();
        }
        let new = store.slot(Path::new("/new"), &with_exclude("a"));
        store.save(&new, &snapshot()).unwrap();
        assert!(!old.path().exists() && !leftover.exists());
        assert!(new.path().exists() && stranger.exists());
    }

    #[test]
    fn using_a_snapshot_keeps_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path().to_owned(), DigestFunction::Blake3);
        let slot = store.slot(Path::new("/x"), &with_exclude("a"));
        store.save(&slot, &snapshot()).unwrap();
        let file = fs::File::options().append(true).open(slot.path()).unwrap();
        file.set_modified(SystemTime::now() - KEEP).unwrap();
        store.load(&slot).unwrap();
        let age = SystemTime::now().duration_since(file.metadata().unwrap().modified().unwrap()).unwrap();
        assert!(age < TOUCH);
    }
}
