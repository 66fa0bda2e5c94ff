//! One coordinator's part in raft.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use cullet_core::{Effect, LogCommand};
use cullet_proto::Dial;
use cullet_proto::raft::raft_server::Raft as RaftRpc;
use cullet_raft_log::{Identity, Log, RealDisk};
use openraft::async_runtime::WatchReceiver as _;
use openraft::errors::{
    ChangeMembershipError, ClientWriteError, InitializeError, LinearizableReadError, RaftError,
};
use openraft::raft::ReadPolicy;
use tokio::sync::watch;
use tokio::time::Instant;

use super::batch::Batch;
use super::contact::Contact;
use super::frame::Framing;
use super::machine::{Machine, SharedState};
use super::network::Network;
use super::service::{AppendAnswers, RaftService};
use super::snapshot::Snapshots;
use super::store::Store;
use super::timing::{Timing, config};
use super::types::{Member, NodeId, Types};
use crate::planted::{self, Bug};

/// Who leads, as far as this node knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leader {
    /// Its number.
    pub id: NodeId,
    /// Where it is.
    pub address: String,
}

/// Why something did not get through raft.
#[derive(Debug, thiserror::Error)]
pub enum ProposeError {
    /// Another node decides. Nothing was done.
    #[error("this coordinator does not lead{}", .leader.as_ref().map(|leader| format!("; {} does", leader.address)).unwrap_or_default())]
    NotLeader {
        /// Who does, if that is known.
        leader: Option<Leader>,
    },
    /// There was no answer in time, or this node lost its place meanwhile: it may have been done, or may still be.
    #[error("no quorum of coordinators answered in time: {reason}")]
    Unknown {
        /// What happened.
        reason: String,
    },
    /// This node can do nothing any more.
    #[error("this coordinator has stopped: {reason}")]
    Stopped {
        /// Why.
        reason: String,
    },
    /// The change is not possible.
    #[error("{reason}")]
    Refused {
        /// Why.
        reason: String,
    },
}

type Raft = openraft::Raft<Types, Machine>;

/// One coordinator's part in raft.
#[derive(Clone)]
pub struct Node {
    pub(super) raft: Raft,
    pub(super) identity: Identity,
    pub(super) state: SharedState,
    log: Log,
    pub(super) timing: Timing,
    pub(super) network: Network,
    pub(super) contact: Arc<Contact>,
    /// Another one said that this one was removed.
    pub(super) told: watch::Sender<bool>,
    /// Held while the members are changed.
    pub(super) changing: Arc<tokio::sync::Mutex<()>>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// Why a node could not be started.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The log cannot be used.
    #[error(transparent)]
    Log(#[from] cullet_raft_log::Error),
    /// The settings contradict each other.
    #[error("the timing of raft is not possible: {0}")]
    Timing(String),
    /// Raft could not read what it needs.
    #[error("raft cannot start: {0}")]
    Start(String),
}

impl Node {
    /// Opens the log in `dir`, or makes one, and takes part. Must be called in a tokio runtime. `failed` is told when
    /// the disk failed for good: the process should end then.
    pub async fn open(
        dir: &Path,
        identity: Identity,
        timing: Timing,
        dial: Dial,
        failed: watch::Sender<Option<String>>,
    ) -> Result<Self, NodeError> {
        let on_failure = Box::new(move |error: &cullet_raft_log::Error| {
            failed.send_replace(Some(error.to_string()));
        });
        let log =
            Log::open(Arc::new(RealDisk), dir, identity, cullet_raft_log::Config::default(), on_failure)?;
        Self::start(log, timing, dial).await
    }

    /// Takes part with a log that is open. `dial` leads to the others.
    pub async fn start(log: Log, timing: Timing, dial: Dial) -> Result<Self, NodeError> {
        let identity = log.identity();
        let state = SharedState::default();
        let machine = Machine { shared: state.clone(), snapshots: Snapshots::new(log.clone()) };
        let config = config(&timing)?;
        let network = Network { framing: framing(identity), dial, state: state.clone() };
        let raft = Raft::new(identity.node, config, network.clone(), Store::new(log.clone()), machine).await;
        let raft = raft.map_err(|error| NodeError::Start(error.to_string()))?;
        let contact = Arc::new(Contact::new(timing.commit));
        let (told, changing) = (watch::Sender::new(false), Arc::default());
        Ok(Self { raft, identity, state, log, timing, network, contact, told, changing })
    }

    /// Who this node is.
    pub const fn identity(&self) -> Identity {
        self.identity
    }

    /// What was applied on this node.
    pub const fn state(&self) -> &SharedState {
        &self.state
    }

    /// What the other coordinators call.
    pub fn rpc(&self) -> impl RaftRpc<AppendStream = AppendAnswers> + use<> {
        RaftService {
            raft: self.raft.clone(),
            framing: framing(self.identity),
            snapshots: Snapshots::new(self.log.clone()),
            node: self.clone(),
        }
    }

    /// Makes the cluster. Only one of its first members does; once it was done, it changes nothing.
    ///
    /// # Errors
    /// [`ProposeError::Refused`] where the members do not include this node.
    pub async fn bootstrap(&self, members: BTreeMap<NodeId, Member>) -> Result<(), ProposeError> {
        match self.raft.initialize(members).await {
            Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
            Err(RaftError::APIError(error)) => Err(ProposeError::Refused { reason: error.to_string() }),
            Err(RaftError::Fatal(error)) => Err(ProposeError::Stopped { reason: error.to_string() }),
        }
    }

    /// Whether this node has ever been part of a cluster.
    pub async fn is_initialized(&self) -> bool {
        self.raft.is_initialized().await.unwrap_or(false)
    }

    /// Makes commands durable on a quorum, applies them, and gives the effects, which are this node's to perform.
    ///
    /// # Errors
    /// After [`ProposeError::Unknown`] the commands may be applied or not, now or later.
    pub async fn propose(&self, batch: Batch) -> Result<Vec<Effect>, ProposeError> {
        if planted::is(Bug::AckEarly)
            && let Some(answers) = self.answered_early(&batch)
        {
            return Ok(answers);
        }
        let proposed = Instant::now();
        let written = tokio::time::timeout(self.timing.commit, self.raft.client_write(batch)).await;
        match written {
            Err(_) if planted::is(Bug::DenyUnknown) => Err(ProposeError::NotLeader { leader: None }),
            Ok(Ok(response)) => {
                self.contact.note_agreement(proposed);
                Ok(response.data.effects)
            }
            Ok(Err(error)) => Err(self.write_error(error)),
            Err(_) => Err(ProposeError::Unknown { reason: self.no_answer() }),
        }
    }

    /// Returns once this node has applied everything that was answered anywhere before the call, and was the leader
    /// meanwhile.
    pub async fn barrier(&self) -> Result<(), ProposeError> {
        if planted::is(Bug::SkipBarrier) {
            return Ok(());
        }
        self.read_index().await.map(drop)
    }

    /// Does what [`Node::barrier`] says, and gives the index of the last entry that was answered before the call.
    pub(super) async fn read_index(&self) -> Result<u64, ProposeError> {
        // Asking would tell the others that it still leads.
        if self.leads_nobody() {
            return Err(ProposeError::Unknown { reason: "too few coordinators answer".to_owned() });
        }
        let confirmed = self.raft.ensure_linearizable(ReadPolicy::ReadIndex);
        match tokio::time::timeout(self.timing.commit, confirmed).await {
            Ok(Ok(read)) => Ok(read.log_id().index),
            Ok(Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(_)))) => {
                Err(ProposeError::NotLeader { leader: self.leader() })
            }
            Ok(Err(RaftError::APIError(error))) => Err(ProposeError::Unknown { reason: error.to_string() }),
            Ok(Err(RaftError::Fatal(error))) => Err(ProposeError::Stopped { reason: error.to_string() }),
            Err(_) => Err(ProposeError::Unknown { reason: self.no_answer() }),
        }
    }

    /// Who leads, unless that is this node's guess about itself before it was confirmed.
    pub fn leader(&self) -> Option<Leader> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let id = metrics.current_leader?;
        let member = metrics.membership_config.membership().get_node(&id)?;
        Some(Leader { id, address: member.address.clone() })
    }

    /// Whether this node leads, as far as it knows: only [`Node::propose`] and [`Node::barrier`] can tell.
    pub fn leads(&self) -> bool {
        self.raft.is_leader()
    }

    /// Returns when the term or the leader is not `known` any more, with what it is then; at once if it is not already.
    pub async fn leader_change(&self, known: (u64, Option<NodeId>)) -> (u64, Option<NodeId>) {
        // The other metrics change with every entry.
        let mut metrics = self.raft.server_metrics();
        loop {
            let current = {
                let metrics = metrics.borrow_watched();
                (metrics.vote.leader_id().term, metrics.current_leader)
            };
            if current != known {
                return current;
            }
            if metrics.changed().await.is_err() {
                // Raft has stopped, and nobody leads for this node any more.
                return std::future::pending().await;
            }
        }
    }

    /// Writes a snapshot, whether it is time or not.
    pub async fn snapshot(&self) -> Result<(), ProposeError> {
        let asked = self.raft.trigger().snapshot().await;
        asked.map_err(|error| ProposeError::Stopped { reason: error.to_string() })
    }

    /// Returns when raft can do nothing any more on this node, with the reason.
    pub async fn stopped(&self) -> String {
        let mut changing = self.raft.server_metrics();
        while changing.changed().await.is_ok() {}
        match &self.raft.metrics().borrow_watched().running_state {
            Err(error) => error.to_string(),
            Ok(()) => "it was shut down".to_owned(),
        }
    }

    /// Ends this node's part. What was acknowledged is durable.
    pub async fn shutdown(&self) {
        // It fails only where raft had stopped already.
        drop(self.raft.shutdown().await);
    }

    /// For [`Bug::AckEarly`]: proposes a lone submission and does not wait for it.
    fn answered_early(&self, batch: &Batch) -> Option<Vec<Effect>> {
        let commands = batch.decode().ok()?;
        let [LogCommand::Submit { run, .. }] = &commands[..] else { return None };
        let (raft, batch) = (self.raft.clone(), batch.clone());
        tokio::spawn(async move { drop(raft.client_write(batch).await) });
        Some(vec![Effect::SubmitAccepted { run: *run, existed: false }])
    }

    fn no_answer(&self) -> String {
        format!("no answer in {} s", self.timing.commit.as_secs_f32())
    }

    pub(super) fn write_error(&self, error: RaftError<Types, ClientWriteError<Types>>) -> ProposeError {
        match error {
            RaftError::APIError(ClientWriteError::ForwardToLeader(_)) => {
                ProposeError::NotLeader { leader: self.leader() }
            }
            RaftError::APIError(ClientWriteError::ChangeMembershipError(
                ChangeMembershipError::InProgress(_),
            )) => under_way(),
            RaftError::APIError(ClientWriteError::ChangeMembershipError(error)) => {
                ProposeError::Refused { reason: error.to_string() }
            }
            RaftError::APIError(error) => ProposeError::Unknown { reason: error.to_string() },
            RaftError::Fatal(error) => ProposeError::Stopped { reason: error.to_string() },
        }
    }
}

pub(super) fn under_way() -> ProposeError {
    let reason = "another change of the members is under way: wait until it is done, and try again";
    ProposeError::Refused { reason: reason.to_owned() }
}

fn framing(identity: Identity) -> Framing {
    Framing::new(identity.cluster.to_string(), identity.node)
}
