//! Two input roots, compared.

use std::collections::{BTreeMap, BTreeSet};

use cullet_cache::BlobStore;
use cullet_digest::{Digest, Directory};

use crate::ui::clean;

/// The most files that are named.
const MAX_FILES: usize = 20;

/// One entry of a directory, as far as it counts.
#[derive(PartialEq)]
enum Entry {
    File { digest: Digest, executable: bool },
    Directory(Digest),
    Symlink(Box<str>),
}

/// Two directories at one path; none where there is none on that side.
struct Pair {
    path: String,
    old: Option<Digest>,
    new: Option<Digest>,
}

/// Adds a line for each file that differs. Equal directories are not read.
pub(super) async fn compare(blobs: &dyn BlobStore, old: Digest, new: Digest, lines: &mut Vec<String>) {
    let mut found = 0;
    let mut open = vec![Pair { path: String::new(), old: Some(old), new: Some(new) }];
    while let Some(pair) = open.pop() {
        let (Some(old), Some(new)) = (entries(blobs, pair.old).await, entries(blobs, pair.new).await) else {
            let path = if pair.path.is_empty() { "the inputs" } else { pair.path.trim_end_matches('/') };
            lines.push(format!("{} differs, but can no longer be read", clean::line(path)));
            continue;
        };
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        let mut below = Vec::new();
        for name in names {
            let path = format!("{}{name}", pair.path);
            let (old, new) = (old.get(name), new.get(name));
            if old == new {
                continue;
            }
            if let Some(difference) = difference(old, new) {
                found += 1;
                if found <= MAX_FILES {
                    lines.push(format!("input {} {difference}", clean::line(&path)));
                }
            }
            let (old, new) = (directory(old), directory(new));
            if old.is_some() || new.is_some() {
                below.push(Pair { path: format!("{path}/"), old, new });
            }
        }
        open.extend(below.into_iter().rev());
        if found > MAX_FILES {
            lines.push("… and more inputs".to_owned());
            return;
        }
    }
}

/// What happened to a file or link; a directory is looked into instead.
fn difference(old: Option<&Entry>, new: Option<&Entry>) -> Option<String> {
    let leaf = |entry: &&Entry| !matches!(entry, Entry::Directory(_));
    let text = match (old.filter(leaf), new.filter(leaf)) {
        (None, None) => return None,
        (None, Some(_)) => "is new".to_owned(),
        (Some(_), None) => "is gone".to_owned(),
        (Some(Entry::File { digest: old, .. }), Some(Entry::File { digest: new, executable }))
            if old == new =>
        {
            format!("is {} executable", if *executable { "now" } else { "no longer" })
        }
        (Some(_), Some(Entry::Symlink(target))) => format!("now links to {}", clean::line(target)),
        (Some(_), Some(_)) => "changed".to_owned(),
    };
    Some(text)
}

const fn directory(entry: Option<&Entry>) -> Option<Digest> {
    match entry {
        Some(Entry::Directory(digest)) => Some(*digest),
        _ => None,
    }
}

/// The entries by name; none where they cannot be read.
async fn entries(blobs: &dyn BlobStore, digest: Option<Digest>) -> Option<BTreeMap<String, Entry>> {
    let Some(digest) = digest else { return Some(BTreeMap::new()) };
    let bytes = blobs.get(&digest).await.ok()?.into_bytes().ok()?;
    let directory = Directory::decode(digest.function(), &bytes).ok()?;
    let files = directory.files().iter().map(|file| {
        (file.name.to_string(), Entry::File { digest: file.digest, executable: file.executable })
    });
    let directories =
        directory.directories().iter().map(|sub| (sub.name.to_string(), Entry::Directory(sub.digest)));
    let links =
        directory.symlinks().iter().map(|link| (link.name.to_string(), Entry::Symlink(link.target.clone())));
    Some(files.chain(directories).chain(links).collect())
}
