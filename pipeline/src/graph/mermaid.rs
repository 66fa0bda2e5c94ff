//! Mermaid, which forges draw inside of Markdown.

use std::fmt::Write as _;

use super::{Edge, edges, sources};
use crate::plan::Plan;

/// The plan as a Mermaid flowchart: arrows go from what comes first to what comes after.
#[must_use]
pub fn mermaid(plan: &Plan) -> String {
    let mut out = String::from("flowchart LR\n");
    for (index, source) in plan.sources.iter().enumerate() {
        let _ = writeln!(out, "  source{index}[/{}/]", quoted(&source.name));
    }
    for (index, step) in plan.steps.iter().enumerate() {
        let _ = writeln!(out, "  step{index}[{}]", quoted(&step.name));
    }
    for (index, step) in plan.steps.iter().enumerate() {
        for source in sources(step) {
            let _ = writeln!(out, "  source{source} --> step{index}");
        }
        for edge in edges(plan, step) {
            let _ = match edge {
                Edge::Root(from) => writeln!(out, "  step{from} ==> step{index}"),
                Edge::Output(from, output) => writeln!(out, "  step{from} -->|{output}| step{index}"),
                Edge::Needs(from) => writeln!(out, "  step{from} -.-> step{index}"),
            };
        }
    }
    out
}

/// Mermaid has no escapes but HTML's.
fn quoted(text: &str) -> String {
    let escaped = text.replace('&', "#amp;").replace('"', "#quot;").replace('<', "#lt;").replace('>', "#gt;");
    format!("\"{escaped}\"")
}
