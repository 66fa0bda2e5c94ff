//! What garbage collection asks of a store beyond reading and writing.

use std::fmt;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use cullet_digest::{Digest, DigestFunction};
use futures_util::stream::BoxStream;

use super::{Area, Objects, RecordName};
use crate::StoreError;

/// Anything that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ObjectName {
    /// A record.
    Record(RecordName),
    /// Data.
    Data(Digest),
}

/// As a record is shown; no area is called `data`.
impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record(name) => name.fmt(f),
            Self::Data(digest) => {
                write!(f, "data.{}.{}.{}", digest.function(), digest.hash_hex(), digest.size())
            }
        }
    }
}

/// A name in 16 bytes: the beginning of its hash, because collectors remember millions of them.
pub(crate) type NameId = [u8; 16];

impl ObjectName {
    /// The name in 16 bytes.
    pub(crate) fn id(&self) -> NameId {
        let mut id = NameId::default();
        id.copy_from_slice(&DigestFunction::Blake3.digest(self.to_string().as_bytes()).hash()[..16]);
        id
    }
}

/// What is listed at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Records about one kind of thing, of all scopes.
    Records(Area),
    /// Data.
    Data,
}

/// Something that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    /// What it is called.
    pub name: ObjectName,
    /// Its bytes.
    pub size: u64,
    /// When it was written last, by the clock of the store.
    pub modified: SystemTime,
}

/// A line of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Something that we wrote.
    Ours(Listed),
    /// Something under a name that is none of ours: it is counted, and never touched.
    Strange,
}

/// What came of creating an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// It is there now, and was not before.
    Made,
    /// It was there, and is what it was.
    Exists,
    /// This place cannot tell, so nothing was written.
    Unsupported,
}

/// Asked before each attempt to change something, however late that is: what was allowed a minute ago may not be now.
pub type Guard<'a> = &'a (dyn Fn() -> Result<(), StoreError> + Send + Sync);

/// Storage that is told what to remove, and has no garbage collector of its own.
#[async_trait]
pub trait Collectable: Objects {
    /// Everything of a kind. What is there all the time while this is read is in it; it is read in pages, and nothing is kept.
    fn list(&self, kind: Kind) -> BoxStream<'_, Result<Seen, StoreError>>;

    /// When a record was written last, by the clock of the store.
    async fn modified(&self, name: &RecordName) -> Result<Option<SystemTime>, StoreError>;

    /// Creates a record where there is none. Its bytes should be like nobody else's.
    async fn create(&self, name: &RecordName, bytes: Bytes) -> Result<Created, StoreError>;

    /// Stores a record that points to nothing, if the guard lets it.
    async fn put_guarded(&self, name: &RecordName, bytes: Bytes, guard: Guard<'_>) -> Result<(), StoreError>;

    /// Removes all of these that are there, if the guard lets it. After an error, some may be gone.
    async fn remove_guarded(&self, names: &[ObjectName], guard: Guard<'_>) -> Result<(), StoreError>;
}
