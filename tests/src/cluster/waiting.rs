//! Waiting.

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
