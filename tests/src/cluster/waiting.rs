//! Waiting.

use std::path::Path;
use std::time::{Duration, Instant};

/// A busy machine may need some seconds for an election; nothing here waits that long otherwise.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for something that has to happen.
///
/// # Panics
/// Where it does not.
pub fn until<T>(what: &str, check: impl FnMut() -> Option<T>) -> T {
    until_some(check).unwrap_or_else(|| panic!("waited in vain: {what}"))
}

/// Waits until every small blob of a store is a file.
///
/// # Panics
/// Where one stays in a log.
pub fn settled(store: &Path) {
    until("small blobs are files", || {
        let logs = std::fs::read_dir(store.join("wal")).map_or(0, Iterator::count);
        (logs == 0).then_some(())
    });
}

pub(super) fn until_some<T>(mut check: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(found) = check() {
            return Some(found);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    None
}
