//! Everything that can be reached.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use cullet_digest::Digest;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Semaphore;

use super::released::released;
use super::state::MOST_DOOMED;
use crate::disk::record;
use crate::objects::{Collectable, NameId, ObjectName};
use crate::offload::offload;
use crate::packed::points::{self, Points, Read};
use crate::packed::runs;
use crate::{ActionResult, Area, RecordName, StoreError};

/// Records that are read at the same time: as many as a place has requests in flight.
const READS: usize = 64;

/// The bytes of records that are read at the same time, in KiB: 256 MiB. What they become in memory is some times that.
const MOST_KIB: u32 = 256 << 10;

/// Records up to this many bytes are not told apart by their length.
const SHORT: u64 = 64 << 10;

/// The most names of one store that are remembered at the same time: some hundred megabytes. Above that it is told instead of
/// running out of memory.
pub(super) const MOST_NAMES: usize = 5_000_000;

/// What is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    /// A record from which one begins, and its length: of a result, or of a run. It is not marked itself.
    Root(RecordName, u64),
    /// Everything below a directory, however it is kept.
    Directory(Digest),
    Tree(Digest),
    Blob(Digest),
    Data(Digest),
}

/// What was reached so far.
pub(super) struct Mark<'a> {
    store: &'a dyn Collectable,
    live: HashSet<NameId>,
    below: HashSet<Digest>,
    /// What records say that they need no more.
    released: HashSet<NameId>,
    /// Lengths of records, if they are wanted or long.
    sizes: HashMap<NameId, u64>,
    all_sizes: bool,
    memory: Semaphore,
    /// What was reached since [`Mark::remember`], up to as many as are on a list.
    new: Option<Vec<NameId>>,
    /// The bytes of all that is live.
    pub(super) bytes: u64,
    /// Records that are of no use.
    pub(super) damaged: usize,
}

/// What came of reading.
#[derive(Default)]
struct Found {
    /// Records that were there.
    names: Vec<RecordName>,
    points: Points,
    damaged: usize,
}

impl<'a> Mark<'a> {
    /// Nothing is reached. `all_sizes`: bytes are to be counted.
    pub(super) fn new(store: &'a dyn Collectable, all_sizes: bool) -> Self {
        let (live, below, released, sizes) = Default::default();
        let memory = Semaphore::new(MOST_KIB as usize);
        Self { store, live, below, released, sizes, all_sizes, memory, new: None, bytes: 0, damaged: 0 }
    }

    pub(super) fn has(&self, id: &NameId) -> bool {
        self.live.contains(id)
    }

    /// Whether some record says that it needs this no more.
    pub(super) fn is_released(&self, id: &NameId) -> bool {
        self.released.contains(id)
    }

    /// What is reached from now on, and was not before, is remembered.
    pub(super) fn remember(&mut self) {
        self.new = Some(Vec::new());
    }

    /// What was.
    pub(super) fn take_remembered(&mut self) -> Vec<NameId> {
        self.new.take().unwrap_or_default()
    }

    /// Marks this, and says whether it was not yet.
    fn insert(&mut self, id: NameId) -> bool {
        let is_new = self.live.insert(id);
        if let Some(new) = self.new.as_mut().filter(|new| is_new && new.len() < MOST_DOOMED) {
            new.push(id);
        }
        is_new
    }

    /// Says how long a record is.
    pub(super) fn note_size(&mut self, id: NameId, size: u64) -> Result<(), StoreError> {
        if self.all_sizes || size > SHORT {
            self.sizes.insert(id, size);
        }
        self.bounded()
    }

    /// Marks all that these need.
    ///
    /// # Errors
    /// Where something cannot be read for now, or by this version.
    pub(super) async fn reach(&mut self, wants: impl IntoIterator<Item = Want>) -> Result<(), StoreError> {
        let mut waiting: Vec<Want> = wants.into_iter().collect();
        let store = self.store;
        let memory = std::mem::replace(&mut self.memory, Semaphore::new(0));
        let outcome = async {
            let mut reads = FuturesUnordered::new();
            loop {
                while reads.len() < READS
                    && let Some(want) = waiting.pop()
                {
                    if let Some(size) = self.begin(want)? {
                        let kib = u32::try_from(size.max(SHORT) / 1024).unwrap_or(MOST_KIB).min(MOST_KIB);
                        let memory = &memory;
                        reads.push(async move {
                            // Never closed, so the permit always comes.
                            let _permit = memory.acquire_many(kib).await;
                            read(store, want).await
                        });
                    }
                }
                let Some(found) = reads.next().await else { return Ok(()) };
                self.take(found?, &mut waiting);
            }
        };
        let outcome: Result<(), StoreError> = outcome.await;
        self.memory = memory;
        outcome
    }

    /// Marks something, and says how long it is if it has to be read.
    fn begin(&mut self, want: Want) -> Result<Option<u64>, StoreError> {
        let size = |this: &Self, area, about| this.sizes.get(&id(area, about)).copied().unwrap_or(SHORT);
        Ok(match want {
            Want::Root(_, size) => Some(size),
            Want::Directory(root) => {
                let is_new = self.below.insert(root);
                is_new.then(|| size(self, Area::Tree, root))
            }
            Want::Tree(root) => {
                let is_new = self.live(ObjectName::Record(RecordName::new(Area::Tree, root)))?;
                is_new.then(|| size(self, Area::Tree, root))
            }
            Want::Blob(blob) if blob.is_empty() => None,
            Want::Blob(blob) => {
                let is_new = self.live(ObjectName::Record(RecordName::new(Area::Blob, blob)))?;
                (is_new && points::may_have_pieces(&blob)).then(|| size(self, Area::Blob, blob))
            }
            Want::Data(data) => {
                self.live(ObjectName::Data(data))?;
                None
            }
        })
    }

    /// Marks a name, if it is not.
    fn live(&mut self, name: ObjectName) -> Result<bool, StoreError> {
        let id = name.id();
        let is_new = self.insert(id);
        if is_new {
            self.bytes += match name {
                ObjectName::Data(data) => data.size(),
                ObjectName::Record(_) => self.sizes.get(&id).copied().unwrap_or(0),
            };
            self.bounded()?;
        }
        Ok(is_new)
    }

    fn bounded(&self) -> Result<(), StoreError> {
        too_many(self.store, self.live.len() + self.sizes.len() + self.below.len() + self.released.len())
    }

    fn take(&mut self, found: Found, waiting: &mut Vec<Want>) {
        self.damaged += found.damaged;
        for name in found.names {
            let name = ObjectName::Record(name);
            if self.insert(name.id()) {
                self.bytes += self.sizes.get(&name.id()).copied().unwrap_or(0);
            }
        }
        let Points { blobs, directories, data, released } = found.points;
        self.released.extend(released.into_iter().map(|blob| id(Area::Blob, blob)));
        waiting.extend(blobs.into_iter().map(Want::Blob));
        waiting.extend(directories.into_iter().map(Want::Directory));
        waiting.extend(data.into_iter().map(Want::Data));
    }
}

/// Refuses to remember more names than fit.
pub(super) fn too_many(store: &dyn Collectable, names: usize) -> Result<(), StoreError> {
    if names <= MOST_NAMES {
        return Ok(());
    }
    let why = format!(
        "it has more than {MOST_NAMES} objects, which is more than is looked through; nothing more was removed: split it, or \
         let rules of the bucket remove what is old"
    );
    Err(StoreError::remote("collect garbage in", store.place(), why))
}

fn id(area: Area, about: Digest) -> NameId {
    ObjectName::Record(RecordName::new(area, about)).id()
}

/// Reads what is wanted, and what it points to. What is not there points to nothing.
async fn read(store: &dyn Collectable, want: Want) -> Result<Found, StoreError> {
    let mut found = Found::default();
    match want {
        Want::Root(name, _) => {
            if let Some(bytes) = store.record(&name).await? {
                found.note(store, offload(move || Ok(of_root(&name, &bytes))).await?)?;
            }
        }
        Want::Tree(root) => {
            if let Some(bytes) = store.record(&RecordName::new(Area::Tree, root)).await? {
                found.note(store, offload(move || Ok(points::of_tree(root, &bytes))).await?)?;
            }
        }
        Want::Blob(blob) => {
            if let Some(bytes) = store.record(&RecordName::new(Area::Blob, blob)).await? {
                found.note(store, offload(move || Ok(points::of_blob(blob, &bytes))).await?)?;
            }
        }
        Want::Directory(root) => {
            let tree = RecordName::new(Area::Tree, root);
            if let Some(bytes) = store.record(&tree).await? {
                found.names.push(tree);
                let read = offload(move || Ok(points::of_tree(root, &bytes))).await?;
                let is_whole = matches!(read, Read::Points(_));
                found.note(store, read)?;
                if is_whole {
                    return Ok(found);
                }
            }
            let blob = RecordName::new(Area::Blob, root);
            if let Some(bytes) = store.record(&blob).await? {
                found.names.push(blob);
                found.note(store, points::of_directory(root, &bytes))?;
            }
        }
        Want::Data(_) => {}
    }
    Ok(found)
}

impl Found {
    fn note(&mut self, store: &dyn Collectable, read: Read) -> Result<(), StoreError> {
        match read {
            Read::Points(points) => {
                self.points.blobs.extend(points.blobs);
                self.points.directories.extend(points.directories);
                self.points.data.extend(points.data);
                self.points.released.extend(points.released);
            }
            Read::Damaged => self.damaged += 1,
            Read::Unknown => {
                let why = "something in it was written by a version that this one does not know; nothing more was removed: \
                           use a newer cullet";
                return Err(StoreError::remote("collect garbage in", store.place(), why));
            }
        }
        Ok(())
    }
}

/// What the record of a result or a run points to.
fn of_root(name: &RecordName, bytes: &Bytes) -> Read {
    if name.area == Area::Run {
        let Some(lines) = runs::decode(bytes) else { return Read::Damaged };
        let mut all = Points::default();
        lines.iter().for_each(|line| of_result(&line.result, &mut all));
        return Read::Points(all);
    }
    match record::decode(&name.about, bytes) {
        Some(result) => {
            let mut all = Points::default();
            of_result(&result, &mut all);
            Read::Points(all)
        }
        None if record::may_be_newer(bytes) => Read::Unknown,
        None => Read::Damaged,
    }
}

fn of_result(result: &ActionResult, points: &mut Points) {
    let roots: HashSet<Digest> = result.directories().collect();
    points.blobs.extend(result.digests().filter(|digest| !roots.contains(digest)));
    points.directories.extend(roots);
    points.released.extend(released(result));
}
