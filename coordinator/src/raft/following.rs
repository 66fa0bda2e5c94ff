//! Who follows one run is told when something happens to it, and of nothing else: a busy cluster applies thousands of entries a
//! second.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cullet_core::{Effect, LogCommand, RunId};
use tokio::sync::watch;

/// Runs that are followed here.
#[derive(Debug, Default)]
pub(super) struct Followed(Mutex<HashMap<RunId, watch::Sender<()>>>);

/// Changes whenever something happens to a run.
#[derive(Debug)]
pub(crate) struct Following {
    run: RunId,
    changes: watch::Receiver<()>,
    followed: Arc<Followed>,
}

impl Followed {
    pub(super) fn follow(self: &Arc<Self>, run: RunId) -> Following {
        let changes = self.runs().entry(run).or_insert_with(|| watch::Sender::new(())).subscribe();
        Following { run, changes, followed: Arc::clone(self) }
    }

    /// Tells those whose runs had something happen.
    pub(super) fn tell(&self, commands: &[LogCommand], effects: &[Effect]) {
        let runs = self.runs();
        if runs.is_empty() {
            return;
        }
        for run in commands.iter().filter_map(resolved).chain(effects.iter().filter_map(run_of)) {
            if let Some(followers) = runs.get(&run) {
                followers.send_replace(());
            }
        }
    }

    /// Nobody knows what happened.
    pub(super) fn tell_all(&self) {
        for followers in self.runs().values() {
            followers.send_replace(());
        }
    }

    fn runs(&self) -> MutexGuard<'_, HashMap<RunId, watch::Sender<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A step that begins to wait for a worker has no effect.
const fn resolved(command: &LogCommand) -> Option<RunId> {
    match command {
        LogCommand::Resolved { id, .. } => Some(id.run),
        _ => None,
    }
}

const fn run_of(effect: &Effect) -> Option<RunId> {
    match effect {
        Effect::Resolve { id, .. }
        | Effect::Start { id, .. }
        | Effect::Stop { id, .. }
        | Effect::StepFinished { id }
        | Effect::StepRewound { id } => Some(id.run),
        Effect::Deliver { run } | Effect::RunForgotten { run } | Effect::RunFinished { run } => Some(*run),
        Effect::SubmitAccepted { .. } | Effect::SubmitRefused { .. } => None,
    }
}

impl Following {
    /// Until something has happened since this was asked the last time.
    pub(crate) async fn changed(&mut self) {
        // The sender is there for as long as anybody follows.
        let _ = self.changes.changed().await;
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let mut runs = self.followed.runs();
        // This one is still counted.
        if runs.get(&self.run).is_some_and(|followers| followers.receiver_count() <= 1) {
            runs.remove(&self.run);
        }
    }
}

#[cfg(test)]
mod tests {
    use cullet_core::{Resolution, StepId};
    use cullet_digest::DigestFunction;
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn followers_hear_of_their_run_and_of_no_other() {
        let followed = Arc::new(Followed::default());
        let (mut one, mut two) = (followed.follow(RunId(1)), followed.follow(RunId(2)));
        let mut other = followed.follow(RunId(1));
        followed.tell(&[], &[Effect::StepFinished { id: StepId { run: RunId(1), step: 0 } }]);
        assert!(one.changed().now_or_never().is_some() && other.changed().now_or_never().is_some());
        assert!(one.changed().now_or_never().is_none() && two.changed().now_or_never().is_none());
        let (id, resolution) =
            (StepId { run: RunId(2), step: 0 }, Resolution::miss(DigestFunction::Blake3.digest(b"")));
        followed.tell(&[LogCommand::Resolved { id, resolution, at: 0 }], &[]);
        assert!(two.changed().now_or_never().is_some(), "it waits for a worker now");
        followed.tell_all();
        assert!(two.changed().now_or_never().is_some());
        drop(one);
        followed.tell(&[], &[Effect::RunFinished { run: RunId(1) }]);
        assert!(other.changed().now_or_never().is_some());
        drop((other, two));
        assert!(followed.runs().is_empty());
    }
}
