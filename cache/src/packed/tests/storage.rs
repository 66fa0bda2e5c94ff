//! Storage in memory.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use cullet_digest::Digest;

use crate::{Area, Objects, RecordName, StoreError};

#[derive(Debug, Default)]
pub(crate) struct Storage {
    records: Mutex<HashMap<RecordName, (Bytes, Vec<Digest>)>>,
    data: Mutex<HashMap<Digest, Bytes>>,
    requests: AtomicUsize,
    /// Bytes that were sent to it.
    received: AtomicUsize,
    /// Records of runs that are refused to whoever asks for them next.
    refused_runs: AtomicUsize,
    forbids: bool,
}

impl Storage {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The same content, which nobody may change.
    pub(crate) fn read_only(&self) -> Arc<Self> {
        let records = self.records.lock().unwrap().clone().into();
        let data = self.data.lock().unwrap().clone().into();
        Arc::new(Self { records, data, forbids: true, ..Self::default() })
    }

    /// Requests and received bytes since this was last asked.
    pub(crate) fn take_counts(&self) -> (usize, usize) {
        (self.requests.swap(0, Ordering::Relaxed), self.received.swap(0, Ordering::Relaxed))
    }

    pub(crate) fn all_data(&self) -> Vec<Digest> {
        self.data.lock().unwrap().keys().copied().collect()
    }

    pub(crate) fn names(&self, area: Area) -> Vec<RecordName> {
        self.records.lock().unwrap().keys().filter(|name| name.area == area).copied().collect()
    }

    pub(crate) fn needs(&self, name: &RecordName) -> Vec<Digest> {
        self.records.lock().unwrap().get(name).map(|(_, needs)| needs.clone()).unwrap_or_default()
    }

    pub(crate) fn lose(&self, data: &Digest) {
        self.data.lock().unwrap().remove(data);
    }

    pub(crate) fn damage(&self, data: &Digest) {
        let mut all = self.data.lock().unwrap();
        let mut bytes = all.get(data).unwrap().to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        all.insert(*data, bytes.into());
    }

    /// The next who asks for a record of a run does not get it.
    pub(crate) fn refuse_a_run(&self) {
        self.refused_runs.store(1, Ordering::Relaxed);
    }

    pub(crate) fn replace_record(&self, name: &RecordName, bytes: Bytes) {
        self.records.lock().unwrap().get_mut(name).unwrap().0 = bytes;
    }

    fn write(&self, bytes: usize) -> Result<(), StoreError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.received.fetch_add(bytes, Ordering::Relaxed);
        if self.forbids { Err(StoreError::remote("write to", "memory", "it is forbidden")) } else { Ok(()) }
    }

    fn read(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }
}

#[async_trait]
impl Objects for Storage {
    fn place(&self) -> &str {
        "memory"
    }

    async fn record(&self, name: &RecordName) -> Result<Option<Bytes>, StoreError> {
        self.read();
        if name.area == Area::Run && self.refused_runs.swap(0, Ordering::Relaxed) > 0 {
            return Err(StoreError::remote("read from", "memory", "it is busy"));
        }
        Ok(self.records.lock().unwrap().get(name).map(|(bytes, _)| bytes.clone()))
    }

    async fn has_record(&self, name: &RecordName) -> Result<bool, StoreError> {
        self.read();
        Ok(self.records.lock().unwrap().contains_key(name))
    }

    async fn put_record(&self, name: &RecordName, bytes: Bytes, needs: &[Digest]) -> Result<(), StoreError> {
        self.write(bytes.len())?;
        let data = self.data.lock().unwrap();
        assert!(needs.iter().all(|needed| data.contains_key(needed)), "{name} comes before its data");
        self.records.lock().unwrap().insert(*name, (bytes, needs.to_vec()));
        Ok(())
    }

    async fn remove_record(&self, name: &RecordName) -> Result<(), StoreError> {
        self.write(0)?;
        self.records.lock().unwrap().remove(name);
        Ok(())
    }

    async fn data(&self, digest: &Digest) -> Result<Bytes, StoreError> {
        self.read();
        let found = self.data.lock().unwrap().get(digest).cloned();
        found.ok_or(StoreError::NotFound { digest: *digest })
    }

    async fn has_data(&self, digest: &Digest) -> Result<bool, StoreError> {
        self.read();
        Ok(self.data.lock().unwrap().contains_key(digest))
    }

    async fn put_data(&self, digest: &Digest, bytes: Bytes) -> Result<(), StoreError> {
        self.write(bytes.len())?;
        assert_eq!(cullet_digest::DigestFunction::Sha256.digest(&bytes), *digest);
        self.data.lock().unwrap().insert(*digest, bytes);
        Ok(())
    }

    async fn remove_data(&self, digest: &Digest) -> Result<(), StoreError> {
        self.write(0)?;
        self.data.lock().unwrap().remove(digest);
        Ok(())
    }
}
