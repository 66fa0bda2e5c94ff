//! Which layers outlive a power cut.
//!
//! Syncing a layer before it is used would have a pull wait for everything that anybody writes to that disk, which
//! can be minutes. So a layer is used at once, with a note in which boot of the machine it was made, and synced
//! behind, when little is to be written. A layer of an earlier boot that was not synced is unpacked again; its blob was
//! synced before it had a name.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Stands in the directory of a layer that is on the disk.
const SYNCED: &str = "synced";
const BOOT: &str = "/proc/sys/kernel/random/boot_id";
const MEMORY: &str = "/proc/meminfo";

/// A machine that has no more than this to write does it within a second or two: 128 MiB.
const QUIET: u64 = 128 << 20;

/// How long is waited before it is looked again whether there is less to write. The kernel writes what is thirty seconds
/// old.
const PAUSE: Duration = Duration::from_secs(3);

/// In which boot of the machine this is; nothing where that cannot be told.
pub(super) fn boot() -> Option<String> {
    fs::read_to_string(BOOT).ok().map(|id| id.trim().to_owned())
}

/// Whether what is read there is what was written.
pub(super) fn is_whole(layer: &Path, made_in: Option<&str>) -> bool {
    (made_in.is_some() && made_in == boot().as_deref()) || is_synced(layer)
}

fn is_synced(layer: &Path) -> bool {
    layer.join(SYNCED).exists()
}

/// Writes the file system of `dir` to the disk, if the machine has little to write just now; else it returns false. A sync
/// waits for what everybody has written, cannot be interrupted, and a process cannot end while one of its threads is in it.
///
/// # Errors
/// Those of the disk.
pub fn sync_when_quiet(dir: &Path) -> io::Result<bool> {
    // Where that cannot be told, nothing is known of the time that a sync takes.
    if !fs::read_to_string(MEMORY).is_ok_and(|memory| unwritten(&memory).is_some_and(|bytes| bytes <= QUIET))
    {
        return Ok(false);
    }
    rustix::fs::syncfs(File::open(dir)?)?;
    Ok(true)
}

/// How many bytes of files are in memory only, or on their way, from the text of `/proc/meminfo`.
fn unwritten(memory: &str) -> Option<u64> {
    let kibibytes = |name: &str| -> Option<u64> {
        let value = memory.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        value.trim().strip_suffix("kB")?.trim().parse().ok()
    };
    Some(kibibytes("Dirty")?.saturating_add(kibibytes("Writeback")?).saturating_mul(1024))
}

/// Syncs the file system of a directory, or returns false if it is better done later.
type Sync = fn(&Path) -> io::Result<bool>;

/// Layers that wait to be synced, and whether a thread sees to them. As many as a process uses.
#[derive(Debug)]
pub(super) struct Syncing {
    waiting: Mutex<(BTreeSet<PathBuf>, bool)>,
    sync: Sync,
}

impl Default for Syncing {
    fn default() -> Self {
        Self { waiting: Mutex::default(), sync: sync_when_quiet }
    }
}

impl Syncing {
    /// Has a layer synced behind, unless it is; by one thread for all of them, which ends with the process, and when
    /// nothing is left. What is left of a process that ends before is for the next one that uses the layer.
    pub(super) fn add(self: &Arc<Self>, layer: &Path) {
        if is_synced(layer) {
            return;
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.0.insert(layer.to_owned());
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
                // What was evicted meanwhile.
                waiting.0.retain(|layer| layer.is_dir());
                if waiting.0.is_empty() {
                    waiting.1 = false;
                    return;
                }
                waiting.0.clone()
            };
            match self.sync(&layers) {
                Ok(true) => {
                    let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                    waiting.0.retain(|layer| !layers.contains(layer));
                }
                Ok(false) => std::thread::sleep(PAUSE),
                Err(error) => {
                    tracing::debug!(%error, "layers are not synced yet");
                    std::thread::sleep(PAUSE);
                }
            }
        }
    }

    /// One sync of the file system for all of them.
    fn sync(&self, layers: &BTreeSet<PathBuf>) -> io::Result<bool> {
        if let Some(first) = layers.first()
            && !(self.sync)(first)?
        {
            return Ok(false);
        }
        for layer in layers {
            File::create(layer.join(SYNCED))?;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn waited_for(what: impl Fn() -> bool) -> bool {
        (0..6000).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            what()
        })
    }

    #[test]
    fn layers_are_whole_in_their_boot_or_when_synced() {
        let layer = tempfile::tempdir().unwrap();
        let whole = |boot: Option<&str>| is_whole(layer.path(), boot);
        assert!(whole(boot().as_deref()) && boot().is_some());
        assert!(!whole(Some("another")) && !whole(None));
        let syncing = Arc::new(Syncing { waiting: Mutex::default(), sync: |_| Ok(true) });
        syncing.add(layer.path());
        assert!(waited_for(|| whole(Some("another"))));
    }

    #[test]
    fn a_machine_that_has_much_to_write_is_waited_for() {
        static ASKED: AtomicU32 = AtomicU32::new(0);
        let layer = tempfile::tempdir().unwrap();
        let sync: Sync = |_| match ASKED.fetch_add(1, Ordering::Relaxed) {
            0 => Ok(false),
            1 => Err(io::ErrorKind::Other.into()),
            _ => Ok(true),
        };
        let syncing = Arc::new(Syncing { waiting: Mutex::default(), sync });
        syncing.add(layer.path());
        assert!(waited_for(|| is_synced(layer.path())));
        assert_eq!(ASKED.load(Ordering::Relaxed), 3);
        // Who is done ends, and who is synced is not waited for.
        assert!(waited_for(|| !syncing.waiting.lock().unwrap().1));
        syncing.add(layer.path());
        assert!(syncing.waiting.lock().unwrap().0.is_empty());
    }

    #[test]
    fn what_is_in_memory_only_is_counted() {
        let memory = "MemTotal: 1 kB\nDirty:      1024 kB\nWriteback:   3 kB\nWritebackTmp: 9 kB\n";
        assert_eq!(unwritten(memory), Some(1027 * 1024));
        assert_eq!(unwritten("Dirty: 5 kB\n"), None);
        assert_eq!(unwritten("Dirty: many\nWriteback: 1 kB\n"), None);
        assert!(unwritten(&fs::read_to_string(MEMORY).unwrap()).is_some());
    }
}
