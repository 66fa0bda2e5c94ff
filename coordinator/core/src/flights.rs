//! Identical work: one step leads, the others wait for what comes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cullet_digest::Digest;
use serde::{Deserialize, Serialize};

use crate::place::Place;
use crate::run::Run;
use crate::{StepId, StepIndex};

/// What has to be the same for two steps to be the same work: the action, and whose results the runs make and believe. What
/// a branch executed must not become the result of a protected run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Work {
    action: Digest,
    scope: Arc<str>,
}

impl Run {
    /// The work of a step whose action is known.
    pub(crate) fn work(&self, step: StepIndex) -> Option<Work> {
        let action = self.steps.get(step as usize)?.action?;
        Some(Work { action, scope: Arc::clone(&self.spec.scope) })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Flight {
    leader: StepId,
    followers: BTreeSet<Place>,
}

/// All work that is ready or running, but for that of steps that run alone, with the step that will execute it and those that wait.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Flights(BTreeMap<Work, Flight>);

impl Flights {
    /// Makes the step the leader of its work if there is none, or one of its followers. Says whether it
    /// leads.
    pub(crate) fn board(&mut self, work: Work, place: Place) -> bool {
        let flight =
            self.0.entry(work).or_insert_with(|| Flight { leader: place.id, followers: BTreeSet::new() });
        let leads = flight.leader == place.id;
        if !leads {
            flight.followers.insert(place);
        }
        leads
    }

    pub(crate) fn is_led_by(&self, work: &Work, id: StepId) -> bool {
        self.0.get(work).is_some_and(|flight| flight.leader == id)
    }

    /// Who does the work, or is to.
    pub(crate) fn leader(&self, work: &Work) -> Option<StepId> {
        self.0.get(work).map(|flight| flight.leader)
    }

    /// A follower leads from now on, and the leader follows.
    pub(crate) fn hand_over(&mut self, work: &Work, leader: Place, follower: &Place) {
        if let Some(flight) = self.0.get_mut(work) {
            flight.leader = follower.id;
            flight.followers.remove(follower);
            flight.followers.insert(leader);
        }
    }

    /// Who waits for this leader, in the order in which they would lead.
    pub(crate) fn followers(&self, work: &Work, leader: StepId) -> impl Iterator<Item = StepId> {
        let flight = self.0.get(work).filter(|flight| flight.leader == leader);
        flight.into_iter().flat_map(|flight| &flight.followers).map(|place| place.id)
    }

    /// Takes a follower out of the line.
    pub(crate) fn leave(&mut self, work: &Work, place: &Place) {
        if let Some(flight) = self.0.get_mut(work) {
            flight.followers.remove(place);
        }
    }

    /// Ends the flight and says who waited, in the order in which they would lead.
    pub(crate) fn disband(&mut self, work: &Work) -> BTreeSet<Place> {
        self.0.remove(work).map(|flight| flight.followers).unwrap_or_default()
    }

    /// Puts followers that were taken off by [`Self::disband`] behind a new leader.
    pub(crate) fn form(&mut self, work: Work, leader: StepId, followers: BTreeSet<Place>) {
        self.0.insert(work, Flight { leader, followers });
    }
}
