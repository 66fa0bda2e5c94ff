//! Waiting for a volume that one step at a time has.

use std::io::ErrorKind;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::VolumeError;
use super::place::{About, Held, Place, try_lock_file};
use super::store::Inner;

/// How soon a wait is told of: most are over by then.
const QUIET: Duration = Duration::from_secs(1);
/// Between two looks whether it is free, growing to the longer one: a step takes seconds.
const PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

impl Inner {
    /// Until the volume is this attempt's alone. None when that is cancelled.
    pub(super) async fn turn(
        &self,
        step: &str,
        (place, about): (&Place, &About),
        cancel: &CancellationToken,
    ) -> Result<Option<Held>, VolumeError> {
        let (began, mut pause, mut told) = (Instant::now(), PAUSE, false);
        loop {
            match place.make(about).and_then(|()| try_lock_file(&place.turn(), true)) {
                Ok(Some(held)) => return Ok(Some(held)),
                Ok(None) => {}
                // It was removed in between.
                Err(VolumeError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            if began.elapsed() >= self.config.patience {
                return Err(VolumeError::Busy(self.config.patience.as_secs()));
            }
            if !told && began.elapsed() >= QUIET {
                let text = format!("waits for the cache '{}', which another step has", about.volume);
                self.config.events.tell(step, false, text);
                told = true;
            }
            tokio::select! {
                () = cancel.cancelled() => return Ok(None),
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
            }
        }
    }
}
