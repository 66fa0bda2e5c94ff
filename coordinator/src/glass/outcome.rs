//! What a journal says of results, compared with what the cluster has.

use std::collections::BTreeMap;

use cullet_cache::{ActionResult, OutputKind, Scope};
use cullet_digest::{Digest, TreeRef};
use futures_util::{StreamExt as _, stream};

use super::entry::{Entry, Event, StepRecord};
use crate::engine::{FUNCTION, Results};
use crate::resolve::describe;

/// The most steps of one answer whose results are looked up: with storage that takes 20 ms for a request, some seconds.
pub(crate) const MOST_STEPS: usize = 1000;

/// Steps that are looked up at the same time.
const AT_ONCE: usize = 16;

/// What is known of a step that was executed behind the glass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) step: String,
    pub(crate) quarantined: Quarantined,
    pub(crate) cluster: Clusters,
}

/// Whether its result is in the quarantine scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Quarantined {
    /// With the digest that the journal names.
    AsSaid,
    /// With this one.
    Other(Digest),
    /// There is none: it was not published there, or is gone.
    Absent,
    /// It cannot be looked up; why.
    Unread(String),
}

/// What the cluster got for the same key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Clusters {
    /// The same outputs.
    Same,
    /// Other ones at these paths.
    Different(Vec<String>),
    /// It has no protected result.
    NotMade,
    /// It has one, and the journal does not say what to compare it with.
    Unknown,
    /// It cannot be looked up; why.
    Unread(String),
}

/// The digest by which a journal calls a result: whoever signed it for a scope.
pub fn digest_of(result: &ActionResult) -> Digest {
    FUNCTION.digest(&ActionResult { signature: None, ..result.clone() }.encode())
}

/// What a step left where, as a journal writes it.
pub fn outputs_of(result: &ActionResult) -> BTreeMap<String, String> {
    let written = |kind: &OutputKind| match kind {
        OutputKind::Tree(TreeRef::File { digest, executable: false }) => format!("file:{digest}"),
        OutputKind::Tree(TreeRef::File { digest, executable: true }) => format!("executable:{digest}"),
        OutputKind::Tree(TreeRef::Directory(root)) => format!("directory:{root}"),
        OutputKind::Symlink(target) => format!("link:{target}"),
    };
    result.outputs.iter().map(|output| (output.path.clone(), written(&output.kind))).collect()
}

/// Whose the results of a break-glass run are.
pub(crate) fn scope_of(entry: &Entry) -> Scope {
    Scope::Quarantine(entry.who.user.clone())
}

/// What is known of the steps that an entry says were executed, of at most so many.
pub(crate) async fn outcomes(results: &dyn Results, entry: &Entry, most: usize) -> Vec<Outcome> {
    let Event::Finished(finished) = &entry.event else { return Vec::new() };
    let scope = scope_of(entry);
    let executed = finished.steps.iter().filter_map(|step| Some((step, executed(step)?)));
    let looked = executed.take(most).map(|(step, (action, said))| {
        let scope = &scope;
        async move {
            let quarantined = quarantined(results, scope, &action, said).await;
            let cluster = clusters(results, &action, step).await;
            Outcome { step: step.step.clone(), quarantined, cluster }
        }
    });
    stream::iter(looked.collect::<Vec<_>>()).buffered(AT_ONCE).collect().await
}

/// The key of a step that was executed and succeeded, and the digest of its result.
fn executed(step: &StepRecord) -> Option<(Digest, &str)> {
    if step.cached_from.is_some() || step.status != "succeeded" {
        return None;
    }
    let action = Digest::parse(FUNCTION, step.action_digest.as_deref()?).ok()?;
    Some((action, step.result_digest.as_deref()?))
}

async fn quarantined(results: &dyn Results, scope: &Scope, action: &Digest, said: &str) -> Quarantined {
    let Some(actions) = results.only(scope) else { return Quarantined::Absent };
    match actions.get(action).await {
        Ok(Some(result)) => match digest_of(&result) {
            there if there.to_string() == said => Quarantined::AsSaid,
            there => Quarantined::Other(there),
        },
        Ok(None) => Quarantined::Absent,
        Err(error) => Quarantined::Unread(describe(&error)),
    }
}

/// What the cluster believes, and nothing else.
async fn clusters(results: &dyn Results, action: &Digest, step: &StepRecord) -> Clusters {
    match results.of(&Scope::Protected).actions.get(action).await {
        Ok(None) => Clusters::NotMade,
        Err(error) => Clusters::Unread(describe(&error)),
        Ok(Some(result)) => {
            let Some(said) = &step.outputs else { return Clusters::Unknown };
            let there = outputs_of(&result);
            // Test reports are among these only.
            let differing = said.iter().filter(|(path, what)| there.get(*path) != Some(what));
            let differing: Vec<String> = differing.map(|(path, _)| path.clone()).collect();
            if differing.is_empty() { Clusters::Same } else { Clusters::Different(differing) }
        }
    }
}
