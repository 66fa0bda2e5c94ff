//! Takes this machine's fingerprint again and again and says how long it takes: `fingerprint MEMORY [TIMES]`.
#![allow(clippy::print_stdout, reason = "an example's output is its purpose")]

use std::path::PathBuf;
use std::time::Instant;

use cullet_worker::host::{HostTools, fingerprint};

fn main() {
    let mut args = std::env::args().skip(1);
    let memory = args.next().map(PathBuf::from);
    let times = args.next().and_then(|times| times.parse().ok()).unwrap_or(20);
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let clock = Instant::now();
    let tools = HostTools::discover(&std::env::var("PATH").unwrap_or_default(), home.as_deref());
    println!("tools found in {:?}", clock.elapsed());
    let mut last = None;
    for _ in 0..times {
        let clock = Instant::now();
        last = Some(fingerprint(&tools, memory.as_deref()));
        println!("{:?}", clock.elapsed());
    }
    for part in last.iter().flat_map(|last| &last.parts) {
        println!("{}\t{}", part.name, part.value);
    }
}
