//! Other limits and preferences.

use super::Transition;
use crate::Settings;

impl Transition<'_> {
    /// What was taken in under other limits stays.
    pub(super) fn configure(&mut self, settings: &Settings) {
        self.state.settings = settings.clone();
        self.state.tenants.weigh(settings, self.at);
        self.trims = true;
        self.state.durations.shrink(settings.max_durations);
    }
}
