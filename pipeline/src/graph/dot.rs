//! Graphviz.

use std::fmt::Write as _;

use super::{Edge, edges, sources};
use crate::plan::Plan;

/// The plan in Graphviz's DOT language: arrows go from what comes first to what comes after.
#[must_use]
pub fn dot(plan: &Plan) -> String {
    let mut out = format!("digraph {} {{\n  rankdir=LR;\n  node [shape=box];\n", quoted(&plan.name));
    for (index, source) in plan.sources.iter().enumerate() {
        let _ = writeln!(out, "  source{index} [label={}, shape=folder];", quoted(&source.name));
    }
    for (index, step) in plan.steps.iter().enumerate() {
        let style = if step.skip.is_some() { ", style=dashed" } else { "" };
        let _ = writeln!(out, "  step{index} [label={}{style}];", quoted(&step.name));
    }
    for (index, step) in plan.steps.iter().enumerate() {
        for source in sources(step) {
            let _ = writeln!(out, "  source{source} -> step{index};");
        }
        for edge in edges(plan, step) {
            let _ = match edge {
                Edge::Root(from) => writeln!(out, "  step{from} -> step{index} [style=bold];"),
                Edge::Output(from, output) => {
                    writeln!(out, "  step{from} -> step{index} [label={}];", quoted(output))
                }
                Edge::Needs(from) => writeln!(out, "  step{from} -> step{index} [style=dashed];"),
            };
        }
    }
    out.push_str("}\n");
    out
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
