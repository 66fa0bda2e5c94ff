//! How coordinators that know each other's addresses become one cluster, once, and how one that comes later joins it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cullet_proto::v1;
use cullet_proto::v1::cluster_client::ClusterClient;
use cullet_raft_log::{ClusterId, Identity, RealDisk};
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::Status;
use tonic::transport::Channel;

use super::peers::{ask, connect};
use super::seat::Seat;
use crate::raft::{Member, MemberView, Node, NodeError, NodeId, Timing};

/// How often the others are asked until there is a cluster.
const PAUSE: Duration = Duration::from_millis(300);

/// How long one of them has to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// A new member is taken in only when it has caught up.
const JOINING: Duration = Duration::from_secs(120);

/// How long a leader may need for hearing of one that it reaches, and how long it is tried to tell it a new address.
const UNHEARD: Duration = Duration::from_secs(2);
const MOVING: Duration = Duration::from_secs(15);

/// Why a coordinator cannot take its place.
#[derive(Debug, thiserror::Error)]
pub enum FormError {
    /// Its log cannot be used.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// Its log is damaged and there is nobody to get another one from.
    #[error("{problem}. It is the only coordinator: restore {dir} from a backup", dir = .dir.display())]
    Damaged {
        /// What is wrong.
        problem: String,
        /// Where.
        dir: PathBuf,
    },
    /// The cluster has removed it. It keeps its seat, so that whoever asks is told.
    #[error("the cluster has removed this coordinator")]
    Removed,
    /// A damaged log cannot be put aside.
    #[error("the damaged log {dir} cannot be put aside: {source}", dir = .dir.display())]
    PutAside {
        /// Where it is.
        dir: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

impl FormError {
    /// Somebody still has the log open: another process, or a part of this one that is about to end.
    pub const fn is_in_use(&self) -> bool {
        matches!(self, Self::Node(NodeError::Log(cullet_raft_log::Error::Locked { .. })))
    }
}

/// What a coordinator knows before it belongs to a cluster.
#[derive(Debug, Clone)]
pub struct Formation {
    /// Where its log is.
    pub dir: PathBuf,
    /// Where the others are, as `http://host:port`. It may be among them.
    pub peers: Vec<String>,
    /// How many coordinators make a new cluster.
    pub expect: usize,
    /// How patient it is.
    pub timing: Timing,
}

/// What one of the others said.
struct Answer {
    address: String,
    status: v1::StatusResponse,
}

impl Answer {
    fn cluster(&self) -> Option<ClusterId> {
        (!self.status.members.is_empty()).then(|| parse_cluster(&self.status.cluster_id)).flatten()
    }

    fn has_voter(&self, id: NodeId) -> bool {
        self.status.members.iter().any(|member| member.id == id && member.voter)
    }
}

impl Formation {
    /// Takes the seat: with the log that is there; by joining a cluster that one of the others belongs to; or by
    /// making one with them, when as many as expected are there and none belongs to any. Returns when the cluster has
    /// taken this coordinator in. Waits for as long as that takes.
    ///
    /// A damaged log is put aside, and the coordinator joins under another number: what it had voted for cannot be
    /// known any more.
    pub async fn form(
        &self,
        seat: &Arc<Seat>,
        failed: watch::Sender<Option<String>>,
    ) -> Result<(), FormError> {
        match Identity::read(&RealDisk, &self.dir) {
            Ok(Some(identity)) => match self.open(seat, identity, &failed).await {
                Err(FormError::Node(NodeError::Log(error))) if error.is_corrupt() => {
                    self.put_aside(&error.to_string())?;
                }
                opened => {
                    opened?;
                    return self.be_member(seat).await;
                }
            },
            Ok(None) => {}
            Err(error) if error.is_corrupt() => self.put_aside(&error.to_string())?,
            Err(error) => return Err(NodeError::Log(error).into()),
        }
        loop {
            let answers = self.ask_all(seat).await;
            if let Some(cluster) = answers.iter().find_map(Answer::cluster) {
                self.open(seat, Identity { cluster, node: seat.id() }, &failed).await?;
                return self.be_member(seat).await;
            }
            if let Some(members) = self.founders(seat, &answers) {
                let cluster = cluster_of(&members);
                self.open(seat, Identity { cluster, node: seat.id() }, &failed).await?;
                if let Some(node) = seat.node()
                    && let Err(error) = node.bootstrap(members).await
                {
                    tracing::error!(%error, "the cluster could not be made");
                }
                return self.be_member(seat).await;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn open(
        &self,
        seat: &Seat,
        identity: Identity,
        failed: &watch::Sender<Option<String>>,
    ) -> Result<(), FormError> {
        let node = Node::open(&self.dir, identity, self.timing, seat.dial().clone(), failed.clone()).await?;
        seat.take(node);
        Ok(())
    }

    fn put_aside(&self, problem: &str) -> Result<(), FormError> {
        if self.others().next().is_none() {
            return Err(FormError::Damaged { problem: problem.to_owned(), dir: self.dir.clone() });
        }
        let aside = free_name(&self.dir);
        tracing::error!(problem, aside = %aside.display(), "the log is damaged: it is put aside, and this coordinator joins anew");
        std::fs::rename(&self.dir, &aside)
            .map_err(|source| FormError::PutAside { dir: self.dir.clone(), source })
    }

    fn others(&self) -> impl Iterator<Item = &String> {
        self.peers.iter()
    }

    /// Asks everybody who they are. Those who do not answer are left out.
    async fn ask_all(&self, seat: &Seat) -> Vec<Answer> {
        let asked = self.others().filter(|address| *address != seat.address()).map(|address| async move {
            let status = ask(seat.dial(), address, PATIENCE).await.ok()?;
            // An address may lead back here under another name.
            (status.id != seat.id()).then(|| Answer { address: address.clone(), status })
        });
        futures_util::future::join_all(asked).await.into_iter().flatten().collect()
    }

    /// The members of a new cluster, if it is this coordinator's turn to make it: all that are expected are there,
    /// none belongs to a cluster, and no other one has a lower number.
    fn founders(&self, seat: &Seat, answers: &[Answer]) -> Option<BTreeMap<NodeId, Member>> {
        let mut members = BTreeMap::from([(seat.id(), Member { address: seat.address().to_owned() })]);
        for answer in answers.iter().filter(|answer| answer.status.cluster_id.is_empty()) {
            members.insert(answer.status.id, Member { address: answer.address.clone() });
        }
        let complete = members.len() == self.expect.max(1) && answers.len() + 1 == members.len();
        (complete && members.keys().next() == Some(&seat.id())).then_some(members)
    }

    /// Waits until the cluster has taken this coordinator in, and asks for it as long as it has not.
    async fn be_member(&self, seat: &Seat) -> Result<(), FormError> {
        // The leader that is asked may die when this one has a place and no vote yet.
        let mut has_asked = false;
        loop {
            let is_in = |member: &MemberView| member.id == seat.id() && (member.voter || !has_asked);
            if let Some(member) = seat.members().into_iter().find(is_in) {
                if member.address != seat.address() {
                    self.move_in(seat).await;
                }
                return Ok(());
            }
            let node = seat.node();
            for answer in self.ask_all(seat).await {
                if answer.cluster() != seat.cluster() || answer.has_voter(seat.id()) {
                    continue;
                }
                if let Some(node) = &node
                    && (node.is_removed() || node.was_removed(&answer.address).await)
                {
                    return Err(FormError::Removed);
                }
                let Ok(channel) = connect(seat.dial(), &answer.address, JOINING) else { continue };
                has_asked = true;
                match ask_to_take_in(channel, seat).await {
                    Ok(()) => break,
                    Err(status) => tracing::warn!(peer = answer.address, %status, "not taken in yet"),
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The cluster knows this coordinator at another address. Where the leader does not hear it, nobody reaches it there, and
    /// it asks to be reached at its own one: for some time, as it may be that nobody leads.
    async fn move_in(&self, seat: &Seat) {
        let began = Instant::now();
        while began.elapsed() < MOVING {
            let answers = self.ask_all(seat).await;
            let leader = answers.iter().find(|answer| answer.status.leader == answer.status.id);
            let place = leader.and_then(|leader| leader.status.members.iter().find(|m| m.id == seat.id()));
            // It may have been heard before it was started again.
            let heard = place.and_then(|place| place.heard_ms_ago).map(Duration::from_millis);
            if heard.is_some_and(|heard| heard + PAUSE < began.elapsed())
                || place.is_some_and(|place| place.address == seat.address())
            {
                return;
            }
            if let Some(leader) = leader.filter(|_| began.elapsed() > UNHEARD)
                && let Ok(channel) = connect(seat.dial(), &leader.address, JOINING)
            {
                match ask_to_take_in(channel, seat).await {
                    Ok(()) => tracing::info!(address = seat.address(), "the cluster knows the new address"),
                    Err(status) => tracing::warn!(%status, "the cluster does not take the new address yet"),
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
        tracing::warn!(
            address = seat.address(),
            "the cluster reaches this coordinator at another address, if at all"
        );
    }
}

/// Asks for a place at the address where this coordinator is.
async fn ask_to_take_in(channel: Channel, seat: &Seat) -> Result<(), Status> {
    let (id, address) = (seat.id(), seat.address().to_owned());
    let request = v1::AddMemberRequest { id, address, learner: false };
    ClusterClient::new(channel).add_member(request).await.map(drop)
}

/// What a cluster of these founders is called: the same for whoever asks.
fn cluster_of(members: &BTreeMap<NodeId, Member>) -> ClusterId {
    let mut hasher = blake3::Hasher::new_derive_key("cullet cluster id v1");
    for id in members.keys() {
        hasher.update(&id.to_le_bytes());
    }
    let mut id = [0; 16];
    id.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    ClusterId(id)
}

fn parse_cluster(text: &str) -> Option<ClusterId> {
    u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32).map(|id| ClusterId(id.to_be_bytes()))
}

fn free_name(dir: &Path) -> PathBuf {
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(".damaged");
    let first = dir.with_file_name(&name);
    let numbered = (2..1000_u32).map(|number| first.with_extension(format!("damaged-{number}")));
    std::iter::once(first.clone()).chain(numbered).find(|path| !path.exists()).unwrap_or(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_id_is_read_back() {
        let members = BTreeMap::from([(3, Member::default()), (9, Member::default())]);
        let id = cluster_of(&members);
        assert_eq!(parse_cluster(&id.to_string()), Some(id));
        assert_eq!(parse_cluster("12"), None);
        assert_ne!(cluster_of(&BTreeMap::from([(3, Member::default())])), id);
    }

    #[test]
    fn damaged_logs_get_names_of_their_own() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("raft");
        let first = free_name(&log);
        assert_eq!(first, dir.path().join("raft.damaged"));
        std::fs::create_dir(&first).unwrap();
        assert_eq!(free_name(&log), dir.path().join("raft.damaged-2"));
    }
}
