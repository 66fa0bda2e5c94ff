//! From layers to a store.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use cullet_cache::Blob;
use cullet_digest::Digest;
use futures_util::future::try_join_all;

use super::manifest::{Entry, Manifest, Pack, What};
use super::packs::{self, Plan};
use super::scan::Scanned;
use super::{AT_ONCE, ChunkError, Way};

/// A version that is to be stored.
#[derive(Debug)]
pub(crate) struct Storing<'a> {
    scanned: &'a Scanned,
    earlier: Vec<Pack>,
    plan: Plan,
}

/// How to store what was read, where the store has an earlier version already. None where that is the same.
pub(crate) fn plan<'a>(scanned: &'a Scanned, earlier: Option<&Manifest>) -> Option<Storing<'a>> {
    let packs = earlier.map(|earlier| earlier.packs.clone()).unwrap_or_default();
    let plan = packs::plan(&scanned.chunks, &packs);
    let storing = Storing { scanned, earlier: packs, plan };
    let same = storing.plan.fresh.is_empty() && earlier.is_some_and(|earlier| is_same(scanned, earlier));
    (!same).then_some(storing)
}

/// Whether a version has the same names and bytes, wherever these are.
fn is_same(scanned: &Scanned, earlier: &Manifest) -> bool {
    if scanned.entries.len() != earlier.entries.len() {
        return false;
    }
    let chunks = earlier.chunks();
    scanned.entries.iter().zip(&earlier.entries).all(|(new, old)| {
        new.path == old.path
            && match (&new.what, &old.what) {
                (What::File(new, named), What::File(old, earlier)) => {
                    let hash = |&number: &u32| scanned.chunks[number as usize].hash;
                    let before = |&number: &u32| chunks[number as usize].hash;
                    new == old && named.iter().map(hash).eq(earlier.iter().map(before))
                }
                (new, old) => new == old,
            }
    })
}

impl Storing<'_> {
    /// The bytes that have to be sent.
    pub(crate) const fn fresh_bytes(&self) -> u64 {
        self.plan.fresh_bytes
    }

    /// Stores what is not there, and then the manifest. Whoever names that names all packs as well. Also how many bytes were
    /// sent. Blocks.
    ///
    /// # Errors
    /// A file cannot be read, or the store takes nothing.
    pub(crate) fn send(mut self, way: &Way<'_>) -> Result<(Digest, Manifest, u64), ChunkError> {
        let reused: Vec<Digest> = self.reused().iter().map(Pack::digest).collect();
        let missing = way.runtime.block_on(way.ask(way.blobs.find_missing(&reused)))?;
        if !missing.is_empty() {
            // Whatever became of them: their chunks are here.
            let missing: HashSet<Digest> = missing.into_iter().collect();
            self.earlier.retain(|pack| !missing.contains(&pack.digest()));
            self.plan = packs::plan(&self.scanned.chunks, &self.earlier);
        }
        let (mut packs, mut sent) = (self.reused(), 0);
        for batch in self.plan.fresh.chunks(AT_ONCE) {
            let mut puts = Vec::with_capacity(batch.len());
            for numbers in batch {
                let bytes = Bytes::from(self.scanned.read(numbers)?);
                let chunks = numbers.iter().map(|&number| self.scanned.chunks[number]).collect();
                let pack = Pack::of(&bytes, chunks);
                sent += pack.bytes();
                puts.push((pack.digest(), bytes));
                packs.push(pack);
            }
            let puts = puts.into_iter().map(|(digest, bytes)| async move {
                way.ask(way.blobs.put(&digest, Blob::from(bytes))).await
            });
            way.runtime.block_on(try_join_all(puts))?;
            way.is_hopeful(sent, self.plan.fresh_bytes)?;
        }
        let manifest = Manifest::new(self.entries(&packs), packs);
        let (digest, bytes) = manifest.encode()?;
        way.runtime.block_on(way.ask(way.blobs.put(&digest, Blob::from(bytes))))?;
        Ok((digest, manifest, sent + digest.size()))
    }

    fn reused(&self) -> Vec<Pack> {
        self.plan.reused.iter().map(|&pack| self.earlier[pack].clone()).collect()
    }

    /// The names with the numbers that chunks have in these packs.
    fn entries(&self, packs: &[Pack]) -> Vec<Entry> {
        let chunks = packs.iter().flat_map(|pack| &pack.chunks);
        let mut numbers: HashMap<[u8; 32], u32> = HashMap::new();
        for (chunk, number) in chunks.zip(0..) {
            numbers.entry(chunk.hash).or_insert(number);
        }
        let number = |&chunk: &u32| numbers.get(&self.scanned.chunks[chunk as usize].hash).copied();
        let what = |what: &What| match what {
            What::File(attributes, named) => {
                What::File(*attributes, named.iter().filter_map(number).collect())
            }
            other => other.clone(),
        };
        let entries = self.scanned.entries.iter();
        entries.map(|entry| Entry { path: entry.path.clone(), what: what(&entry.what) }).collect()
    }
}
