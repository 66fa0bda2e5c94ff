//! Copying all results of a shared cache to another one, wherever both are.
//!
//! A result is copied after everything that it names, so what is found at the destination is whole, and copying again goes on
//! where it was interrupted. Every byte is checked against its digest on the way. Signatures stay what they are, and so do
//! scopes: the destination is as trustworthy as the source.

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use cullet_digest::Digest;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};

use crate::children::ChildrenCache;
use crate::object::{Location, ObjectOptions, ObjectRecords, Place};
use crate::objects::{Collectable, Kind, Listed, ObjectName, ReadOnlyObjects, Seen};
use crate::packed::{PackedActions, PackedBlobs};
use crate::tiers::upload::Sending;
use crate::{
    ActionCache as _, ActionResult, Area, BlobStore as _, Moved, Objects, RecordName, StoreError, Verifying,
};

/// Results that are copied at the same time.
const AT_ONCE: usize = 16;

/// What could not be copied that is named; beyond, it is counted.
const NAMED: usize = 50;

/// Storage that can say which records it has.
pub trait Named: Objects {
    /// Their names. What is there all the time while this is read is among them.
    fn names(&self, area: Area) -> BoxStream<'_, Result<RecordName, StoreError>>;
}

impl<T: Collectable> Named for T {
    fn names(&self, area: Area) -> BoxStream<'_, Result<RecordName, StoreError>> {
        let name = |seen| match seen {
            Seen::Ours(Listed { name: ObjectName::Record(name), .. }) => Some(name),
            _ => None,
        };
        self.list(Kind::Records(area)).try_filter_map(move |seen| std::future::ready(Ok(name(seen)))).boxed()
    }
}

/// The storage of the cache in a bucket.
///
/// # Errors
/// [`StoreError::Location`] for a directory, and as for [`crate::SharedCache::open`].
pub fn bucket(location: &Location, options: &ObjectOptions) -> Result<Arc<dyn Named>, StoreError> {
    if let Location::Directory(dir) = location {
        let reason = "a directory is copied as one, with any program that copies files".to_owned();
        return Err(StoreError::Location { location: dir.display().to_string(), reason });
    }
    Ok(Arc::new(ObjectRecords::new(&Place::open(location, options)?)))
}

/// What to copy, and how carefully.
#[derive(Debug, Clone, Default)]
pub struct MirrorOptions {
    /// Only results of these scopes, see [`crate::Scope::id`]; all where there is none.
    pub scopes: Vec<Option<[u8; 8]>>,
    /// Whether what the destination has already is read, all of it, and copied again where it is damaged.
    pub verify: bool,
}

/// What was done.
#[derive(Debug, Clone, Default)]
pub struct Mirrored {
    /// Results that were copied.
    pub copied: u64,
    /// Results that were there already.
    pub present: u64,
    /// Of those, how many were damaged or not whole, and were copied again.
    pub mended: u64,
    /// Lists of what pipelines found the last time.
    pub runs: u64,
    /// What was sent.
    pub moved: Moved,
    /// Results that the source has no longer whole, or damaged.
    pub unusable: u64,
    /// The first of them, and why.
    pub named: Vec<(Digest, String)>,
}

/// What came of one result.
enum Outcome {
    Copied { moved: Moved, again: bool },
    Present,
    Unusable(Digest, String),
    Gone,
}

/// Copies what the source has. `tell` hears what was done so far, after each result.
///
/// # Errors
/// Where either cannot be reached, or the destination cannot be written. Calling it again goes on from there.
pub async fn mirror(
    from: Arc<dyn Named>,
    to: Arc<dyn Objects>,
    spool: &Path,
    options: &MirrorOptions,
    tell: &(dyn Fn(&Mirrored) + Send + Sync),
) -> Result<Mirrored, StoreError> {
    let read_only: Arc<dyn Objects> = Arc::new(ReadOnlyObjects::new(from.clone()));
    let mirror =
        Mirror { from: Side::new(read_only, spool)?, to: Side::new(to, spool)?, verify: options.verify };
    let is_meant = |name: &RecordName| options.scopes.is_empty() || options.scopes.contains(&name.scope);
    let mut done = Mirrored::default();
    let mut results = from
        .names(Area::Result)
        .try_filter(|name| std::future::ready(is_meant(name)))
        .map_ok(|name| mirror.result(name))
        .try_buffer_unordered(AT_ONCE);
    while let Some(outcome) = results.try_next().await? {
        done.add(outcome);
        tell(&done);
    }
    let mut runs = from.names(Area::Run).try_filter(|name| std::future::ready(is_meant(name)));
    while let Some(name) = runs.try_next().await? {
        done.runs += u64::from(mirror.run(&name).await?);
    }
    Ok(done)
}

impl Mirrored {
    fn add(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Copied { moved, again } => {
                self.copied += u64::from(!again);
                self.present += u64::from(again);
                self.mended += u64::from(again);
                self.moved += moved;
            }
            Outcome::Present => self.present += 1,
            Outcome::Gone => {}
            Outcome::Unusable(action, why) => {
                self.unusable += 1;
                if self.named.len() < NAMED {
                    self.named.push((action, why));
                }
            }
        }
    }
}

/// A store, and what is read of it checked.
struct Side {
    objects: Arc<dyn Objects>,
    packed: PackedBlobs,
    blobs: Verifying,
    children: ChildrenCache,
}

impl Side {
    fn new(objects: Arc<dyn Objects>, spool: &Path) -> Result<Self, StoreError> {
        let packed = PackedBlobs::new(Arc::clone(&objects), spool)?;
        let shared = Arc::new(packed.clone());
        let blobs = Verifying::new(shared.clone(), shared);
        Ok(Self { objects, packed, blobs, children: ChildrenCache::default() })
    }

    fn actions(&self, name: &RecordName) -> PackedActions {
        PackedActions::of_scope(&self.packed, name.scope)
    }

    /// Reads everything that a result names.
    async fn read(&self, result: &ActionResult) -> Result<(), StoreError> {
        let mut directories: Vec<Digest> = result.directories().collect();
        let mut seen: HashSet<Digest> = directories.iter().copied().collect();
        let mut files: Vec<Digest> = result.digests().filter(|digest| seen.insert(*digest)).collect();
        while let Some(directory) = directories.pop() {
            let children = self.children.read(&self.blobs, &directory).await?;
            let children = children.ok_or(StoreError::NotFound { digest: directory })?;
            files.extend(children.files.iter().filter(|file| seen.insert(**file)));
            directories.extend(children.directories.iter().filter(|child| seen.insert(**child)));
        }
        for file in files {
            self.blobs.get(&file).await?;
        }
        Ok(())
    }
}

struct Mirror {
    from: Side,
    to: Side,
    verify: bool,
}

impl Mirror {
    async fn result(&self, name: RecordName) -> Result<Outcome, StoreError> {
        let there = self.to.objects.has_record(&name).await?;
        if there && !self.verify {
            return Ok(Outcome::Present);
        }
        if there && self.is_whole(&name).await? {
            return Ok(Outcome::Present);
        }
        let Some(result) = self.from.actions(&name).get(&name.about).await? else {
            // What was removed meanwhile is missed by nobody; what is there and cannot be read is.
            return Ok(if self.from.objects.has_record(&name).await? {
                Outcome::Unusable(name.about, "its record is damaged, or of a newer version".to_owned())
            } else {
                Outcome::Gone
            });
        };
        match self.copy(&name, &result).await {
            Ok(moved) => Ok(Outcome::Copied { moved, again: there }),
            Err(StoreError::NotFound { digest }) => {
                Ok(Outcome::Unusable(name.about, format!("blob {} is not there any more", digest.short())))
            }
            Err(error @ StoreError::Mismatch { .. }) => Ok(Outcome::Unusable(name.about, error.to_string())),
            Err(error) => Err(error),
        }
    }

    /// Whether everything is there, and right. What is damaged is not there afterwards.
    async fn is_whole(&self, name: &RecordName) -> Result<bool, StoreError> {
        let Some(result) = self.to.actions(name).get(&name.about).await? else { return Ok(false) };
        match self.to.read(&result).await {
            Ok(()) => Ok(true),
            Err(StoreError::NotFound { .. } | StoreError::Mismatch { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn copy(&self, name: &RecordName, result: &ActionResult) -> Result<Moved, StoreError> {
        let Side { blobs, children, .. } = &self.from;
        let sending =
            Sending { from: blobs, directories: blobs, children, to: &self.to.packed, counter: None };
        let moved = sending.result(result).await?;
        self.to.actions(name).put(&name.about, result).await?;
        Ok(moved)
    }

    /// Brings what runs of a pipeline found together; whether there is anything new.
    async fn run(&self, name: &RecordName) -> Result<bool, StoreError> {
        let found = self.from.actions(name).recall_of(name).await?;
        let to = self.to.actions(name);
        let there = to.recall_of(name).await?;
        let known: HashSet<Digest> = there.iter().map(|line| line.action).collect();
        if found.iter().all(|line| known.contains(&line.action)) {
            return Ok(false);
        }
        to.keep_under(name, &there, &found).await.map(|()| true)
    }
}
