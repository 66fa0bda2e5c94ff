//! The entries of a bundle's file, found without reading them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use cullet_image::{Digest as BlobName, FilePart};

use crate::BundleError;

pub(crate) const LAYOUT: &str = "oci-layout";
pub(crate) const INDEX: &str = "index.json";
pub(crate) const PROGRAM: &str = "bin/cullet";
pub(crate) const BLOBS: &str = "blobs/sha256/";

/// The most entries: a hundred bytes of memory for each.
const MOST: usize = 4 << 20;

/// Entries begin at multiples of this many bytes.
const BLOCK: u64 = 512;

/// The most bytes of a document: a manifest names half a million blobs with that.
pub(crate) const MOST_DOCUMENT: u64 = 64 << 20;

/// What is wrong with a damaged entry.
pub(crate) const OTHER_BYTES: &str = "has other bytes than its name says";

/// What ends a tar: two blocks of zeros.
const END: u64 = 2 * BLOCK;

/// A bundle's file, and where everything is in it.
#[derive(Debug)]
pub(crate) struct Archive {
    path: PathBuf,
    blobs: BTreeMap<BlobName, (u64, u64)>,
    others: BTreeMap<&'static str, (u64, u64)>,
}

impl Archive {
    /// Looks at all headers. Blocking.
    pub(crate) fn open(path: &Path) -> Result<Self, BundleError> {
        let failed = |error| BundleError::io("read", path, error);
        let file = File::open(path).map_err(failed)?;
        let len = file.metadata().map_err(failed)?.len();
        let mut archive = Self { path: path.to_owned(), blobs: BTreeMap::new(), others: BTreeMap::new() };
        let mut tar = tar::Archive::new(file);
        // What the tar says of an error has the bytes that it is about.
        let no_tar = |_| BundleError::form(path, "it is no tar archive");
        let mut end = 0;
        for entry in tar.entries_with_seek().map_err(no_tar)?.raw(true) {
            let entry = entry.map_err(no_tar)?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let refuse = |problem: &str| BundleError::entry(path, shown(&name), problem);
            if entry.header().entry_type() != tar::EntryType::Regular {
                return Err(refuse("is no file, and a bundle has nothing else"));
            }
            let (offset, size) = (entry.raw_file_position(), entry.size());
            end = offset.checked_add(size).filter(|end| *end <= len).ok_or_else(|| refuse("is cut off"))?;
            if header(&name, size).is_none_or(|usual| usual.as_bytes() != entry.header().as_bytes()) {
                return Err(refuse("has another header than it was written with"));
            }
            archive.add(&name, (offset, size)).map_err(refuse)?;
        }
        if end.next_multiple_of(BLOCK) + END != len {
            return Err(BundleError::form(path, "it does not end where it should"));
        }
        Ok(archive)
    }

    fn add(&mut self, name: &str, place: (u64, u64)) -> Result<(), &'static str> {
        let other = [LAYOUT, INDEX, PROGRAM].into_iter().find(|known| *known == name);
        let before = match (other, name.strip_prefix(BLOBS).map(|hex| format!("sha256:{hex}").parse())) {
            (Some(other), _) => self.others.insert(other, place),
            (None, Some(Ok(digest))) => self.blobs.insert(digest, place),
            _ => return Err("has a name that nothing in a bundle has"),
        };
        match before {
            Some(_) => Err("is there twice"),
            None if self.blobs.len() > MOST => Err("is one too many"),
            None => Ok(()),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What is between entries, and after the last one, is nothing. Blocking.
    pub(crate) fn verify_gaps(&self) -> Result<(), BundleError> {
        let failed = |error| BundleError::io("read", &self.path, error);
        let file = File::open(&self.path).map_err(failed)?;
        let len = file.metadata().map_err(failed)?.len();
        let all = self.blobs.values().chain(self.others.values()).map(|(offset, size)| offset + size);
        let gaps = all.clone().map(|end| (end, end.next_multiple_of(BLOCK)));
        let last = all.max().unwrap_or_default().next_multiple_of(BLOCK);
        let mut buffer = [0; END as usize];
        for (from, to) in gaps.chain([(last, len)]) {
            let gap =
                &mut buffer[..usize::try_from(to.saturating_sub(from)).unwrap_or_default().min(END as usize)];
            file.read_exact_at(gap, from).map_err(failed)?;
            if gap.iter().any(|byte| *byte != 0) {
                return Err(BundleError::form(&self.path, "it has something between its entries"));
            }
        }
        Ok(())
    }

    /// All blobs, and their lengths.
    pub(crate) fn blobs(&self) -> impl Iterator<Item = (BlobName, u64)> + '_ {
        self.blobs.iter().map(|(digest, (_, size))| (*digest, *size))
    }

    pub(crate) fn blob(&self, digest: &BlobName) -> Option<FilePart> {
        self.blobs.get(digest).map(|place| self.part(*place))
    }

    /// What is no blob.
    pub(crate) fn other(&self, name: &str) -> Option<FilePart> {
        self.others.get(name).map(|place| self.part(*place))
    }

    fn part(&self, (offset, size): (u64, u64)) -> FilePart {
        FilePart { file: self.path.clone(), offset, size }
    }
}

/// The header of an entry, always the same one: nothing in it can be changed without being seen.
pub(crate) fn header(name: &str, size: u64) -> Option<tar::Header> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(if name == PROGRAM { 0o755 } else { 0o644 });
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header.set_path(name).ok()?;
    header.set_cksum();
    Some(header)
}

/// All of a part that is no longer than that.
pub(crate) fn read(part: &FilePart, most: u64, entry: &str) -> Result<Vec<u8>, BundleError> {
    if part.size > most {
        let problem = format!("has {} bytes, and {most} are the most", part.size);
        return Err(BundleError::entry(&part.file, entry, problem));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(part.size).unwrap_or_default());
    let failed = |error| BundleError::io("read", &part.file, error);
    part.reader().map_err(failed)?.read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// All of a blob that is a document, where it is there and has the bytes of its name. `entry` is what to call it, and `path` the
/// bundle that names it.
pub(crate) fn document(
    path: &Path,
    part: Option<FilePart>,
    digest: &BlobName,
    entry: &str,
) -> Result<Vec<u8>, BundleError> {
    let part = part.ok_or_else(|| BundleError::entry(path, entry, "is not there"))?;
    let bytes = read(&part, MOST_DOCUMENT, entry)?;
    if BlobName::of(&bytes) != *digest {
        return Err(BundleError::entry(&part.file, entry, OTHER_BYTES));
    }
    Ok(bytes)
}

/// The name of an entry, for a person.
fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(100).collect()
}

/// The name of the entry of a blob.
pub(crate) fn entry_of(digest: &BlobName) -> String {
    format!("{BLOBS}{}", digest.hex())
}
