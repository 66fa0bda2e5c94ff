//! Making files of the blobs in a log.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use cullet_digest::Digest;

use super::filesystem::sync_all;
use super::home::{Home, is_gone};
use super::record::{Scan, bytes_of};
use crate::object::files::split;

/// Blobs between two looks at whether to go on.
pub(super) const FEW: usize = 32;

/// Makes a file of each blob of a log up to `end`, exactly as it would be had there been no log, and makes all of them durable
/// together. Of files that are there already nothing is believed: that is seldom, and what a power cut left of them may be zeros. What no blob is any more is left out. Gives the names of all, in the order of the log.
///
/// # Errors
/// Those of the filesystem, and those of `go_on`, which is asked every few blobs. Nothing is lost then: the log is still there.
pub(super) fn settle(
    home: &Home,
    log: (&File, &Path),
    end: u64,
    mut go_on: impl FnMut() -> io::Result<()>,
) -> io::Result<Vec<Digest>> {
    let (file, path) = log;
    let mut scan = Scan::new(file, 0, end);
    let mut settled = Vec::new();
    while let Some((digest, at)) = scan.next()? {
        if settled.len() % FEW == 0 {
            go_on()?;
        }
        let bytes = bytes_of(file, &digest, at)?;
        settled.push(digest);
        if digest.function().digest(&bytes) != digest {
            tracing::warn!(blob = %digest.short(), log = %path.display(), "a damaged blob is left out");
            continue;
        }
        let to = home.file(&digest);
        let (dir, name) = split(&to)?;
        home.directories.within(dir, |dir| dir.lay(name, &bytes))?;
    }
    if scan.at() < end {
        let (read, log) = (scan.at(), path.display());
        tracing::warn!(%log, read, end, "a log ends with what was never acknowledged, or is damaged");
    }
    make_durable(home, file, &settled)?;
    Ok(settled)
}

/// Makes the files of blobs durable. `log` was opened before they were written: it learns of what failed meanwhile.
fn make_durable(home: &Home, log: &File, blobs: &[Digest]) -> io::Result<()> {
    let paths: BTreeSet<_> = blobs.iter().map(|digest| home.file(digest)).collect();
    let dirs: BTreeSet<&Path> = paths.iter().filter_map(|path| path.parent()).collect();
    let device = log.metadata()?.dev();
    let mut elsewhere = BTreeSet::new();
    for dir in dirs {
        match std::fs::metadata(dir) {
            Ok(found) if found.dev() == device && home.filesystem.syncs_all => {}
            Ok(_) => drop(elsewhere.insert(dir)),
            // All that was to come there was damaged, or it was removed.
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(error),
        }
    }
    for path in &paths {
        if path.parent().is_some_and(|dir| elsewhere.contains(dir)) {
            sync(path)?;
        }
    }
    elsewhere.into_iter().try_for_each(sync)?;
    if home.filesystem.syncs_all { sync_all(log) } else { Ok(()) }
}

fn sync(path: &Path) -> io::Result<()> {
    match File::open(path) {
        Err(error) if is_gone(&error) => Ok(()),
        opened => opened?.sync_all(),
    }
}
