//! Plays seeds, each in a process of its own.
#![allow(dead_code, reason = "each test uses a part")]

use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// What came of one seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Played {
    pub(crate) seed: u64,
    /// 0 where everything held, 1 where something did not, 3 where the run does not count.
    pub(crate) code: i32,
    /// The line that says so.
    pub(crate) line: String,
}

pub(crate) fn play(arguments: &[&str], seed: u64) -> Played {
    let (scenario, more) = arguments.split_first().expect("a scenario");
    let output = Command::new(env!("CARGO_BIN_EXE_simulate"))
        .arg(scenario)
        .arg(seed.to_string())
        .args(more)
        .output()
        .expect("the simulation is there");
    let line = String::from_utf8_lossy(&output.stdout).lines().last().unwrap_or_default().to_owned();
    Played { seed, code: output.status.code().unwrap_or(-1), line }
}

/// Plays seeds on all processors until there are no more, or one of them is enough.
pub(crate) fn play_all(
    arguments: &[&str],
    seeds: std::ops::Range<u64>,
    enough: impl Fn(&Played) -> bool + Sync,
) -> Vec<Played> {
    let next = AtomicU64::new(seeds.start);
    let played = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, std::num::NonZero::get) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    let one = play(arguments, seed);
                    if enough(&one) {
                        next.store(seeds.end, Ordering::Relaxed);
                    }
                    played.lock().unwrap_or_else(PoisonError::into_inner).push(one);
                }
            });
        }
    });
    let mut played = played.into_inner().unwrap_or_else(PoisonError::into_inner);
    played.sort_by_key(|played| played.seed);
    played
}

/// How many seeds, and from which: `SEEDS` and `FIRST` of the environment, where somebody has a night.
pub(crate) fn seeds(usual: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let first = number("FIRST").unwrap_or(1);
    first..first + number("SEEDS").unwrap_or(usual)
}

/// Whatever happened, everything held; and most of the runs mean something.
pub(crate) fn assert_holds(played: &[Played]) {
    let broken: Vec<&Played> = played.iter().filter(|played| played.code != 0 && played.code != 3).collect();
    assert!(broken.is_empty(), "play one again with `simulate`, its seed and `trace`:\n{broken:#?}");
    let counting = played.iter().filter(|played| played.code == 0).count();
    assert!(counting * 10 >= played.len() * 9, "only {counting} of {} runs count", played.len());
}
