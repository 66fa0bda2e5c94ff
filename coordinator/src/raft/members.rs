//! Who takes part.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use openraft::ChangeMembers;
use openraft::alias::LogIdOf;
use openraft::async_runtime::{Instant as _, WatchReceiver as _};
use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout;

use super::node::{Node, ProposeError, under_way};
use super::types::{Member, NodeId, Types};
use crate::planted::{self, Bug};

/// How long a newcomer may take to get what there is: a snapshot of gigabytes over a slow network.
const CATCHING_UP: Duration = Duration::from_secs(90);

/// Whoever has it changes the members, and nobody else does.
type Turn = Arc<OwnedMutexGuard<()>>;

/// A member as it is known to this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberView {
    /// Its number.
    pub id: NodeId,
    /// Where it is.
    pub address: String,
    /// Whether it counts for a quorum.
    pub voter: bool,
    /// How long ago this node heard of it. Only a leader knows; not where it heard nothing since it leads.
    pub heard: Option<Duration>,
}

impl MemberView {
    /// Whether that one is at its address under another number: one of the two lost its disk.
    fn is_at_the_place_of(&self, id: NodeId, address: &str) -> bool {
        self.address == address && self.id != id
    }
}

/// What a node knows of itself and of the others.
#[derive(Debug, Clone, Default)]
pub struct RaftView {
    /// Who leads.
    pub leader: Option<NodeId>,
    /// The current term.
    pub term: u64,
    /// Of the last entry in its log.
    pub last_log_index: u64,
    /// Of the last entry that is known to be on a quorum.
    pub committed_index: u64,
    /// Of the last entry that was applied.
    pub applied_index: u64,
    /// Of the last entry that is in a snapshot.
    pub snapshot_index: u64,
    /// All members.
    pub members: Vec<MemberView>,
    /// Why it cannot take part any more, if that is so.
    pub failed: Option<String>,
}

impl Node {
    /// What this node knows.
    pub fn view(&self) -> RaftView {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let membership = metrics.membership_config.membership();
        let voters: BTreeSet<NodeId> = membership.voter_ids().collect();
        let index = |id: &Option<LogIdOf<Types>>| id.map_or(0, |id| id.index);
        let own = self.identity.node;
        let heard = |id: NodeId| match &metrics.heartbeat {
            Some(_) if id == own => Some(Duration::ZERO),
            Some(heard) => heard.get(&id).copied().flatten().map(|at| at.into_inner().elapsed()),
            None => None,
        };
        let member = |(id, member): (&NodeId, &Member)| MemberView {
            id: *id,
            address: member.address.clone(),
            voter: voters.contains(id),
            heard: heard(*id),
        };
        RaftView {
            leader: metrics.current_leader,
            term: metrics.current_term,
            last_log_index: metrics.last_log_index.unwrap_or(0),
            committed_index: index(&metrics.local_committed),
            applied_index: index(&metrics.last_applied),
            snapshot_index: index(&metrics.snapshot),
            members: membership.nodes().map(member).collect(),
            failed: metrics.running_state.as_ref().err().map(ToString::to_string),
        }
    }

    /// Takes a coordinator in: as a learner, and as a voter once it has caught up. A voter at the same address under
    /// another number had lost its disk, and is replaced. A member at another address has moved: whoever asks is at that
    /// address, which the caller has made sure of, so that there are no two of one number.
    ///
    /// # Errors
    /// [`ProposeError::Refused`] where that one was a member before.
    pub async fn add_member(&self, id: NodeId, member: Member, learner: bool) -> Result<(), ProposeError> {
        self.must_lead()?;
        // A new leader may not have applied all of what it has.
        self.barrier().await?;
        if self.state.read().removed.contains(id) {
            let reason = format!(
                "coordinator {id:016x} was removed from this cluster and stays removed: start it with an empty data \
                 directory, and it gets another number"
            );
            return Err(ProposeError::Refused { reason });
        }
        let turn = self.turn().await?;
        self.finish_joint(&turn).await?;
        let view = self.view();
        let is_it = |known: &MemberView| known.id == id && known.address == member.address && known.voter;
        let replaces = view.members.iter().any(|known| known.is_at_the_place_of(id, &member.address));
        if view.members.iter().any(is_it) && !replaces {
            return Ok(());
        }
        let moved = view.members.iter().find(|known| known.id == id && known.address != member.address);
        if moved.is_some() {
            let there = BTreeMap::from([(id, member.clone())]);
            self.change(&turn, ChangeMembers::SetNodes(there)).await?;
        }
        if moved.is_some_and(|known| known.voter) && !replaces {
            return Ok(());
        }
        let address = member.address.clone();
        self.takes_part()?;
        let added = self.raft.add_learner(id, member, false).await;
        let added = added.map_err(|error| self.write_error(error))?;
        if learner {
            return Ok(());
        }
        // Others need not wait for that.
        drop(turn);
        self.caught_up(id, added.log_id.index).await?;
        let turn = self.turn().await?;
        self.finish_joint(&turn).await?;
        let view = self.view();
        if !view.members.iter().any(|known| known.id == id) {
            let reason = format!("coordinator {id:016x} was taken out again before it had caught up");
            return Err(ProposeError::Refused { reason });
        }
        let mut voters: BTreeSet<NodeId> = view.members.iter().filter(|m| m.voter).map(|m| m.id).collect();
        for replaced in view.members.iter().filter(|known| known.is_at_the_place_of(id, &address)) {
            if !planted::is(Bug::KeepReplaced) {
                voters.remove(&replaced.id);
            }
        }
        voters.insert(id);
        self.change(&turn, ChangeMembers::ReplaceAllVoters(voters)).await?;
        // One that lost its disk before it had a vote.
        let left = self.view().members.into_iter().filter(|known| known.is_at_the_place_of(id, &address));
        let left: BTreeSet<NodeId> = left.map(|known| known.id).collect();
        if left.is_empty() { Ok(()) } else { self.change(&turn, ChangeMembers::RemoveNodes(left)).await }
    }

    /// Waits until a newcomer has the log up to this entry. The library's own wait ends for one that never answered, too,
    /// where the log is short.
    async fn caught_up(&self, id: NodeId, index: u64) -> Result<(), ProposeError> {
        let has_it = |metrics: &openraft::RaftMetrics<Types>| {
            let matching = metrics.replication.as_ref().map(|all| all.get(&id).copied().flatten());
            // Who leads no more learns nothing of it.
            matching.is_none_or(|matching| matching.is_some_and(|log_id| log_id.index >= index))
        };
        let waited = self.raft.wait(Some(CATCHING_UP)).metrics(has_it, "the newcomer has the log").await;
        let metrics = waited.map_err(|_| ProposeError::Refused {
            reason: format!(
                "coordinator {id:016x} has not caught up within {} s and stays a learner, without a vote: see whether it runs and \
                 can be reached at its address, and add it again",
                CATCHING_UP.as_secs()
            ),
        })?;
        if metrics.replication.is_none() {
            Err(ProposeError::NotLeader { leader: self.leader() })
        } else {
            Ok(())
        }
    }

    /// The library takes a change that was asked of another one for an error.
    fn must_lead(&self) -> Result<(), ProposeError> {
        if self.leads() { Ok(()) } else { Err(ProposeError::NotLeader { leader: self.leader() }) }
    }

    /// Waits until no other change of the members is under way here. Raft lets a second one in between the two steps of
    /// the first, which then fails half-way.
    async fn turn(&self) -> Result<Turn, ProposeError> {
        let turn = timeout(self.timing.commit, self.changing.clone().lock_owned()).await;
        turn.map(Arc::new).map_err(|_| under_way())
    }

    /// Both steps are taken even where whoever asked for the change waits no more.
    async fn change(&self, turn: &Turn, change: ChangeMembers<NodeId, Member>) -> Result<(), ProposeError> {
        self.takes_part()?;
        let (raft, turn) = (self.raft.clone(), turn.clone());
        let change = tokio::spawn(async move {
            let changed = raft.change_membership(change, false).await;
            drop(turn);
            changed
        });
        let changed = change.await.map_err(|error| ProposeError::Stopped { reason: error.to_string() })?;
        changed.map(drop).map_err(|error| self.write_error(error))
    }

    /// A leader that was taken out leads on until the others know that, and changes no members meanwhile: raft does not
    /// expect it to.
    fn takes_part(&self) -> Result<(), ProposeError> {
        let is_member = self.view().members.iter().any(|member| member.id == self.identity.node);
        if is_member || !self.leads() || planted::is(Bug::ChangeWhenOut) {
            return Ok(());
        }
        Err(ProposeError::NotLeader { leader: None })
    }

    /// Finishes changes of members that another leader began and did not come to the end of: until then those who go count
    /// as well, and one that is to replace another at its address does not.
    pub async fn finish_change(&self) -> Result<(), ProposeError> {
        self.finish_joint(&self.turn().await?).await?;
        let members = self.view().members;
        let replaces = |new: &&MemberView| {
            members.iter().any(|old| old.voter && old.is_at_the_place_of(new.id, &new.address))
        };
        for new in members.iter().filter(|member| !member.voter).filter(replaces) {
            self.add_member(new.id, Member { address: new.address.clone() }, false).await?;
        }
        Ok(())
    }

    async fn finish_joint(&self, turn: &Turn) -> Result<(), ProposeError> {
        let unfinished = {
            let metrics = self.raft.metrics();
            let metrics = metrics.borrow_watched();
            let configs = metrics.membership_config.membership().get_joint_config();
            configs.last().filter(|_| configs.len() > 1).cloned()
        };
        let Some(voters) = unfinished else { return Ok(()) };
        self.change(turn, ChangeMembers::ReplaceAllVoters(voters)).await
    }

    /// Takes a coordinator out.
    pub async fn remove_member(&self, id: NodeId) -> Result<(), ProposeError> {
        self.must_lead()?;
        let turn = self.turn().await?;
        self.finish_joint(&turn).await?;
        let view = self.view();
        let Some(member) = view.members.iter().find(|member| member.id == id) else {
            return Err(ProposeError::Refused { reason: format!("there is no member {id:016x}") });
        };
        let change = if member.voter {
            if view.members.iter().filter(|member| member.voter).count() == 1 {
                let reason = "the last voter cannot be removed: the cluster would be lost".to_owned();
                return Err(ProposeError::Refused { reason });
            }
            ChangeMembers::RemoveVoters(BTreeSet::from([id]))
        } else {
            ChangeMembers::RemoveNodes(BTreeSet::from([id]))
        };
        self.change(&turn, change).await
    }

    /// Asks a voter to lead, by default the one that is most up to date, and waits until one does that is not this node.
    pub async fn transfer(&self, to: Option<NodeId>) -> Result<NodeId, ProposeError> {
        self.must_lead()?;
        let view = self.view();
        let to = match to {
            Some(to) if !view.members.iter().any(|member| member.voter && member.id == to) => {
                return Err(ProposeError::Refused { reason: format!("{to:016x} is no voter") });
            }
            Some(to) => to,
            None => self
                .successor(&view)
                .ok_or_else(|| ProposeError::Refused { reason: "there is no other voter".to_owned() })?,
        };
        if to == self.identity.node {
            return Ok(to);
        }
        let asked = self.raft.trigger().transfer_leader(to).await;
        asked.map_err(|error| ProposeError::Stopped { reason: error.to_string() })?;
        let leads = |metrics: &openraft::RaftMetrics<Types>| {
            metrics.current_leader.is_some_and(|leader| leader != self.identity.node)
        };
        let waited = self.raft.wait(Some(self.timing.commit)).metrics(leads, "another leader").await;
        let metrics = waited.map_err(|error| ProposeError::Unknown { reason: error.to_string() })?;
        Ok(metrics.current_leader.unwrap_or(to))
    }

    /// The voter that has most of the log, and of several the one that answered last.
    fn successor(&self, view: &RaftView) -> Option<NodeId> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let matching =
            |id| metrics.replication.as_ref()?.get(&id).copied().flatten().map(|log_id| log_id.index);
        let heard = |id| metrics.heartbeat.as_ref()?.get(&id).copied().flatten();
        let others = view.members.iter().filter(|member| member.voter && member.id != self.identity.node);
        others.map(|member| member.id).max_by_key(|&id| (matching(id), heard(id)))
    }
}
