//! The action cache of the directory.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cullet_digest::Digest;
use rustix::fs::{AtFlags, Mode, OFlags};

use super::attributes;
use super::bases::Area;
use super::name::EntryName;
use super::record;
use super::store::{Disk, DiskStore, size};
use super::usage::charge;
use crate::{ActionCache, ActionResult, Scope, StoreError};

/// Results in a cache directory, beside the blobs of a [`DiskStore`]. An entry is one small file.
#[derive(Debug, Clone)]
pub struct DiskActionCache {
    disk: Arc<Disk>,
    scope: Option<[u8; 8]>,
}

impl DiskActionCache {
    /// The action cache in the directory of a store.
    pub fn new(store: &DiskStore) -> Self {
        Self { disk: Arc::clone(&store.disk), scope: None }
    }

    /// Those of a scope, which nobody sees who is not in it.
    #[must_use]
    pub fn of(&self, scope: &Scope) -> Self {
        Self { scope: scope.id(), ..self.clone() }
    }

    /// What an entry is filed under.
    pub(crate) fn key(&self, action: &Digest) -> Digest {
        let Some(scope) = self.scope else { return *action };
        let scope = u64::from_be_bytes(scope);
        action.function().digest(format!("cullet result {scope:016x} {action}").as_bytes())
    }

    /// [`ActionCache::get`], blocking: a few system calls. A damaged entry is removed.
    pub fn get_blocking(&self, action: &Digest) -> Result<Option<ActionResult>, StoreError> {
        let action = &self.key(action);
        let name = EntryName::new(action);
        let Some(record) = self.disk.read_record(action, &name)? else { return Ok(None) };
        let result = record::decode(action, &record);
        if result.is_none() && !record::is_sound(action, &record) {
            tracing::warn!(action = %action.short(), "a damaged result is removed from the cache");
            self.remove_quietly(action, record.len() as u64)?;
        }
        Ok(result)
    }

    /// [`ActionCache::put`], blocking.
    pub fn put_blocking(&self, action: &Digest, result: &ActionResult) -> Result<(), StoreError> {
        let action = &self.key(action);
        let record = record::encode(action, result);
        let name = EntryName::new(action);
        self.disk.with_room(record.len() as u64, || {
            let earlier = self.disk.stat_record(action, &name).map_or(0, |stat| charge(size(&stat)));
            let mut draft = self.disk.draft(false)?;
            self.disk.write(&mut draft, &record)?;
            let atime = attributes::atime_only(self.disk.recency.now_ns());
            rustix::fs::futimens(draft.file.as_fd(), &atime)
                .map_err(|error| self.disk.draft_error("finish", error.into()))?;
            self.disk.publish(draft, Area::Ac, action.function(), &name)?;
            self.disk.usage.add(charge(record.len() as u64) as i64 - earlier as i64);
            Ok(())
        })
    }

    /// [`ActionCache::remove`], blocking.
    pub fn remove_blocking(&self, action: &Digest) -> Result<(), StoreError> {
        let action = &self.key(action);
        let name = EntryName::new(action);
        let size = self.disk.stat_record(action, &name).map_or(0, |stat| size(&stat));
        self.disk.unlink(Area::Ac, action.function(), &name, size)
    }

    fn remove_quietly(&self, action: &Digest, size: u64) -> Result<(), StoreError> {
        match self.disk.unlink(Area::Ac, action.function(), &EntryName::new(action), size) {
            // It stays, and nobody will take it for an entry.
            Err(StoreError::ReadOnly { .. }) => Ok(()),
            outcome => outcome,
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ActionCache for DiskActionCache {
    // Inline: a handful of system calls on a small file takes less than handing them to another thread.
    async fn get(&self, action: &Digest) -> Result<Option<ActionResult>, StoreError> {
        self.get_blocking(action)
    }

    async fn put(&self, action: &Digest, result: &ActionResult) -> Result<(), StoreError> {
        self.put_blocking(action, result)
    }

    async fn remove(&self, action: &Digest) -> Result<(), StoreError> {
        self.remove_blocking(action)
    }
}

impl Disk {
    fn stat_record(&self, action: &Digest, name: &EntryName) -> Option<rustix::fs::Stat> {
        let base = self.layout.bases().get(Area::Ac, action.function())?;
        rustix::fs::statat(base, name.path(), AtFlags::SYMLINK_NOFOLLOW).ok()
    }

    /// The bytes of the entry, if there is one; marks it as used.
    pub(super) fn read_record(&self, action: &Digest, name: &EntryName) -> Result<Option<Bytes>, StoreError> {
        let opened = self.at(Area::Ac, action.function(), name, |base| {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = rustix::fs::openat(base, name.path(), flags, Mode::empty())?;
            let stat = rustix::fs::fstat(&file)?;
            self.mark(base, name, &stat)?;
            Ok((file, stat))
        })?;
        let Some((file, stat)) = opened else { return Ok(None) };
        let len = size(&stat).min(record::LIMIT);
        // One more byte: the read that meets the end is then the first one.
        let mut bytes = Vec::with_capacity(len as usize + 1);
        File::from(file).take(len).read_to_end(&mut bytes).map_err(|error| {
            self.error("read", self.layout.path(Area::Ac, action.function(), name), error)
        })?;
        Ok(Some(bytes.into()))
    }
}
