//! Plays what follows from a seed: coordinators on a simulated network, with a simulated clock and disks, while things
//! go wrong. One process plays one seed, so that nothing but the seed decides what happens.
//!
//!     simulate SEED [trace]
//!
//! It ends with 0 where everything held, 1 where something did not, and 3 where the run does not count.
#![allow(clippy::print_stdout, reason = "what it prints is what it is for")]

mod chance;
mod coordinator;
mod entropy;
mod fault;
mod history;
mod inject;
mod invariants;
mod network;
mod scenario;
mod trace;
mod verdict;
mod work;

use std::process::ExitCode;

use crate::trace::Trace;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(seed) = arguments.first().and_then(|seed| seed.parse().ok()) else {
        println!("simulate SEED [trace]");
        return ExitCode::from(2);
    };
    let shown = arguments.get(1).is_some_and(|word| word == "trace");
    // Before the first hash map is made: the standard library asks once.
    entropy::seed(seed);
    // Tasks that panic would only be missing.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        hook(panic);
        println!("seed {seed}: broken: it panicked: {panic}");
        std::process::exit(1);
    }));
    tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::from_default_env()).without_time().init();
    let verdict = scenario::play(seed, &Trace::new(shown));
    println!("{verdict}");
    match (&verdict.broken, verdict.counts()) {
        (Some(_), _) => ExitCode::from(1),
        (None, false) => ExitCode::from(3),
        (None, true) => ExitCode::SUCCESS,
    }
}
