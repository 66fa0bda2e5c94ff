//! Whoever operates the cluster: says who takes part, through whichever coordinator leads.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use cullet_coordinator::raft::{Batch, Member, Node, NodeId, ProposeError};

use crate::coordinator::Coordinator;
use crate::invariants::Broken;
use crate::trace::Trace;

/// How long a coordinator has for an order, until it is given to whoever leads then.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a coordinator is told to do.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    HandOver,
    TakeIn { id: NodeId, member: Member, learner: bool },
    TakeOut { id: NodeId },
}

/// To one coordinator's process. It is dropped with that.
#[derive(Debug)]
pub(crate) struct Order {
    change: Change,
    /// Whether it succeeded, once that is known.
    done: Cell<Option<bool>>,
}

impl Order {
    pub(crate) fn new(change: Change) -> Rc<Self> {
        Rc::new(Self { change, done: Cell::new(None) })
    }

    /// Carries it out where that is possible in time.
    pub(crate) async fn obey(&self, node: &Node, host: &str, trace: &Trace) {
        let came = tokio::time::timeout(PATIENCE, self.change.on(node)).await;
        let done = matches!(came, Ok(Ok(())));
        if done || matches!(self.change, Change::HandOver) {
            trace.add(format_args!("{host} does {:?}: {came:?}", self.change));
        }
        self.done.set(Some(done));
    }
}

impl Change {
    async fn on(&self, node: &Node) -> Result<(), ProposeError> {
        match self {
            Self::HandOver => return node.transfer(None).await.map(drop),
            Self::TakeIn { id, member, learner } => node.add_member(*id, member.clone(), *learner).await?,
            Self::TakeOut { id } if node.view().members.iter().all(|member| member.id != *id) => {}
            Self::TakeOut { id } => {
                node.remove_member(*id).await?;
                if *id == node.identity().node {
                    ask_for_more(node).await;
                }
            }
        }
        // It may know of a change that is not committed; what it commits after that says that it is.
        node.propose(Batch::default()).await.map(drop)
    }
}

/// A leader that has taken itself out leads until the others know it, and may be asked for another change meanwhile. It must
/// not make it.
async fn ask_for_more(node: &Node) {
    let another = node.view().members.into_iter().find(|member| member.id != node.identity().node);
    if let Some(another) = another {
        // What it answers is not what is looked at: whoever takes part is, at the end.
        drop(node.remove_member(another.id).await);
    }
}

/// What part a coordinator is to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Voter,
    Learner,
    None,
}

impl Part {
    /// The spare one may lead when something happens to whoever leads, and takes no part after that.
    pub(crate) fn at_the_end(coordinator: &Coordinator) -> Self {
        if coordinator.spare { Self::None } else { Self::Voter }
    }
}

/// Tries until it is as it is wanted, one change after the other.
#[derive(Debug, Default)]
pub(crate) struct Operator {
    /// Coordinators by position.
    wanted: VecDeque<(usize, Part)>,
    asked: Option<Rc<Order>>,
}

impl Operator {
    pub(crate) fn want(&mut self, position: usize, part: Part) {
        self.wanted.push_back((position, part));
    }

    /// Wants nothing any more.
    pub(crate) fn give_up(&mut self) {
        self.wanted.clear();
        self.asked = None;
    }

    /// Whether everything is as it was wanted.
    pub(crate) fn is_idle(&self) -> bool {
        self.wanted.is_empty()
    }

    /// Asks whoever leads, and asks again where that led to nothing.
    pub(crate) fn tick(&mut self, all: &[Rc<Coordinator>]) {
        let Some((position, part)) = self.wanted.front() else { return };
        if let Some(order) = &self.asked {
            // The process that had it may be gone.
            match order.done.get() {
                None if Rc::strong_count(order) > 1 => return,
                Some(true) => drop(self.wanted.pop_front()),
                _ => {}
            }
            self.asked = None;
            return;
        }
        let (id, member) = all[*position].member();
        let change = match part {
            Part::None => Change::TakeOut { id },
            part => Change::TakeIn { id, member, learner: *part == Part::Learner },
        };
        let Some(leader) = all.iter().find(|coordinator| coordinator.leads()) else { return };
        let order = Order::new(change);
        leader.orders.borrow_mut().push_back(Rc::clone(&order));
        self.asked = Some(order);
    }
}

/// When every change is over, those take part that did at first, under the numbers that they have now, but for whoever was
/// taken out for good.
pub(crate) fn at_the_end(all: &[Rc<Coordinator>], broken: &Broken) {
    let mut wanted: Vec<NodeId> = all
        .iter()
        .filter(|one| !one.spare && !one.left.get())
        .map(|coordinator| coordinator.id.get())
        .collect();
    wanted.sort_unstable();
    let nodes: Vec<Node> = all.iter().filter_map(|coordinator| coordinator.node.borrow().clone()).collect();
    let newest = nodes.iter().map(Node::view).max_by_key(|view| view.applied_index);
    let Some(view) = newest else { return };
    let mut voters: Vec<NodeId> = view.members.iter().filter(|m| m.voter).map(|m| m.id).collect();
    voters.sort_unstable();
    broken.check(voters == wanted && view.members.len() == wanted.len(), || {
        format!("{wanted:?} should take part, and it is {:?}", view.members)
    });
}
