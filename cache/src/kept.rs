//! Records that stay until a person removes them: nothing that is only used up to a time belongs here.

use std::sync::Arc;

use bytes::Bytes;
use cullet_digest::DigestFunction;

use crate::{Area, Objects, RecordName, StoreError};

/// Records under names of the caller's own, beside the results of a shared cache. Garbage collection does not look at them. Clones
/// share everything.
#[derive(Debug, Clone)]
pub struct KeptRecords(Arc<dyn Objects>);

impl KeptRecords {
    pub(crate) const fn new(objects: Arc<dyn Objects>) -> Self {
        Self(objects)
    }

    /// What to call the store in messages.
    pub fn place(&self) -> &str {
        self.0.place()
    }

    /// The record of this name, if there is one.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn get(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        self.0.record(&record(name)).await
    }

    /// Stores a record in place of any earlier one.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn put(&self, name: &str, bytes: Bytes) -> Result<(), StoreError> {
        self.0.put_record(&record(name), bytes, &[]).await
    }
}

fn record(name: &str) -> RecordName {
    RecordName::new(Area::Kept, DigestFunction::Blake3.digest(format!("cullet kept {name}").as_bytes()))
}
