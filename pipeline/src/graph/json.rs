//! JSON, for programs.

use serde_json::{Value, json};

use super::{Edge, edges, sources};
use crate::plan::{CONTINUED, OutputRef, Plan};

/// `{name, sources: [{name, path}], steps: [{name, line, after: [{step, output?, root?}], sources, outputs, skip?}],
/// outputs: [{path, step, output}]}`, indented. Steps and sources are named, and stand in the plan's order.
#[must_use]
pub fn json(plan: &Plan) -> String {
    let steps: Vec<Value> = plan
        .steps
        .iter()
        .map(|step| {
            let after: Vec<Value> = edges(plan, step)
                .map(|edge| match edge {
                    Edge::Root(from) => json!({ "step": name(plan, from), "root": true }),
                    Edge::Output(from, output) => json!({ "step": name(plan, from), "output": output }),
                    Edge::Needs(from) => json!({ "step": name(plan, from) }),
                })
                .collect();
            let sources: Vec<&str> = sources(step)
                .into_iter()
                .filter_map(|source| plan.sources.get(source as usize))
                .map(|source| source.name.as_str())
                .collect();
            let outputs: Vec<&str> = step
                .outputs
                .iter()
                .map(|output| output.name.as_str())
                .filter(|name| *name != CONTINUED)
                .collect();
            let mut value = json!({
                "name": step.name, "line": step.line, "after": after, "sources": sources, "outputs": outputs,
            });
            if let Some(skip) = &step.skip {
                value["skip"] = json!(skip);
            }
            value
        })
        .collect();
    let sources: Vec<Value> =
        plan.sources.iter().map(|source| json!({ "name": source.name, "path": source.path })).collect();
    let outputs: Vec<Value> =
        plan.outputs.iter().map(|output| run_output(plan, &output.path, output.from)).collect();
    let graph = json!({ "name": plan.name, "sources": sources, "steps": steps, "outputs": outputs });
    format!("{graph:#}\n")
}

fn run_output(plan: &Plan, path: &str, from: OutputRef) -> Value {
    let output = plan.steps.get(from.step as usize).and_then(|step| step.outputs.get(from.output as usize));
    json!({ "path": path, "step": name(plan, from.step), "output": output.map(|output| &output.name) })
}

fn name(plan: &Plan, step: u32) -> &str {
    plan.steps.get(step as usize).map_or("", |step| &step.name)
}
