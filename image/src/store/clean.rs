//! What ended processes left.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::helper::OwnerHelper;
use super::lock::Lock;
use crate::ImageError;

/// Removes layers that nobody unpacks any more, and parts of blobs that nobody went on with for long. What somebody
/// works on is locked, and stays.
pub(super) fn leftovers(
    dir: &Path,
    keep_partial: Duration,
    helper: Option<&dyn OwnerHelper>,
) -> Result<u64, ImageError> {
    let mut bytes = 0;
    for place in ["unpacking", "partial"] {
        let place = dir.join(place);
        let entries = match fs::read_dir(&place) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries.map_err(|error| ImageError::io("list", &place, error))?,
        };
        for entry in entries {
            let entry = entry.map_err(|error| ImageError::io("list", &place, error))?;
            let Some(_lock) = Lock::take(&dir.join("locks").join(entry.file_name()))? else { continue };
            let old = |modified: SystemTime| modified.elapsed().is_ok_and(|age| age >= keep_partial);
            // One that is gone was finished meanwhile.
            let Ok(stat) = entry.metadata() else { continue };
            if stat.is_dir() || stat.modified().is_ok_and(old) {
                remove(&entry.path(), helper)?;
                bytes += if stat.is_dir() { 0 } else { stat.len() };
            }
        }
    }
    Ok(bytes)
}

/// Removes a tree or a file, also directories that a layer says nobody may enter; no link is followed. What belongs to
/// others takes a helper.
pub(super) fn remove(path: &Path, helper: Option<&dyn OwnerHelper>) -> Result<(), ImageError> {
    let attempt = || match fs::symlink_metadata(path) {
        Ok(stat) if stat.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    let mut done = attempt();
    if done.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied) {
        open_up(path);
        done = attempt();
    }
    if let (Err(error), Some(helper)) = (&done, helper)
        && error.kind() == io::ErrorKind::PermissionDenied
    {
        helper.take_over(path).map_err(|error| ImageError::io("take over", path, error))?;
        open_up(path);
        done = attempt();
    }
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done.map_err(|error| ImageError::io("remove", path, error)),
    }
}

/// Lets the owner into all directories below. What does not work shows when it is removed.
fn open_up(path: &Path) {
    let mut open = vec![path.to_owned()];
    while let Some(dir) = open.pop() {
        drop(fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)));
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push(entry.path());
            }
        }
    }
}
