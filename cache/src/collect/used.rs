//! When results were used last.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cullet_digest::Digest;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::seconds;
use super::state::{self, record_of};
use crate::objects::{Listed, NameId, ObjectName};
use crate::packed::runs;
use crate::{Area, Objects, StoreError};

/// The most results that a cluster says of a day that it used them: 4 MiB.
pub(super) const MOST_USED: usize = 100_000;

/// Records that are read at the same time.
const READS: usize = 4;

/// Writes down that somebody used the results of these actions today, beside what the same one said earlier today.
pub(super) async fn note_used(
    objects: &dyn Objects,
    who: &str,
    actions: &[Digest],
) -> Result<(), StoreError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let name = record_of(Area::Used, &format!("used by {who} on {}", now.as_secs() / (24 * 3600)));
    let earlier: Option<Vec<Digest>> = objects.record(&name).await?.and_then(|bytes| state::open(&bytes));
    let mut all = [actions, &earlier.unwrap_or_default()].concat();
    all.sort_unstable();
    all.dedup();
    all.truncate(MOST_USED);
    let failed = || StoreError::remote("store in", objects.place(), "what was used cannot be written down");
    objects.put_record(&name, state::close(&all).ok_or_else(failed)?, &[]).await
}

/// When actions were used last, in seconds since the Unix epoch, as far as records of runs and of use say so.
#[derive(Debug, Default)]
pub(super) struct Uses(HashMap<NameId, u64>);

impl Uses {
    /// What these records say.
    pub(super) async fn read(objects: &dyn Objects, records: &[Listed]) -> Result<Self, StoreError> {
        let reads = records.iter().copied().map(|listed| async move {
            let ObjectName::Record(name) = listed.name else { return Ok((listed, None)) };
            Ok::<_, StoreError>((listed, objects.record(&name).await?))
        });
        let mut reads = stream::iter(reads.collect::<Vec<_>>()).buffer_unordered(READS);
        let mut uses = Self::default();
        while let Some((listed, record)) = reads.try_next().await? {
            let (Some(record), ObjectName::Record(name)) = (record, listed.name) else { continue };
            let modified = seconds(listed.modified);
            if name.area == Area::Used {
                let actions: Vec<Digest> = state::open(&record).unwrap_or_default();
                actions.into_iter().for_each(|action| uses.add(action, modified));
                continue;
            }
            for line in runs::decode(&record).unwrap_or_default() {
                // The clock of whoever wrote it may be wrong, but nothing was found after it was written.
                let hour = line.hour.map_or(modified, |hour| u64::from(hour + 1) * 3600);
                uses.add(line.action, hour.min(modified));
            }
        }
        Ok(uses)
    }

    fn add(&mut self, action: Digest, at: u64) {
        let last = self.0.entry(key(&action)).or_default();
        *last = at.max(*last);
    }

    /// When this result was written or used last.
    pub(super) fn last(&self, listed: &Listed) -> u64 {
        let modified = seconds(listed.modified);
        match listed.name {
            ObjectName::Record(name) if name.area == Area::Result => {
                self.0.get(&key(&name.about)).map_or(modified, |used| modified.max(*used))
            }
            _ => modified,
        }
    }
}

/// What an action is remembered by, whatever its scope.
fn key(action: &Digest) -> NameId {
    let mut key = NameId::default();
    key.copy_from_slice(&action.hash()[..16]);
    key
}

/// How long ago something was, as the store counts.
pub(super) fn age(now: u64, then: u64) -> Duration {
    Duration::from_secs(now.saturating_sub(then))
}
