//! What was removed because of its age or for room: so that a miss can be told from a change.
//!
//! Each of [`SHARDS`] records has the latest [`MOST`] results that were removed, those whose action's hash begins so: who asks for
//! one action reads one record, and none of them grows without end.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::lock::Lock;
use super::state::{self, record_of};
use crate::objects::{Collectable, NameId, ObjectName};
use crate::{Area, Objects, RecordName, StoreError};

const SHARDS: u8 = 64;
const MOST: usize = 2048;

/// A result that was removed; the latest stand at the end.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Tombstone {
    name: NameId,
    at_s: u64,
}

fn shard_of(id: &NameId) -> RecordName {
    record_of(Area::Gc, &format!("tombstones {}", id[0] % SHARDS))
}

/// When the result of this name was removed last, as far as that is remembered.
///
/// # Errors
/// Where the store cannot be read.
pub(crate) async fn evicted(
    objects: &dyn Objects,
    result: &RecordName,
) -> Result<Option<SystemTime>, StoreError> {
    let id = ObjectName::Record(*result).id();
    let Some(bytes) = objects.record(&shard_of(&id)).await? else { return Ok(None) };
    let all: Vec<Tombstone> = state::open(&bytes).unwrap_or_default();
    let found = all.iter().rev().find(|tombstone| tombstone.name == id);
    Ok(found.map(|tombstone| UNIX_EPOCH + Duration::from_secs(tombstone.at_s)))
}

/// Remembers results that are about to be removed.
pub(super) async fn bury(
    store: &dyn Collectable,
    lock: &Lock,
    results: &[NameId],
    at_s: u64,
) -> Result<(), StoreError> {
    let mut shards: BTreeMap<u8, Vec<NameId>> = BTreeMap::new();
    results.iter().for_each(|id| shards.entry(id[0] % SHARDS).or_default().push(*id));
    for ids in shards.into_values() {
        let Some(first) = ids.first() else { continue };
        let name = shard_of(first);
        let earlier = store.record(&name).await?;
        let mut all: Vec<Tombstone> =
            earlier.and_then(|bytes: Bytes| state::open(&bytes)).unwrap_or_default();
        all.retain(|tombstone| !ids.contains(&tombstone.name));
        all.extend(ids.iter().map(|name| Tombstone { name: *name, at_s }));
        let all = &all[all.len().saturating_sub(MOST)..];
        if let Some(bytes) = state::close(&all) {
            lock.put(&name, bytes).await?;
        }
    }
    Ok(())
}
