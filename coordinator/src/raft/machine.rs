//! The core as raft's state machine.

use std::io;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use cullet_core::{RunId, State};
use futures_util::{Stream, TryStreamExt as _};
use openraft::alias::{LogIdOf, SnapshotMetaOf, SnapshotOf, StoredMembershipOf};
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder};
use tokio::sync::watch;

use super::batch::Batch;
use super::following::{Followed, Following};
use super::removed::Removed;
use super::snapshot::{Kept, SnapshotFile, Snapshots};
use super::types::{Applied, Member, NodeId, Types};
use crate::blocking::blocking;
use crate::planted::{self, Bug};

/// A state and the point in the log that it belongs to.
#[derive(Debug, Clone, Default)]
pub struct Applying {
    /// After every command up to `log_id`.
    pub state: State,
    /// The last entry that was applied.
    pub log_id: Option<LogIdOf<Types>>,
    /// The members as of then.
    pub membership: StoredMembershipOf<Types>,
    /// Who was a member before.
    pub removed: Removed,
}

/// The state as it is applied, for whoever reads it on this node.
#[derive(Debug, Clone)]
pub struct SharedState {
    applying: Arc<RwLock<Applying>>,
    applied: watch::Sender<u64>,
    followed: Arc<Followed>,
}

impl Default for SharedState {
    fn default() -> Self {
        Self { applying: Arc::default(), applied: watch::Sender::new(0), followed: Arc::default() }
    }
}

impl SharedState {
    /// The state after what was applied so far. Held only as long as it takes to copy something out: nothing is
    /// applied meanwhile.
    pub fn read(&self) -> RwLockReadGuard<'_, Applying> {
        self.applying.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes whenever something was applied; the index of the last entry.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.applied.subscribe()
    }

    /// Tells when something happens to a run. What happened before is to be read after this was asked for.
    pub(crate) fn follow(&self, run: RunId) -> Following {
        self.followed.follow(run)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Applying> {
        self.applying.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies an entry.
    fn enter(
        &self,
        log_id: LogIdOf<Types>,
        payload: EntryPayload<Batch, NodeId, Member>,
        skips: bool,
    ) -> io::Result<Applied> {
        let mut applied = Applied::default();
        // Nobody can read meanwhile: what needs no state is done before.
        let (commands, membership) = match payload {
            EntryPayload::Blank => (Vec::new(), None),
            EntryPayload::Normal(batch) => (if skips { Vec::new() } else { batch.decode()? }, None),
            EntryPayload::Membership(membership) => (Vec::new(), Some(membership)),
        };
        let mut applying = self.write();
        for command in &commands {
            applied.effects.append(&mut applying.state.apply(command));
        }
        if let Some(membership) = membership {
            let after = StoredMembershipOf::<Types>::new(Some(log_id), membership);
            let before = std::mem::replace(&mut applying.membership, after.clone());
            applying.removed.note(&before, &after);
        }
        applying.log_id = Some(log_id);
        drop(applying);
        self.followed.tell(&commands, &applied.effects);
        Ok(applied)
    }

    fn announce(&self) {
        let index = self.read().log_id.map_or(0, |log_id| log_id.index);
        self.applied.send_replace(index);
    }
}

/// Entries with more bytes are applied on a thread for long work, so that raft goes on.
const LARGE: usize = 64 << 10;

/// Applies the log.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) shared: SharedState,
    pub(super) snapshots: Snapshots,
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = SnapshotFile;
    type SnapshotBuilder = Builder;

    async fn applied_state(
        &mut self,
    ) -> Result<(Option<LogIdOf<Types>>, StoredMembershipOf<Types>), io::Error> {
        let applying = self.shared.read();
        Ok((applying.log_id, applying.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + OptionalSend,
    {
        while let Some((entry, responder)) = entries.try_next().await? {
            let skips =
                planted::is(Bug::SkipEntry) && responder.is_none() && entry.log_id.index.is_multiple_of(16);
            let is_large = matches!(&entry.payload, EntryPayload::Normal(batch) if batch.size() > LARGE);
            let shared = self.shared.clone();
            let apply = move || shared.enter(entry.log_id, entry.payload, skips);
            let applied = if is_large { blocking(apply).await.map_err(io::Error::other)?? } else { apply()? };
            if let Some(responder) = responder {
                responder.send(applied);
            }
        }
        self.shared.announce();
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        // Runs are shared between the copies until one of them changes.
        Builder { applying: self.shared.read().clone(), snapshots: self.snapshots.clone() }
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMetaOf<Types>,
        snapshot: SnapshotFile,
    ) -> Result<(), io::Error> {
        let Kept { mut state, removed } = self.snapshots.install(&snapshot).await?;
        if planted::is(Bug::StaleSnapshot) {
            state = self.shared.read().state.clone();
        }
        let (log_id, membership) = (meta.last_log_id, meta.last_membership.clone());
        *self.shared.write() = Applying { state, log_id, membership, removed };
        self.shared.followed.tell_all();
        self.shared.announce();
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<SnapshotOf<Types, SnapshotFile>>, io::Error> {
        self.snapshots.newest().await
    }
}

/// Writes one snapshot.
#[derive(Debug)]
pub(super) struct Builder {
    applying: Applying,
    snapshots: Snapshots,
}

impl RaftSnapshotBuilder<Types> for Builder {
    type SnapshotData = SnapshotFile;

    async fn build_snapshot(&mut self) -> Result<SnapshotOf<Types, SnapshotFile>, io::Error> {
        let Applying { state, log_id, membership, removed } = std::mem::take(&mut self.applying);
        let meta = SnapshotMetaOf::<Types> { last_log_id: log_id, last_membership: membership };
        let snapshot = self.snapshots.write(&meta, Kept { state, removed }).await?;
        Ok(SnapshotOf::<Types, SnapshotFile> { meta, snapshot })
    }
}
