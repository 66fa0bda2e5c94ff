//! Which directories of an input root are still to be made.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use cullet_digest::Digest;

use super::error::{InputError, LostInputs};
use crate::layers::{Place, Places};

/// Shared by the threads that make one input root.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    places: Places,
    todo: Vec<(Place, Digest)>,
    busy: usize,
    made: usize,
    lost: LostInputs,
    failure: Option<InputError>,
}

/// A directory to be filled; it exists already.
pub(super) struct Todo {
    pub(super) place: Place,
    pub(super) path: Vec<u8>,
    pub(super) digest: Digest,
}

impl Queue {
    /// With the root as the first directory.
    pub(super) fn new(root: Digest) -> Self {
        let queue = Self::default();
        {
            let mut state = queue.lock();
            let place = state.places.start(b"");
            state.todo.push((place, root));
        }
        queue
    }

    /// The next directory. None when there is no more, when something failed, or when more than `until`
    /// entries have been made.
    pub(super) fn next(&self, until: usize) -> Option<Todo> {
        let mut state = self.lock();
        loop {
            if state.failure.is_some() || state.made > until {
                return None;
            }
            if let Some((place, digest)) = state.todo.pop() {
                state.busy += 1;
                return Some(Todo { place, path: state.places.path(place), digest });
            }
            if state.busy == 0 {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Ends the work on a directory that has `made` entries, these directories among them.
    pub(super) fn done<'a>(
        &self,
        place: Place,
        made: usize,
        directories: impl Iterator<Item = (&'a [u8], Digest)>,
    ) {
        let mut state = self.lock();
        for (name, digest) in directories {
            let child = state.places.child(place, name);
            state.todo.push((child, digest));
        }
        state.made += made;
        state.busy -= 1;
        self.changed.notify_all();
    }

    /// Ends the work on a directory, and with it the whole.
    pub(super) fn fail(&self, error: InputError) {
        let mut state = self.lock();
        state.failure.get_or_insert(error);
        state.busy -= 1;
        self.changed.notify_all();
    }

    /// Notes an input that cannot be had.
    pub(super) fn lost(&self, path: String, digest: Digest) {
        self.lock().lost.add(path, digest);
    }

    /// Whether anything is left to do.
    pub(super) fn has_more(&self) -> bool {
        let state = self.lock();
        state.failure.is_none() && !state.todo.is_empty()
    }

    /// How it went.
    pub(super) fn finish(self) -> Result<(), InputError> {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        match state.failure {
            Some(error) => Err(error),
            None if state.lost != LostInputs::default() => Err(InputError::Lost(state.lost)),
            None => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
