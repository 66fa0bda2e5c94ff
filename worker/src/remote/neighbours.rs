//! Other workers as places from which inputs come.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use cullet_cache::{ActionResult, GrpcOptions, GrpcStore, Origin, Pieces, StoreError, Tiers};
use cullet_digest::{Digest, TreeRef};
use tokio::time::{Instant, timeout};

use super::Exchange;
use super::config::endpoint;

/// Connections that are kept: those of a large cluster's nearer part. The one that was used least recently goes.
const MOST: usize = 64;

/// How long a worker may take to answer, so that one that hangs is found out before the tiers lose their patience.
const PATIENCE: Duration = Duration::from_millis(1500);

/// How long a worker is not asked that did not answer: its lease is over by then, or it is back.
const REST: Duration = Duration::from_secs(10);

/// The tiers of a worker that is told who else has its inputs.
#[derive(Debug)]
pub struct Neighbours {
    tiers: Tiers,
    /// Its own address: it has what it has.
    own: String,
    spool: PathBuf,
    /// The one that was used last at the front.
    known: Mutex<VecDeque<Arc<Neighbour>>>,
}

impl Neighbours {
    /// For the worker at this address. Large blobs on their way are kept in `spool`.
    pub fn new(tiers: Tiers, own: impl Into<String>, spool: impl Into<PathBuf>) -> Self {
        Self { tiers, own: own.into(), spool: spool.into(), known: Mutex::default() }
    }

    /// Those of the workers at these addresses that can be asked.
    fn at(&self, addresses: &[String]) -> Vec<Arc<dyn Origin>> {
        let others = addresses.iter().filter(|address| **address != self.own);
        let neighbours = others.filter_map(|address| self.neighbour(address));
        neighbours.map(|neighbour| neighbour as Arc<dyn Origin>).collect()
    }

    fn neighbour(&self, address: &str) -> Option<Arc<Neighbour>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known.iter().position(|neighbour| neighbour.store.place() == address);
        let neighbour = match found.and_then(|position| known.remove(position)) {
            Some(neighbour) => neighbour,
            None => Arc::new(Neighbour::connect(address, &self.spool)?),
        };
        known.push_front(Arc::clone(&neighbour));
        known.truncate(MOST);
        Some(neighbour)
    }
}

#[async_trait]
impl Exchange for Neighbours {
    async fn prefetch(&self, input_root: &Digest) {
        self.tiers.prefetch(input_root).await;
    }

    async fn prefetch_from(&self, tree: &TreeRef, holders: &[String]) {
        let holders = self.at(holders);
        if holders.is_empty() {
            return;
        }
        if let Err(error) = self.tiers.fetch_tree_from(tree, holders).await {
            tracing::debug!(tree = %tree.digest(), %error, "an input could not be fetched at once");
        }
    }

    async fn publish(&self, result: &ActionResult) -> Result<(), String> {
        self.tiers.publish(result).await
    }
}

/// Another worker. One that does not answer is left alone for a while: an input root may have thousands of blobs, and
/// none of them should wait for it.
#[derive(Debug)]
struct Neighbour {
    store: GrpcStore,
    rests_until: Mutex<Option<Instant>>,
}

impl Neighbour {
    /// None for what is no address of a worker. Nothing is connected yet.
    fn connect(address: &str, spool: &PathBuf) -> Option<Self> {
        let options = GrpcOptions { deadline: PATIENCE, ..GrpcOptions::peer(spool) };
        let connected = endpoint(address)
            .map_err(|error| error.to_string())
            .and_then(|_| GrpcStore::connect(&[address], &options).map_err(|error| error.to_string()));
        match connected {
            Ok(store) => Some(Self { store, rests_until: Mutex::default() }),
            Err(error) => {
                tracing::warn!(address, error, "a coordinator names a worker that cannot be asked");
                None
            }
        }
    }

    fn rests(&self) -> bool {
        let until = *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }
}

#[async_trait]
impl Origin for Neighbour {
    fn place(&self) -> &str {
        self.store.place()
    }

    async fn open(&self, digest: &Digest, offset: u64) -> Result<Pieces, StoreError> {
        let late =
            || StoreError::Deadline { place: self.place().to_owned(), after_ms: PATIENCE.as_millis() as u64 };
        if self.rests() {
            return Err(late());
        }
        let opened = timeout(PATIENCE, self.store.open(digest, offset)).await.unwrap_or_else(|_| Err(late()));
        if let Err(StoreError::Remote { .. } | StoreError::Deadline { .. }) = &opened {
            *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + REST);
        }
        opened
    }
}
