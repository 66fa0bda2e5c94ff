//! Pipelines as clients submit them.

use std::fmt::Write as _;

use crate::chance::Chance;

/// The variable that tells a step who it is.
pub(crate) const ID: &str = "ID";

/// The name that a request's step has.
pub(crate) fn step_name(request: u64, step: u64) -> String {
    format!("r{request}-s{step}")
}

/// The same for the same request, whoever submits it: a few steps that need some of those before them.
pub(crate) fn pipeline(seed: u64, request: u64) -> String {
    let mut chance = Chance::new(seed ^ request << 20, "pipeline");
    let mut text = format!("cullet: 1\nname: p{request}\nsteps:\n");
    for step in 0..chance.among(1..=4) {
        let name = step_name(request, step);
        let needed: Vec<String> =
            (0..step).filter(|_| chance.percent(50)).map(|step| step_name(request, step)).collect();
        let _ = writeln!(text, "  {name}:\n    run: [\"true\"]\n    env: {{ {ID}: {name} }}");
        let _ = writeln!(text, "    needs: [{}]", needed.join(", "));
        let again =
            if acts(seed, request, step) { "effects: true" } else { "retries: { failure: 0, infra: 3 }" };
        let _ = writeln!(text, "    {again}");
    }
    text
}

/// Whether a step acts on the outside world.
pub(crate) fn acts(seed: u64, request: u64, step: u64) -> bool {
    Chance::new(seed ^ request << 20 ^ step, "effects").percent(30)
}
