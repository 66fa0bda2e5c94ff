//! Identical work: one step leads, the others wait for what comes of it.

use std::collections::{BTreeMap, BTreeSet};

use cullet_digest::Digest;
use serde::{Deserialize, Serialize};

use crate::StepId;
use crate::place::Place;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Flight {
    leader: StepId,
    followers: BTreeSet<Place>,
}

/// Every action that is ready or running, but for those of steps that run alone, with the step that will execute it and those that wait.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Flights(BTreeMap<Digest, Flight>);

impl Flights {
    /// Makes the step the leader of its action if there is none, or one of its followers. Says whether it
    /// leads.
    pub(crate) fn board(&mut self, action: Digest, place: Place) -> bool {
        let flight =
            self.0.entry(action).or_insert_with(|| Flight { leader: place.id, followers: BTreeSet::new() });
        let leads = flight.leader == place.id;
        if !leads {
            flight.followers.insert(place);
        }
        leads
    }

    pub(crate) fn is_led_by(&self, action: &Digest, id: StepId) -> bool {
        self.0.get(action).is_some_and(|flight| flight.leader == id)
    }

    /// Who executes the action, or is to.
    pub(crate) fn leader(&self, action: &Digest) -> Option<StepId> {
        self.0.get(action).map(|flight| flight.leader)
    }

    /// A follower leads from now on, and the leader follows.
    pub(crate) fn hand_over(&mut self, action: &Digest, leader: Place, follower: &Place) {
        if let Some(flight) = self.0.get_mut(action) {
            flight.leader = follower.id;
            flight.followers.remove(follower);
            flight.followers.insert(leader);
        }
    }

    /// Who waits for this leader, in the order in which they would lead.
    pub(crate) fn followers(&self, action: &Digest, leader: StepId) -> impl Iterator<Item = StepId> {
        let flight = self.0.get(action).filter(|flight| flight.leader == leader);
        flight.into_iter().flat_map(|flight| &flight.followers).map(|place| place.id)
    }

    /// Takes a follower out of the line.
    pub(crate) fn leave(&mut self, action: &Digest, place: &Place) {
        if let Some(flight) = self.0.get_mut(action) {
            flight.followers.remove(place);
        }
    }

    /// Ends the flight and says who waited, in the order in which they would lead.
    pub(crate) fn disband(&mut self, action: &Digest) -> BTreeSet<Place> {
        self.0.remove(action).map(|flight| flight.followers).unwrap_or_default()
    }

    /// Puts followers that were taken off by [`Self::disband`] behind a new leader.
    pub(crate) fn form(&mut self, action: Digest, leader: StepId, followers: BTreeSet<Place>) {
        self.0.insert(action, Flight { leader, followers });
    }
}
