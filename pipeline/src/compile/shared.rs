//! What many steps have in common, kept once: a plan of a million instances must not hold a million copies of
//! `src`.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Arc;

use super::step::DEFAULTS;
use crate::plan::{Output, Settings};

/// How many different settings or lists of outputs are remembered: instances stand next to each other, and steps
/// that take turns are few.
const RECENT: usize = 8;
/// See <https://reproducible-builds.org/specs/source-date-epoch/>.
const EPOCH: &str = "SOURCE_DATE_EPOCH";

/// How many texts are remembered. What is written once and used by thousands is among the first.
const TEXTS: usize = 4096;

/// The values that were seen last.
#[derive(Debug)]
struct Recent<T: ?Sized>(RefCell<Vec<Arc<T>>>);

impl<T: ?Sized + PartialEq> Recent<T> {
    const fn new() -> Self {
        Self(RefCell::new(Vec::new()))
    }

    /// The value that is equal to `wanted`, made by `make` if it was not seen lately.
    fn share<B: std::borrow::Borrow<T>>(&self, wanted: B, make: impl FnOnce(B) -> Arc<T>) -> Arc<T> {
        let mut known = self.0.borrow_mut();
        if let Some(place) = known.iter().position(|value| **value == *wanted.borrow()) {
            known[..=place].rotate_right(1);
            return Arc::clone(&known[0]);
        }
        known.truncate(RECENT - 1);
        let value = make(wanted);
        known.insert(0, Arc::clone(&value));
        value
    }
}

/// Shares equal values.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) defaults: Arc<Settings>,
    settings: Recent<Settings>,
    outputs: Recent<[Output]>,
    texts: RefCell<HashSet<Arc<str>>>,
}

impl Shared {
    /// `epoch` is the time for every step that declares none, in seconds since the Unix epoch.
    pub(super) fn new(epoch: Option<u32>) -> Self {
        let env = epoch.map(|seconds| (EPOCH.to_owned(), seconds.to_string()));
        Self {
            defaults: Arc::new(Settings { env: env.into_iter().collect(), ..DEFAULTS }),
            settings: Recent::new(),
            outputs: Recent::new(),
            texts: RefCell::default(),
        }
    }

    /// Declared variables, sorted, with those that every step has.
    pub(super) fn env(&self, mut declared: Vec<(String, String)>) -> Vec<(String, String)> {
        for (name, value) in &self.defaults.env {
            if let Err(place) = declared.binary_search_by(|(other, _)| other.cmp(name)) {
                declared.insert(place, (name.clone(), value.clone()));
            }
        }
        declared
    }

    pub(super) fn settings(&self, settings: Settings) -> Arc<Settings> {
        self.settings.share(settings, Arc::new)
    }

    pub(super) fn outputs(&self, outputs: Vec<Output>) -> Arc<[Output]> {
        self.outputs.share(outputs, Into::into)
    }

    pub(super) fn text(&self, text: &str) -> Arc<str> {
        let mut texts = self.texts.borrow_mut();
        if let Some(known) = texts.get(text) {
            return Arc::clone(known);
        }
        let text: Arc<str> = text.into();
        if texts.len() < TEXTS {
            texts.insert(Arc::clone(&text));
        }
        text
    }
}
