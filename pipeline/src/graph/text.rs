//! A tree for a terminal.

use std::fmt::Write as _;

use super::{Edge, edges, sources};
use crate::plan::Plan;

/// How deep a tree is drawn before it is continued at the margin: a chain of 10,000 steps would otherwise need
/// lines of 20,000 characters.
const DEPTH: usize = 24;

/// What a line is about.
struct Line {
    step: u32,
    via: String,
    depth: usize,
}

/// The plan as trees: below each step that nothing waits for stands what it comes after. A step is drawn in full
/// once; elsewhere it says `(above)`.
#[must_use]
pub fn text(plan: &Plan) -> String {
    let mut waited_for = vec![false; plan.steps.len()];
    for step in &plan.steps {
        edges(plan, step).for_each(|edge| waited_for[target(&edge) as usize] = true);
    }
    let mut out = format!("{}: {} steps\n", plan.name, plan.steps.len());
    let mut drawn = vec![false; plan.steps.len()];
    let mut roots: Vec<u32> =
        (0..plan.steps.len() as u32).rev().filter(|i| !waited_for[*i as usize]).collect();
    while let Some(root) = roots.pop() {
        if !drawn[root as usize] {
            tree(plan, root, &mut drawn, &mut roots, &mut out);
        }
    }
    out
}

/// Draws one tree. What is too deep is added to `roots`, to be drawn next.
fn tree(plan: &Plan, root: u32, drawn: &mut [bool], roots: &mut Vec<u32>, out: &mut String) {
    let mut stack = vec![Line { step: root, via: String::new(), depth: 0 }];
    while let Some(Line { step: index, via, depth }) = stack.pop() {
        let Some(step) = plan.steps.get(index as usize) else { continue };
        let after: Vec<Edge<'_>> = edges(plan, step).collect();
        let again = drawn[index as usize];
        let below = depth >= DEPTH && !after.is_empty();
        let mut note = match () {
            () if again && !after.is_empty() => " (above)".to_owned(),
            () if again => String::new(),
            () if below => " (below)".to_owned(),
            () => from_sources(plan, &sources(step)),
        };
        if let (Some(skip), false) = (&step.skip, again || below) {
            let _ = write!(note, " [skipped: {skip}]");
        }
        let _ = writeln!(out, "{:indent$}{}{via}{note}", "", step.name, indent = depth * 2);
        if again {
            continue;
        }
        if below {
            roots.push(index);
            continue;
        }
        drawn[index as usize] = true;
        stack.extend(after.iter().rev().map(|edge| Line {
            step: target(edge),
            via: why(edge),
            depth: depth + 1,
        }));
    }
}

fn target(edge: &Edge<'_>) -> u32 {
    match edge {
        Edge::Root(step) | Edge::Output(step, _) | Edge::Needs(step) => *step,
    }
}

fn why(edge: &Edge<'_>) -> String {
    match edge {
        Edge::Root(_) => " (its root)".to_owned(),
        Edge::Output(_, output) => format!(".{output}"),
        Edge::Needs(_) => " (order only)".to_owned(),
    }
}

fn from_sources(plan: &Plan, sources: &[u32]) -> String {
    let names: Vec<&str> = sources
        .iter()
        .filter_map(|source| plan.sources.get(*source as usize))
        .map(|source| source.name.as_str())
        .collect();
    if names.is_empty() { String::new() } else { format!(" <- {}", names.join(", ")) }
}
