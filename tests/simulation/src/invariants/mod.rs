//! What must hold, one property a file.

mod acknowledged;
mod applied;
mod leader;
mod log;
mod terms;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use cullet_coordinator::raft::NodeId;

use crate::coordinator::Coordinator;
use crate::history::History;
use crate::operator;

/// The first thing that was wrong. Nothing after it is worth knowing.
#[derive(Clone, Default)]
pub(crate) struct Broken(Rc<RefCell<Option<String>>>);

impl Broken {
    /// Remembers what is wrong unless the condition holds.
    pub(crate) fn check(&self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.0.borrow_mut().get_or_insert_with(what);
        }
    }

    pub(crate) fn get(&self) -> Option<String> {
        self.0.borrow().clone()
    }
}

/// One coordinator at one moment.
pub(crate) struct Sight {
    pub(crate) id: NodeId,
    pub(crate) incarnation: u64,
    pub(crate) term: u64,
    /// Whether it takes itself for the leader.
    pub(crate) leads: bool,
    /// The index of the last entry that it applied.
    pub(crate) applied: u64,
    pub(crate) log_hash: [u8; 32],
}

impl Sight {
    /// None where no process runs.
    pub(crate) fn of(coordinator: &Coordinator) -> Option<Self> {
        let node = coordinator.node.borrow();
        let node = node.as_ref()?;
        let view = node.view();
        let applying = node.state().read();
        Some(Self {
            id: coordinator.id.get(),
            incarnation: coordinator.incarnation.get(),
            term: view.term,
            leads: node.leads(),
            applied: applying.log_id.map_or(0, |log_id| log_id.index),
            log_hash: applying.state.log_hash(),
        })
    }
}

/// Looks at all coordinators again and again.
pub(crate) trait Invariant {
    /// What it says of a moment.
    fn look(&mut self, at: Duration, sights: &[Sight], broken: &Broken);
}

/// All that are about a moment.
pub(crate) fn all() -> Vec<Box<dyn Invariant>> {
    vec![
        Box::new(applied::NeverBack::default()),
        Box::new(leader::OneProcess::default()),
        Box::new(log::TheSameEverywhere::default()),
        Box::new(terms::NeverBack::default()),
    ]
}

/// When everybody had time to catch up.
pub(crate) fn at_the_end(coordinators: &[Rc<Coordinator>], history: &History, broken: &Broken) {
    acknowledged::at_the_end(coordinators, history, broken);
    operator::at_the_end(coordinators, broken);
}
