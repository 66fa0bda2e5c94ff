//! Outputs are kept, and given to whoever asks: one with a secret in it is not taken.

use std::path::Path;

use cullet_cache::disk::open_to_adopt;
use cullet_secrets::Search;

use super::fault::{CollectError, OutputFault, shown};
use super::found::Found;
use crate::layers::join;

/// Names of files and directories, and what links lead to.
pub(super) fn names(search: &Search, found: &Found) -> Result<(), CollectError> {
    for dir in &found.dirs {
        let names = dir.files.iter().map(|(name, ..)| name).chain(dir.dirs.iter().map(|(name, _)| name));
        let names = names.map(|name| &**name).chain(dir.links.iter().map(|(name, _)| &**name));
        for text in names.chain(dir.links.iter().map(|(_, target)| &**target)) {
            if let Some(secret) = search.bytes(text.as_bytes()) {
                let path = shown(&join(&found.places.path(dir.place), text.as_bytes()));
                return Err(OutputFault::Secret { path, secret: secret.to_owned() }.into());
            }
        }
    }
    Ok(())
}

/// What is in a file, of which `name` is what people call it.
pub(super) fn content(search: &Search, path: &Path, name: impl Fn() -> String) -> Result<(), CollectError> {
    let found = open_to_adopt(path).and_then(|file| search.read(file));
    match found.map_err(|source| CollectError::Read { path: name(), source })? {
        Some(secret) => Err(OutputFault::Secret { path: name(), secret: secret.to_owned() }.into()),
        None => Ok(()),
    }
}
