//! What a store must be able to do that outlives every machine, so that blobs and results can be kept there in few
//! requests: keep records under names, and data under the hash of its bytes.
//!
//! A **record** is short and says something of what it is named after: the result of an action, where everything below a
//! directory lies, of which pieces a blob consists. **Data** is what records point to, and never more than
//! [`MOST_DATA`]: packs of small blobs, and pieces of large ones. Its name is the SHA-256 of its bytes, because that is the
//! name it has in an OCI registry too, where a client may not choose another one.

mod collectable;
mod read_only;

use std::fmt::{self, Debug};
use std::str::FromStr;

use async_trait::async_trait;
use bytes::Bytes;
use cullet_digest::Digest;

pub(crate) use self::collectable::NameId;
pub use self::collectable::{Collectable, Created, Guard, Kind, Listed, ObjectName, Seen};
pub use self::read_only::ReadOnlyObjects;
use crate::StoreError;

/// The most bytes of one piece of data: 8 MiB, so that each is one request, and a few dozen fit into memory.
pub const MOST_DATA: u64 = 8 << 20;

/// The most bytes of a record: 64 MiB, what the directory messages of a tree of a few hundred thousand files take.
pub const MOST_RECORD: u64 = 64 << 20;

/// What kind of thing a record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Area {
    /// The result of an action.
    Result,
    /// Everything below a directory.
    Tree,
    /// A blob: its bytes where it is short, or else its pieces.
    Blob,
    /// What a pipeline's last run found.
    Run,
    /// Which results a cluster made use of.
    Used,
    /// How far garbage collection is; see [`crate::collect`].
    Gc,
    /// What a writer needs of what is to be removed.
    Rescue,
    /// Who collects garbage.
    Lock,
    /// What stays until a person removes it.
    Kept,
}

impl Area {
    /// All there are.
    pub const ALL: [Self; 9] = [
        Self::Result,
        Self::Tree,
        Self::Blob,
        Self::Run,
        Self::Used,
        Self::Gc,
        Self::Rescue,
        Self::Lock,
        Self::Kept,
    ];

    /// Its name in paths and tags.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Result => "ac",
            Self::Tree => "tree",
            Self::Blob => "blob",
            Self::Run => "run",
            Self::Used => "used",
            Self::Gc => "gc",
            Self::Rescue => "rescue",
            Self::Lock => "lock",
            Self::Kept => "kept",
        }
    }
}

impl Area {
    /// What kind of records a text means, and of which scope, as it is written behind `mark`.
    pub(crate) fn and_scope(text: &str, mark: char) -> Option<(Self, Option<[u8; 8]>)> {
        let (area, scope) = match text.split_once(mark) {
            None => (text, None),
            Some((area, scope)) => (area, Some(u64::from_str_radix(scope, 16).ok()?.to_be_bytes())),
        };
        Some((Self::ALL.into_iter().find(|known| known.name() == area)?, scope))
    }
}

/// What a record is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordName {
    /// What it is about.
    pub area: Area,
    /// Who may write it and who reads it: the first bytes of the hash of a scope's name. None where it speaks for itself,
    /// because whoever reads it can check it, and for results that all may read.
    pub scope: Option<[u8; 8]>,
    /// The digest that it is about.
    pub about: Digest,
}

impl RecordName {
    /// A record that belongs to no scope.
    pub const fn new(area: Area, about: Digest) -> Self {
        Self { area, scope: None, about }
    }
}

impl FromStr for RecordName {
    type Err = ();

    /// From what [`Display`](fmt::Display) writes; anything else is no name.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split('.').collect();
        let [kind, function, hash, size] = parts[..] else { return Err(()) };
        let (area, scope) = Area::and_scope(kind, '-').ok_or(())?;
        let function = function.parse().map_err(|_| ())?;
        let about = Digest::parse(function, &format!("{hash}/{size}")).map_err(|_| ())?;
        let name = Self { area, scope, about };
        // There is one way to write each.
        if name.to_string() == text { Ok(name) } else { Err(()) }
    }
}

/// As a tag of a registry may be: at most 128 letters, digits, `.`, `-` and `_`.
impl fmt::Display for RecordName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.area.name())?;
        if let Some(scope) = self.scope {
            write!(f, "-{:016x}", u64::from_be_bytes(scope))?;
        }
        let about = &self.about;
        write!(f, ".{}.{}.{}", about.function(), about.hash_hex(), about.size())
    }
}

/// Records and data on storage that several machines share.
///
/// Whatever is written is there whole or not at all, and when a write is acknowledged it survives the writer. Nothing that
/// is read has been checked: whoever reads knows what it must be. Each operation has a deadline and a bounded number of
/// attempts. Futures may be dropped at any point.
#[async_trait]
pub trait Objects: Debug + Send + Sync {
    /// What to call it in messages.
    fn place(&self) -> &str;

    /// The record of this name, if there is one; one longer than [`MOST_RECORD`] is none.
    async fn record(&self, name: &RecordName) -> Result<Option<Bytes>, StoreError>;

    /// Whether there is a record of this name.
    async fn has_record(&self, name: &RecordName) -> Result<bool, StoreError>;

    /// Stores a record in place of any earlier one. `needs` is all data that it points to, which is there already; a
    /// store with a garbage collector of its own keeps it for as long as the record.
    async fn put_record(&self, name: &RecordName, bytes: Bytes, needs: &[Digest]) -> Result<(), StoreError>;

    /// Removes a record, if it is there. What it points to stays.
    async fn remove_record(&self, name: &RecordName) -> Result<(), StoreError>;

    /// Data, given its SHA-256 and length.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where it is not there, or has another length.
    async fn data(&self, digest: &Digest) -> Result<Bytes, StoreError>;

    /// Whether this data is there.
    async fn has_data(&self, digest: &Digest) -> Result<bool, StoreError>;

    /// Stores data, whose SHA-256 and length are `digest`. Two who store the same at the same time both succeed.
    async fn put_data(&self, digest: &Digest, bytes: Bytes) -> Result<(), StoreError>;

    /// Removes data, if it is there.
    async fn remove_data(&self, digest: &Digest) -> Result<(), StoreError>;

    /// Looks again for what this client found or stored, unless that was just now, and says what is gone. Whoever writes a
    /// record asks this of all that it points to: garbage collection knows nothing of it before the record is there. A
    /// store from which nothing is removed behind its clients' backs has lost nothing.
    async fn gone(&self, _names: &[ObjectName]) -> Result<Vec<ObjectName>, StoreError> {
        Ok(Vec::new())
    }
}
