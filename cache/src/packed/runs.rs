//! What a pipeline found the last time: its results in one record, so that a run that knows nothing asks once instead of for
//! each step.

use std::collections::HashSet;
use std::time::{SystemTime, UNIX_EPOCH};

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

/// Results that no run found for so long are not kept: they would keep others from being collected.
const MOST_HOURS: u32 = 7 * 24;

/// A result and its action, as they are written, with postcard. Behind all of them stands when each was found last, in hours
/// since the Unix epoch by the clock of whoever found it; earlier versions have written nothing there, and read it over.
#[derive(Serialize, Deserialize)]
struct Line {
    action: Digest,
    record: Bytes,
}

/// A result that a run found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recalled {
    /// Of what.
    pub action: Digest,
    /// What came of it.
    pub result: ActionResult,
    /// When a run found it last, in hours since the Unix epoch; none where that was not written down.
    pub hour: Option<u32>,
}

impl Recalled {
    /// What was found just now.
    pub fn now(action: Digest, result: ActionResult) -> Self {
        Self { action, result, hour: Some(this_hour()) }
    }
}

/// The hour it is, since the Unix epoch.
pub(crate) fn this_hour() -> u32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u32::try_from(now.as_secs() / 3600).unwrap_or(u32::MAX)
}

/// The lines of a record; none where it is damaged. One that is damaged is left out.
pub(crate) fn decode(bytes: &Bytes) -> Option<Vec<Recalled>> {
    let bytes = frame::open(bytes, MOST_OPEN)?;
    let (lines, rest): (Vec<Line>, &[u8]) = postcard::take_from_bytes(&bytes).ok()?;
    let hours: Vec<u32> = postcard::from_bytes(rest).unwrap_or_default();
    let hours = hours.into_iter().map(Some).chain(std::iter::repeat(None));
    let read = |(line, hour): (Line, Option<u32>)| {
        let result = record::decode(&line.action, &line.record)?;
        Some(Recalled { action: line.action, result, hour })
    };
    Some(lines.into_iter().zip(hours).filter_map(read).collect())
}

impl PackedActions {
    /// The results that runs of this pipeline found, the latest first. What is damaged is left out.
    ///
    /// # Errors
    /// Where the storage cannot be asked.
    pub async fn recall(&self, pipeline: &str) -> Result<Vec<Recalled>, StoreError> {
        self.recall_of(&self.run_name(pipeline)).await
    }

    /// [`PackedActions::recall`] for the pipeline whose record this is.
    pub(crate) async fn recall_of(&self, name: &RecordName) -> Result<Vec<Recalled>, StoreError> {
        let Some(bytes) = self.objects.record(name).await? else { return Ok(Vec::new()) };
        Ok(decode(&bytes).unwrap_or_default())
    }

    /// Keeps what a run of this pipeline found, before what earlier ones did, as far as there is room.
    ///
    /// # Errors
    /// Where the storage cannot be written.
    pub async fn keep(
        &self,
        pipeline: &str,
        found: &[Recalled],
        earlier: &[Recalled],
    ) -> Result<(), StoreError> {
        self.keep_under(&self.run_name(pipeline), found, earlier).await
    }

    /// [`PackedActions::keep`] for the pipeline whose record this is.
    pub(crate) async fn keep_under(
        &self,
        name: &RecordName,
        found: &[Recalled],
        earlier: &[Recalled],
    ) -> Result<(), StoreError> {
        let (mut seen, mut lines, mut hours, mut room) = (HashSet::new(), Vec::new(), Vec::new(), MOST_OPEN);
        let now = this_hour();
        for Recalled { action, result, hour } in found.iter().chain(earlier) {
            // What has no hour is as old as one may be: the next run knows better.
            let hour = hour.unwrap_or(now.saturating_sub(MOST_HOURS));
            if now.saturating_sub(hour) > MOST_HOURS || seen.contains(action) {
                continue;
            }
            let record = Bytes::from(record::encode(action, result));
            // What a line has beside the record.
            let takes = record.len() as u64 + 64;
            if lines.len() == MOST_RESULTS || takes > room {
                break;
            }
            seen.insert(*action);
            room -= takes;
            lines.push(Line { action: *action, record });
            hours.push(hour);
        }
        let failed = |error| StoreError::remote("write down a run for", self.objects.place(), error);
        let bytes = postcard::to_stdvec(&lines).map_err(failed)?;
        let bytes = frame::close(&postcard::to_extend(&hours, bytes).map_err(failed)?);
        self.objects.put_record(name, bytes.into(), &[]).await
    }

    fn run_name(&self, pipeline: &str) -> RecordName {
        let about = DigestFunction::Blake3.digest(format!("cullet run {pipeline}").as_bytes());
        RecordName { area: Area::Run, scope: self.scope, about }
    }
}
