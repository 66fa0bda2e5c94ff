//! The instances that a run is asked for.

use super::{Compiler, Request, reference};
use crate::diag::Diagnostic;

impl Compiler<'_> {
    /// The instances that each target means; nothing when nothing in particular is asked for.
    pub(super) fn targets(&self, request: &Request<'_>) -> Vec<Vec<u32>> {
        let Request::Plan { targets, .. } = request else { return Vec::new() };
        targets.iter().map(|target| self.target(target)).collect()
    }

    /// Where the plan begins.
    pub(super) fn beginnings(&self, targets: &[Vec<u32>]) -> Vec<u32> {
        if targets.is_empty() {
            return (0..self.steps.owner.len() as u32).collect();
        }
        let mut roots = targets.concat();
        roots.sort_unstable();
        roots.dedup();
        roots
    }

    fn target(&self, target: &str) -> Vec<u32> {
        let selected = reference::step(target).and_then(|step| {
            let selection = self.steps.select(self.cx, &step)?;
            Ok(selection.rows.iter().map(|row| selection.step.first + row).collect())
        });
        selected.unwrap_or_else(|complaint| {
            let help = complaint.help.or_else(|| self.steps.listed());
            let problem = Diagnostic::error(None, format!("target: {}", complaint.message));
            self.cx.sink.push(problem.help(help));
            Vec::new()
        })
    }
}
