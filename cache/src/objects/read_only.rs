//! Storage that is only looked at.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cullet_digest::Digest;

use crate::{Objects, RecordName, StoreError};

/// Storage in which nothing is written, replaced or removed, also not what is of no use there.
#[derive(Debug)]
pub struct ReadOnlyObjects(Arc<dyn Objects>);

impl ReadOnlyObjects {
    /// `objects`, as they are.
    pub fn new(objects: Arc<dyn Objects>) -> Self {
        Self(objects)
    }

    fn refuse<T>(&self) -> Result<T, StoreError> {
        Err(StoreError::remote("write to", self.0.place(), "it is only read"))
    }
}

#[async_trait]
impl Objects for ReadOnlyObjects {
    fn place(&self) -> &str {
        self.0.place()
    }

    async fn record(&self, name: &RecordName) -> Result<Option<Bytes>, StoreError> {
        self.0.record(name).await
    }

    async fn has_record(&self, name: &RecordName) -> Result<bool, StoreError> {
        self.0.has_record(name).await
    }

    async fn put_record(&self, _: &RecordName, _: Bytes, _: &[Digest]) -> Result<(), StoreError> {
        self.refuse()
    }

    async fn remove_record(&self, _: &RecordName) -> Result<(), StoreError> {
        self.refuse()
    }

    async fn data(&self, digest: &Digest) -> Result<Bytes, StoreError> {
        self.0.data(digest).await
    }

    async fn has_data(&self, digest: &Digest) -> Result<bool, StoreError> {
        self.0.has_data(digest).await
    }

    async fn put_data(&self, _: &Digest, _: Bytes) -> Result<(), StoreError> {
        self.refuse()
    }

    async fn remove_data(&self, _: &Digest) -> Result<(), StoreError> {
        self.refuse()
    }
}
