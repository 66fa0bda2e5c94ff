//! Bringing a blob to the local disk.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use cullet_digest::{Digest, TreeRef};
use futures_util::stream::FuturesUnordered;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::time::timeout;

use super::{Holders, Inner, MOST_DIRECTORIES, Tiers};
use crate::arriving::Arrived;
use crate::offload::offload;
use crate::{Origin, StoreError};

/// Peers that are asked for one blob. Past a few, the shared store is the better bet.
const MOST_ASKED: usize = 4;

/// Peers that are asked at the same time: a second one, so that one that is slow costs little.
const ASKED_AT_ONCE: usize = 2;

/// Bytes that a peer must send in a second to be of use: 2 MiB. The shared store is faster than that.
const PEER_PER_SECOND: u64 = 2 << 20;

impl Inner {
    /// From a peer, or else from the shared store.
    pub(super) async fn bring(&self, digest: &Digest, holders: &Holders) -> Result<(), StoreError> {
        // Never closed, so the permit always comes.
        let _permit = self.permits.acquire().await;
        if self.disk.has(digest)? {
            return Ok(());
        }
        if let Some(arrived) = self.ask_peers(digest, holders).await? {
            self.keep(digest, arrived).await?;
            self.counters.from_peers.count(digest);
            return Ok(());
        }
        match self.from_shared.receive(&*self.shared, digest).await {
            Ok(arrived) => {
                self.keep(digest, arrived).await?;
                self.counters.from_shared.count(digest);
                Ok(())
            }
            Err(error) => {
                if let StoreError::Mismatch { .. } = error {
                    let (shared, of) = (Arc::clone(&self.shared), *digest);
                    offload(move || shared.discard(&of)).await?;
                }
                Err(error)
            }
        }
    }

    /// The blob from the first peer that sends it whole; none where no peer does.
    async fn ask_peers(&self, digest: &Digest, holders: &Holders) -> Result<Option<Arrived>, StoreError> {
        // A peer whose pieces come, but hardly.
        let enough = self.from_peer.deadline + Duration::from_secs(digest.size() / PEER_PER_SECOND);
        let known = self.peers.holders(digest);
        let mut waiting = holders.iter().cloned().chain(known).take(MOST_ASKED);
        let ask = |peer: Arc<dyn Origin>| async move {
            let answer = self.from_peer.ask(&*peer, digest).await;
            (peer, answer)
        };
        let mut asked: FuturesUnordered<_> = waiting.by_ref().take(ASKED_AT_ONCE).map(ask).collect();
        while let Some((peer, answer)) = asked.next().await {
            let received = match answer {
                Ok(answer) => {
                    let rest = self.from_peer.receive_rest(&*peer, digest, answer);
                    let late = |_| StoreError::deadline(peer.place(), enough);
                    timeout(enough, rest).await.unwrap_or_else(|elapsed| Err(late(elapsed)))
                }
                Err(error) => Err(error),
            };
            let error = match received {
                Ok(arrived) => return Ok(Some(arrived)),
                Err(error) if is_ours(&error) => return Err(error),
                Err(error) => error,
            };
            if let StoreError::Mismatch { .. } = error {
                tracing::warn!(blob = %digest.short(), peer = peer.place(), "a peer sent wrong bytes");
            } else {
                tracing::debug!(blob = %digest.short(), peer = peer.place(), %error, "a peer did not help");
            }
            asked.extend(waiting.next().map(ask));
        }
        Ok(None)
    }

    /// Makes what arrived a blob of the local disk: by a rename where it is a file.
    async fn keep(&self, digest: &Digest, arrived: Arrived) -> Result<(), StoreError> {
        let (disk, expected) = (Arc::clone(&self.disk), *digest);
        match arrived {
            Arrived::Bytes(bytes) => disk.put_bytes_blocking(digest, &bytes),
            Arrived::File { path, .. } => {
                offload(move || {
                    let actual = disk.adopt_file(&path, expected.function())?;
                    if actual == expected { Ok(()) } else { Err(StoreError::Mismatch { expected, actual }) }
                })
                .await
            }
        }
    }
}

/// Trouble with this machine, which another peer does not cure.
fn is_ours(error: &StoreError) -> bool {
    use StoreError::{Io, NoSpace, OverBound, ReadOnly};
    matches!(error, Io { .. } | NoSpace { .. } | OverBound { .. } | ReadOnly { .. })
}

impl Tiers {
    /// Brings a directory and everything below it to the local disk, many blobs at the same time.
    ///
    /// # Errors
    /// As for [`Tiers::fetch`], about whichever blob failed first. [`StoreError::TooLarge`] for a tree with more
    /// directories than are ever made.
    pub async fn fetch_tree(&self, root: &Digest) -> Result<(), StoreError> {
        self.fetch_directories(root, &Holders::default()).await
    }

    /// Brings a tree to the local disk as [`Tiers::fetch_tree`] does. Of each of its blobs, these machines are asked
    /// first: somebody said that they have the tree.
    ///
    /// # Errors
    /// As for [`Tiers::fetch_tree`].
    pub async fn fetch_tree_from(
        &self,
        tree: &TreeRef,
        holders: Vec<Arc<dyn Origin>>,
    ) -> Result<(), StoreError> {
        let holders = Holders::from(holders);
        match tree {
            TreeRef::File { digest, .. } => self.fetch_from(digest, &holders).await,
            TreeRef::Directory(root) => self.fetch_directories(root, &holders).await,
        }
    }

    async fn fetch_directories(&self, root: &Digest, holders: &Holders) -> Result<(), StoreError> {
        // Who was said to have the tree is near; otherwise it comes in one go, where it can.
        if holders.is_empty() && self.fetch_together(root).await? {
            return Ok(());
        }
        match self.fetch_one_by_one(root, holders).await {
            // The shared store finds what is below a tree only if it was asked for the tree.
            Err(StoreError::NotFound { digest }) => match self.fetch_together(root).await? {
                true => Ok(()),
                false => Err(StoreError::NotFound { digest }),
            },
            outcome => outcome,
        }
    }

    async fn fetch_one_by_one(&self, root: &Digest, holders: &Holders) -> Result<(), StoreError> {
        let mut directories: HashSet<Digest> = HashSet::from([*root]);
        let mut files: HashSet<Digest> = HashSet::new();
        let mut level = vec![*root];
        while !level.is_empty() {
            self.fetch_all_from(level.iter().copied(), holders).await?;
            let mut below = Vec::new();
            for directory in level {
                let children = self.inner.children.read(self, &directory).await?;
                let children = children.ok_or(StoreError::NotFound { digest: directory })?;
                files.extend(children.files.iter());
                below.extend(children.directories.iter().filter(|child| directories.insert(**child)));
            }
            if directories.len() > MOST_DIRECTORIES {
                return Err(StoreError::TooLarge { digest: *root, limit: MOST_DIRECTORIES as u64 });
            }
            level = below;
        }
        self.fetch_all_from(files, holders).await
    }

    /// Brings blobs to the local disk, many at the same time.
    ///
    /// # Errors
    /// As for [`Tiers::fetch`], about whichever blob failed first.
    pub async fn fetch_all(&self, digests: impl IntoIterator<Item = Digest>) -> Result<(), StoreError> {
        self.fetch_all_from(digests, &Holders::default()).await
    }

    async fn fetch_all_from(
        &self,
        digests: impl IntoIterator<Item = Digest>,
        holders: &Holders,
    ) -> Result<(), StoreError> {
        // Twice as many as are let through, so that somebody always waits.
        let at_once = self.inner.fetches.saturating_mul(2).max(1);
        let fetches =
            digests.into_iter().map(|digest| async move { self.fetch_from(&digest, holders).await });
        stream::iter(fetches).buffer_unordered(at_once).try_collect::<()>().await
    }
}
