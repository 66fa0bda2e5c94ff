//! Blobs that are no files yet.

use std::time::Instant;

use bytes::Bytes;
use cullet_digest::Digest;

use super::ObjectBlobs;
use super::write_ahead::Logs;
use crate::StoreError;

/// What the logs say of a blob that has no file.
pub(super) enum Logged {
    Bytes(Bytes),
    /// It is in none. Who wrote one may have made it a file meanwhile.
    LookAgain,
    /// It is in none, and was not.
    Never,
}

impl ObjectBlobs {
    /// A blob that had no file just now.
    pub(super) async fn logged(&self, digest: &Digest) -> Result<Logged, StoreError> {
        if !Logs::may_hold(digest) {
            return Ok(Logged::Never);
        }
        let (files, of, since) = (self.files.clone(), *digest, Instant::now());
        let look = move || {
            let logs = &files.logs;
            if let Some(bytes) = logs.read(&of)? {
                return Ok(Logged::Bytes(bytes));
            }
            if !logs.look(since)? {
                return Ok(Logged::Never);
            }
            if let Some(bytes) = logs.read(&of)? {
                return Ok(Logged::Bytes(bytes));
            }
            logs.look_anew(&of);
            Ok(Logged::LookAgain)
        };
        let place = self.place.name().to_owned();
        let failed = move |error: std::io::Error| StoreError::remote("read from", &place, error);
        self.files.run(move || look().map_err(failed)).await
    }

    /// Those of blobs without files that are in no log either: one look for all of them.
    pub(super) async fn unlogged(&self, digests: Vec<Digest>) -> Result<Vec<Digest>, StoreError> {
        if !digests.iter().any(Logs::may_hold) {
            return Ok(digests);
        }
        let (files, since, place) = (self.files.clone(), Instant::now(), self.place.name().to_owned());
        let look = move || {
            if !files.logs.look(since).map_err(|error| StoreError::remote("read from", &place, error))? {
                return Ok((digests, false));
            }
            let missing: Vec<Digest> = digests.into_iter().filter(|digest| !files.logs.has(digest)).collect();
            missing.iter().for_each(|digest| files.logs.look_anew(digest));
            Ok((missing, true))
        };
        let (missing, logs) = self.files.run(look).await?;
        // Who wrote a log may have made files of them meanwhile.
        if logs { self.without_files(&missing).await } else { Ok(missing) }
    }
}
