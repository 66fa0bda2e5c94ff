//! Where a cluster keeps what it has taken in: each line in a record of its own, so that whoever writes one a second time, or a
//! leader that does not know yet that it leads no more, changes nothing.

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;
use cullet_cache::{KeptRecords, StoreError};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};

use super::bytes::{from_hex, hex, sha256};
use super::judge::{Hash, Known, MOST_ENTRIES};

/// Records that are read or written at the same time.
const AT_ONCE: usize = 16;

/// The most journals: one for each machine that ever broke the glass.
pub(crate) const MOST_JOURNALS: usize = 10_000;

/// The journals of a cluster.
#[derive(Debug, Clone)]
pub(crate) struct KeptJournals(KeptRecords);

/// A line as it was taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptLine {
    /// Milliseconds since the Unix epoch.
    pub(crate) taken_at_ms: u64,
    /// Who sent it, as the policy calls them.
    pub(crate) by: String,
    /// As it stands in the journal.
    pub(crate) line: String,
}

/// What is known of a journal without reading it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct About {
    /// The hash of its first line: what it is called.
    pub(crate) journal: String,
    /// Who signed that.
    pub(crate) key: String,
    /// Whose it is, as that says.
    pub(crate) user: String,
    pub(crate) host: String,
}

impl KeptLine {
    /// Of the line.
    pub(crate) fn hash(&self) -> Hash {
        sha256(self.line.as_bytes())
    }
}

impl KeptJournals {
    pub(crate) const fn new(records: KeptRecords) -> Self {
        Self(records)
    }

    /// All journals.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) async fn all(&self) -> Result<BTreeSet<About>, StoreError> {
        let Some(bytes) = self.0.get("journals").await? else { return Ok(BTreeSet::new()) };
        let damaged = |error| self.failed("read from", format!("the list of journals is damaged: {error}"));
        serde_json::from_slice(&bytes).map_err(damaged)
    }

    /// Adds one that is not there.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub(crate) async fn list(&self, about: &About) -> Result<(), StoreError> {
        let mut all = self.all().await?;
        if all.contains(about) {
            return Ok(());
        }
        if all.len() >= MOST_JOURNALS {
            return Err(self.failed("keep a journal in", "there are too many of them"));
        }
        all.insert(about.clone());
        self.0.put("journals", self.json(&all)?).await
    }

    /// How far a journal has come.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) async fn known(&self, journal: &str) -> Result<Known, StoreError> {
        // The hashes are only remembered, and may lag behind the lines.
        let remembered = self.0.get(&hashes_of(journal)).await?.unwrap_or_default();
        let mut hashes: Vec<Hash> = remembered.as_chunks().0.to_vec();
        while let Some(line) = self.line(journal, hashes.len() as u64 + 1).await? {
            hashes.push(line.hash());
        }
        Ok(Known(hashes))
    }

    /// An entry, if there is one. A damaged one is what is there, which is no entry.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) async fn line(&self, journal: &str, seq: u64) -> Result<Option<KeptLine>, StoreError> {
        let Some(bytes) = self.0.get(&line_of(journal, seq)).await? else { return Ok(None) };
        let damaged = |_| KeptLine {
            taken_at_ms: 0,
            by: String::new(),
            line: String::from_utf8_lossy(&bytes).into_owned(),
        };
        Ok(Some(serde_json::from_slice(&bytes).unwrap_or_else(damaged)))
    }

    /// The entries behind so many, one after the other, up to the last that is there.
    pub(crate) fn lines(
        &self,
        journal: &str,
        after: u64,
    ) -> impl Stream<Item = Result<(u64, KeptLine), StoreError>> {
        let read = move |seq| async move {
            let line = self.line(journal, seq).await.transpose()?;
            Some(line.map(|line| (seq, line)))
        };
        let numbers = (after..MOST_ENTRIES as u64).map(|seq| seq + 1);
        let read = stream::iter(numbers.map(read)).buffered(AT_ONCE);
        read.take_while(|line| std::future::ready(line.is_some())).filter_map(std::future::ready)
    }

    /// Keeps lines that go on where the journal ends, and so many hashes as there are lines then.
    ///
    /// # Errors
    /// The store cannot be written. What was written by then does not have to be taken back.
    pub(crate) async fn extend(
        &self,
        journal: &str,
        first: u64,
        lines: &[KeptLine],
        known: &Known,
    ) -> Result<(), StoreError> {
        let puts = lines
            .iter()
            .zip(first..)
            .map(|(line, seq)| async move { self.0.put(&line_of(journal, seq), self.json(line)?).await });
        stream::iter(puts.collect::<Vec<_>>()).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        self.0.put(&hashes_of(journal), known.0.concat().into()).await
    }

    fn json<T: Serialize>(&self, value: &T) -> Result<Bytes, StoreError> {
        serde_json::to_vec(value).map(Bytes::from).map_err(|error| self.failed("store in", error))
    }

    fn failed(&self, action: &'static str, why: impl Into<Box<dyn Error + Send + Sync>>) -> StoreError {
        StoreError::Remote { action, place: self.0.place().to_owned(), source: Arc::from(why.into()) }
    }
}

/// Whether a text may be what a journal is called.
pub(crate) fn is_name(journal: &str) -> bool {
    from_hex(journal).is_some_and(|bytes| bytes.len() == 32 && hex(&bytes) == journal)
}

fn hashes_of(journal: &str) -> String {
    format!("journal {journal} hashes")
}

fn line_of(journal: &str, seq: u64) -> String {
    format!("journal {journal} line {seq}")
}
