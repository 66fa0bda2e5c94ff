//! Steps that did not run, by reason.

use crate::ui::clean;

/// Different reasons kept apart; beyond, steps are counted under one heading. In a fail-fast run every skipped
/// step can have a reason of its own.
const REASONS: usize = 50;

/// Names kept for each reason.
const NAMES: usize = 5;

/// Steps that did not run.
#[derive(Debug, Default)]
pub struct Skips {
    groups: Vec<Group>,
    total: usize,
}

/// Steps that did not run for one reason.
#[derive(Debug)]
pub struct Group {
    /// The reason.
    pub reason: String,
    /// The first few of them.
    pub names: Vec<String>,
    /// All of them.
    pub count: usize,
}

impl Skips {
    pub(super) fn add(&mut self, step: &str, reason: Option<&str>) {
        self.total += 1;
        let reason = reason.map_or_else(|| "cancelled".to_owned(), clean::line);
        let known = self.groups.iter().position(|group| group.reason == reason);
        let group = match known {
            Some(position) => &mut self.groups[position],
            None if self.groups.len() < REASONS => {
                self.groups.push(Group { reason, names: Vec::new(), count: 0 });
                let last = self.groups.len() - 1;
                &mut self.groups[last]
            }
            None => return,
        };
        group.count += 1;
        if group.names.len() < NAMES {
            group.names.push(step.to_owned());
        }
    }

    /// The groups, in the order of their first step.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// How many steps stand in no group, because there were too many reasons.
    pub fn ungrouped(&self) -> usize {
        self.total - self.groups.iter().map(|group| group.count).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_steps_with_one_reason_are_one_group() {
        let mut skips = Skips::default();
        for step in 0..1000 {
            skips.add(&format!("s{step}"), Some("build failed"));
        }
        skips.add("x", None);
        assert_eq!(skips.groups().len(), 2);
        assert_eq!((skips.groups()[0].count, skips.groups()[0].names.len()), (1000, NAMES));
        assert_eq!(skips.groups()[1].reason, "cancelled");
    }

    #[test]
    fn reasons_are_bounded_and_nothing_is_lost_from_the_count() {
        let mut skips = Skips::default();
        for step in 0..1000 {
            skips.add("s", Some(&step.to_string()));
        }
        assert_eq!(skips.groups().len(), REASONS);
        assert_eq!(skips.ungrouped(), 1000 - REASONS);
    }
}
