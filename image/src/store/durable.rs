//! Which layers outlive a power cut.
//!
//! Syncing a layer before it is used would have a pull wait for everything that anybody writes to that disk, which
//! can be minutes. So a layer is used at once, with a note in which boot of the machine it was made, and synced
//! behind. A layer of an earlier boot that was not synced is unpacked again; its blob was synced before it had a
//! name.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Stands in the directory of a layer that is on the disk.
const SYNCED: &str = "synced";
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// In which boot of the machine this is; nothing where that cannot be told.
pub(super) fn boot() -> Option<String> {
    fs::read_to_string(BOOT).ok().map(|id| id.trim().to_owned())
}

/// Whether what is read there is what was written.
pub(super) fn is_whole(layer: &Path, made_in: Option<&str>) -> bool {
    (made_in.is_some() && made_in == boot().as_deref()) || layer.join(SYNCED).exists()
}

/// Layers that wait to be synced, and whether a thread sees to them. As many as are unpacked while one sync lasts.
#[derive(Debug, Default)]
pub(super) struct Syncing {
    waiting: Mutex<(Vec<PathBuf>, bool)>,
}

impl Syncing {
    /// Has a layer synced behind, by one thread for all of them; it ends with the process, and when nothing is left.
    pub(super) fn add(self: &Arc<Self>, layer: PathBuf) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.0.push(layer);
        if std::mem::replace(&mut waiting.1, true) {
            return;
        }
        let syncing = Arc::clone(self);
        let begun = std::thread::Builder::new().name("sync-layers".to_owned()).spawn(move || syncing.work());
        waiting.1 = begun.is_ok();
    }

    fn work(&self) {
        loop {
            let layers = {
                let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                if waiting.0.is_empty() {
                    waiting.1 = false;
                    return;
                }
                std::mem::take(&mut waiting.0)
            };
            if let Err(error) = sync(&layers) {
                tracing::debug!(%error, "layers are not synced, and unpacked again when the machine has restarted");
            }
        }
    }
}

/// One sync of the file system for all of them.
fn sync(layers: &[PathBuf]) -> io::Result<()> {
    if let Some(first) = layers.first() {
        rustix::fs::syncfs(File::open(first)?)?;
    }
    for layer in layers {
        File::create(layer.join(SYNCED))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_whole_in_their_boot_or_when_synced() {
        let layer = tempfile::tempdir().unwrap();
        let whole = |boot: Option<&str>| is_whole(layer.path(), boot);
        assert!(whole(boot().as_deref()) && boot().is_some());
        assert!(!whole(Some("another")) && !whole(None));
        let syncing = Arc::<Syncing>::default();
        syncing.add(layer.path().to_owned());
        for _ in 0..6000 {
            if whole(Some("another")) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("not synced in a minute");
    }
}
