//! Plays what follows from a seed: coordinators on a simulated network, with a simulated clock and disks, while things
//! go wrong. One process plays one seed, so that nothing but the seed decides what happens.
//!
//!     simulate (raft | cluster) SEED [trace]
//!
//! It ends with 0 where everything held, 1 where something did not, and 3 where the run does not count. `RUST_LOG`
//! shows what the program itself says meanwhile.
#![allow(clippy::print_stdout, reason = "what it prints is what it is for")]

mod chance;
mod cluster;
mod coordinator;
mod doubling;
mod entropy;
mod fault;
mod history;
mod inject;
mod invariants;
mod network;
mod operator;
#[cfg(feature = "planted-bugs")]
mod planted;
mod raft;
mod trace;
mod verdict;

use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

use crate::trace::Trace;
use crate::verdict::Verdict;

/// Plays a seed.
type Scenario = fn(u64, &Trace) -> Verdict;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    #[cfg(feature = "planted-bugs")]
    let arguments = match arguments[..] {
        [ref rest @ .., bug] if planted::plant(bug) => rest.to_vec(),
        _ => arguments,
    };
    let (scenario, seed, shown) = match arguments[..] {
        [scenario, seed] => (scenario, seed, false),
        [scenario, seed, "trace"] => (scenario, seed, true),
        _ => return usage(),
    };
    let scenario: Scenario = match scenario {
        "raft" => raft::play,
        "cluster" => cluster::play,
        _ => return usage(),
    };
    let Ok(seed) = seed.parse() else { return usage() };
    // Before the first hash map is made: the standard library asks once.
    entropy::seed(seed);
    // Tasks that panic would only be missing.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        hook(panic);
        println!("seed {seed}: broken: it panicked: {panic}");
        std::process::exit(1);
    }));
    tracing_subscriber::fmt().with_env_filter(EnvFilter::from_default_env()).without_time().init();
    let verdict = scenario(seed, &Trace::new(shown));
    println!("{verdict}");
    match (&verdict.broken, verdict.counts()) {
        (Some(_), _) => ExitCode::from(1),
        (None, false) => ExitCode::from(3),
        (None, true) => ExitCode::SUCCESS,
    }
}

fn usage() -> ExitCode {
    println!("simulate (raft | cluster) SEED [trace]");
    ExitCode::from(2)
}
