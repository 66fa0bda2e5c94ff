//! The instances that a run is asked for.

use super::{Compiler, Request, reference};
use crate::diag::Diagnostic;

impl Compiler<'_> {
    /// Where the plan begins: all instances when nothing in particular is asked for.
    pub(super) fn targets(&self, request: &Request<'_>) -> Vec<u32> {
        let targets = match request {
            Request::Plan { targets, .. } if !targets.is_empty() => targets,
            _ => return (0..self.steps.owner.len() as u32).collect(),
        };
        let mut roots = Vec::new();
        for target in *targets {
            let selected = reference::step(target).and_then(|step| {
                let selection = self.steps.select(self.cx, &step)?;
                roots.extend(selection.rows.iter().map(|row| selection.step.first + row));
                Ok(())
            });
            if let Err(complaint) = selected {
                let help = complaint.help.or_else(|| self.steps.listed());
                self.cx
                    .sink
                    .push(Diagnostic::error(None, format!("target: {}", complaint.message)).help(help));
            }
        }
        roots.sort_unstable();
        roots.dedup();
        roots
    }
}
