//! A plan as a picture: a text tree, DOT, Mermaid, JSON.

mod dot;
mod json;
mod mermaid;
mod text;

pub use dot::dot;
pub use json::json;
pub use mermaid::mermaid;
pub use text::text;

use crate::plan::{InputFrom, Plan, ROOT_LAYERS, Step};

/// Why a step comes after another one.
enum Edge<'p> {
    /// It continues its root directory.
    Root(u32),
    /// It takes this output of it.
    Output(u32, &'p str),
    /// It only waits for it.
    Needs(u32),
}

/// What a step comes after, in the order of its inputs.
fn edges<'p>(plan: &'p Plan, step: &'p Step) -> impl Iterator<Item = Edge<'p>> {
    let mut roots = step.inputs.iter().filter(|input| input.path.starts_with(ROOT_LAYERS));
    let uppermost = roots.next_back().map(|input| &input.path);
    let inputs = step.inputs.iter().filter_map(move |input| match &input.from {
        // It continues the uppermost; that one has the others.
        InputFrom::Output(from) if input.path.starts_with(ROOT_LAYERS) => {
            (Some(&input.path) == uppermost).then_some(Edge::Root(from.step))
        }
        InputFrom::Output(from) => {
            let producer = plan.steps.get(from.step as usize)?;
            Some(Edge::Output(from.step, producer.outputs.get(from.output as usize)?.name.as_str()))
        }
        InputFrom::Source { .. } => None,
    });
    inputs.chain(step.needs.iter().map(|need| Edge::Needs(*need)))
}

/// The sources that a step takes, each once.
fn sources(step: &Step) -> Vec<u32> {
    let source = |input: &crate::plan::Input| match &input.from {
        InputFrom::Source { source, .. } => Some(*source),
        InputFrom::Output(_) => None,
    };
    let mut sources: Vec<u32> = step.inputs.iter().filter_map(source).collect();
    sources.sort_unstable();
    sources.dedup();
    sources
}
