//! How many entries a second become durable, and how many share a sync: `cargo run --release -p cullet-raft-log
//! --example appends [DIRECTORY] [SECONDS]`. The directory is made inside the given one, and removed.

use std::error::Error;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cullet_raft_log::{ClusterId, Config, Entry, Identity, Log, LogId, RealDisk};

const ENTRY_BYTES: usize = 256;

#[expect(clippy::print_stdout, reason = "it is for reading")]
fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let parent = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let seconds = Duration::from_secs(arguments.next().map_or(Ok(3), |seconds| seconds.parse())?);
    println!("{ENTRY_BYTES}-byte entries, {} s each, in {}", seconds.as_secs(), parent.display());
    println!(
        "{:>9} {:>10} {:>10} {:>12} {:>9}",
        "appenders", "entries/s", "syncs/s", "entries/sync", "p50 µs"
    );
    for appenders in [1, 64, 512] {
        let dir = tempfile::tempdir_in(&parent)?;
        let identity = Identity { cluster: ClusterId([1; 16]), node: 1 };
        let failed = Box::new(|_: &cullet_raft_log::Error| std::process::abort());
        let log = Log::open(Arc::new(RealDisk), dir.path(), identity, Config::default(), failed)?;
        let (entries, elapsed, p50) = measure(&log, appenders, seconds);
        let syncs = log.statistics().frames;
        println!(
            "{appenders:>9} {:>10.0} {:>10.0} {:>12.1} {p50:>9}",
            entries as f64 / elapsed,
            syncs as f64 / elapsed,
            entries as f64 / syncs as f64
        );
    }
    Ok(())
}

/// Entries acknowledged, in how many seconds, and the median wait of an appender in microseconds.
fn measure(log: &Log, appenders: usize, time: Duration) -> (u64, f64, u64) {
    let (turn, stop, entries) = (Mutex::new(()), AtomicBool::new(false), AtomicU64::new(0));
    let waits = Mutex::new(Vec::new());
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..appenders {
            scope.spawn(|| {
                let mut mine = Vec::new();
                while !stop.load(Ordering::Relaxed) && append_one(log, &turn, &mut mine) {
                    entries.fetch_add(1, Ordering::Relaxed);
                }
                waits.lock().unwrap_or_else(PoisonError::into_inner).extend(mine);
            });
        }
        std::thread::sleep(time);
        stop.store(true, Ordering::Relaxed);
    });
    let elapsed = start.elapsed().as_secs_f64();
    let mut waits = waits.into_inner().unwrap_or_else(PoisonError::into_inner);
    waits.sort_unstable();
    (entries.into_inner(), elapsed, waits.get(waits.len() / 2).copied().unwrap_or(0))
}

fn append_one(log: &Log, turn: &Mutex<()>, waits: &mut Vec<u64>) -> bool {
    let (sender, receiver) = sync_channel(1);
    let start = Instant::now();
    let held = turn.lock().unwrap_or_else(PoisonError::into_inner);
    let index = log.last().map_or(0, |id| id.index + 1);
    let id = LogId { index, encoded: index.to_le_bytes().to_vec().into() };
    let entry = Entry { id, payload: vec![index as u8 | 1; ENTRY_BYTES].into() };
    let told = Box::new(move |result: Result<(), _>| {
        // The receiver waits below.
        let _ = sender.send(result.is_ok());
    });
    let accepted = log.append(vec![entry], told).is_ok();
    drop(held);
    let acknowledged = accepted && receiver.recv().unwrap_or(false);
    waits.push(start.elapsed().as_micros() as u64);
    acknowledged
}
