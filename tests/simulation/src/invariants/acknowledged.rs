//! What was acknowledged is there, and what was refused is not.

use std::rc::Rc;

use super::Broken;
use crate::coordinator::Coordinator;
use crate::history::{Answer, History};

/// Everywhere, when everybody had time to catch up.
pub(super) fn at_the_end(coordinators: &[Rc<Coordinator>], history: &History, broken: &Broken) {
    for coordinator in coordinators.iter().filter(|coordinator| !coordinator.spare) {
        let node = coordinator.node.borrow();
        let Some(node) = node.as_ref() else { continue };
        let applying = node.state().read();
        for run in history.with(Answer::Acknowledged) {
            broken.check(applying.state.run(run).is_some(), || {
                format!("{} does not have run {}, which was acknowledged", coordinator.host, run.0)
            });
        }
        for run in history.with(Answer::Refused) {
            broken.check(applying.state.run(run).is_none(), || {
                format!("{} has run {}, which was refused", coordinator.host, run.0)
            });
        }
    }
}
