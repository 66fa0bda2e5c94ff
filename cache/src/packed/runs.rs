//! What a pipeline found the last time: its results in one record, so that a run that knows nothing asks once instead of for
//! each step.

use std::collections::HashSet;

use bytes::Bytes;
use cullet_digest::{Digest, DigestFunction};
use serde::{Deserialize, Serialize};

use super::{PackedActions, frame};
use crate::disk::record;
use crate::{ActionResult, Area, RecordName, StoreError};

/// The most results that are kept of a pipeline: those of a thousand steps for some states of its sources.
const MOST_RESULTS: usize = 8192;

/// The most bytes of the record when it is open.
const MOST_OPEN: u64 = 32 << 20;

/// A result and its action, as they are written, with postcard.
#[derive(Serialize, Deserialize)]
struct Line {
    action: Digest,
    record: Bytes,
}

impl PackedActions {
    /// The results that runs of this pipeline found, the latest first. What is damaged is left out.
    ///
    /// # Errors
    /// Where the storage cannot be asked.
    pub async fn recall(&self, pipeline: &str) -> Result<Vec<(Digest, ActionResult)>, StoreError> {
        let Some(bytes) = self.objects.record(&self.run_name(pipeline)).await? else { return Ok(Vec::new()) };
        let lines = frame::open(&bytes, MOST_OPEN).and_then(|bytes| postcard::from_bytes(&bytes).ok());
        let lines: Vec<Line> = lines.unwrap_or_default();
        let read = |line: Line| Some((line.action, record::decode(&line.action, &line.record)?));
        Ok(lines.into_iter().filter_map(read).collect())
    }

    /// Keeps what a run of this pipeline found, before what earlier ones did, as far as there is room.
    ///
    /// # Errors
    /// Where the storage cannot be written.
    pub async fn keep(
        &self,
        pipeline: &str,
        found: &[(Digest, ActionResult)],
        earlier: &[(Digest, ActionResult)],
    ) -> Result<(), StoreError> {
        let (mut seen, mut lines, mut room) = (HashSet::new(), Vec::new(), MOST_OPEN);
        for (action, result) in found.iter().chain(earlier) {
            let record = Bytes::from(record::encode(action, result));
            // What a line has beside the record.
            let takes = record.len() as u64 + 64;
            if lines.len() == MOST_RESULTS || takes > room {
                break;
            }
            if seen.insert(*action) {
                room -= takes;
                lines.push(Line { action: *action, record });
            }
        }
        let failed = |error| StoreError::remote("write down a run for", self.objects.place(), error);
        let bytes = frame::close(&postcard::to_stdvec(&lines).map_err(failed)?);
        self.objects.put_record(&self.run_name(pipeline), bytes.into(), &[]).await
    }

    fn run_name(&self, pipeline: &str) -> RecordName {
        let about = DigestFunction::Blake3.digest(format!("cullet run {pipeline}").as_bytes());
        RecordName { area: Area::Run, scope: self.scope, about }
    }
}
