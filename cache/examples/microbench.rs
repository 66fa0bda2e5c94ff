//! What one operation on the local cache costs, in microseconds: `cargo run --release -p cullet-cache --example
//! microbench [DIRECTORY]`. Each line is the best of several rounds, because a busy machine only ever adds.
#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use std::path::Path;
use std::time::Instant;

use bytes::Bytes;
use cullet_cache::{ActionResult, LogStream, OpenOptions, Output, OutputKind, StoreError};
use cullet_digest::{Digest, DigestFunction, TreeRef};

type Outcome = Result<(), Box<dyn std::error::Error>>;

const COUNT: u32 = 10_000;
const ROUNDS: u32 = 5;

fn main() -> Outcome {
    let parent = std::env::args_os().nth(1);
    let dir = match &parent {
        Some(parent) => tempfile::tempdir_in(parent)?,
        None => tempfile::tempdir()?,
    };
    println!("{:30} {:>10}", "operation", "us/op");
    bare(dir.path())?;
    blobs(dir.path())?;
    results(dir.path())?;
    opening(dir.path())
}

fn bench<T>(name: &str, count: u32, mut operation: impl FnMut(u32) -> Result<T, StoreError>) -> Outcome {
    let mut best = f64::INFINITY;
    for round in 0..ROUNDS {
        let start = Instant::now();
        for number in 0..count {
            operation(round * count + number)?;
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e6 / f64::from(count));
    }
    println!("{name:30} {best:10.2}");
    Ok(())
}

fn content(number: u32) -> (Digest, [u8; 64]) {
    let mut bytes = [0; 64];
    bytes[..4].copy_from_slice(&number.to_le_bytes());
    (DigestFunction::Blake3.digest(&bytes), bytes)
}

/// What the filesystem itself takes for the least that a put can do.
fn bare(dir: &Path) -> Outcome {
    let (from, to) = (dir.join("from"), dir.join("to"));
    std::fs::create_dir(&from)?;
    std::fs::create_dir(&to)?;
    bench("bare create, write, rename", COUNT, |number| {
        let made = from.join("made");
        std::fs::write(&made, content(number).1)
            .and_then(|()| std::fs::rename(&made, to.join(content(number).0.hash_hex())))
            .map_err(|error| StoreError::io("write", &made, error))
    })
}

fn blobs(dir: &Path) -> Outcome {
    let cache = cullet_cache::open(&OpenOptions::new(dir))?;
    let disk = &cache.disk;
    bench("put, 64 bytes, new", COUNT, |number| {
        let (digest, bytes) = content(number);
        disk.put_bytes_blocking(&digest, &bytes)
    })?;
    let digests: Vec<Digest> = (0..COUNT).map(|number| content(number).0).collect();
    let at = |number: u32| &digests[(number % COUNT) as usize];
    bench("put, 64 bytes, there already", COUNT, |number| {
        let (digest, bytes) = content(number % COUNT);
        disk.put_bytes_blocking(&digest, &bytes)
    })?;
    bench("has", COUNT, |number| disk.has(at(number)))?;
    bench("has, missing", COUNT, |number| disk.has(&content(number + ROUNDS * COUNT).0))?;
    bench("get, 64 bytes", COUNT, |number| disk.get_blocking(at(number)))?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    bench("get, verified, async", COUNT, |number| runtime.block_on(cache.blobs.get(at(number))))?;
    let links = dir.join("links");
    std::fs::create_dir(&links)?;
    bench("link_to", COUNT, |number| disk.link_to(at(number), false, &links.join(number.to_string())))?;
    let given_up = dir.join("given-up");
    std::fs::create_dir(&given_up)?;
    for number in 0..ROUNDS * COUNT {
        std::fs::write(given_up.join(number.to_string()), (number + 1_000_000).to_le_bytes())?;
    }
    bench("adopt_file, 4 bytes", COUNT, |number| {
        disk.adopt_file(&given_up.join(number.to_string()), DigestFunction::Blake3)
    })
}

fn results(dir: &Path) -> Outcome {
    let cache = cullet_cache::open(&OpenOptions::new(dir))?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let result = |number: u32| {
        let tree = TreeRef::File { digest: content(number).0, executable: false };
        ActionResult {
            exit_code: 0,
            outputs: vec![Output { path: "out/file".to_owned(), kind: OutputKind::Tree(tree) }],
            stdout: LogStream::Inline(Bytes::from_static(b"some words on standard output\n")),
            stderr: LogStream::default(),
            interleaving: vec![30],
            worker: "local".to_owned(),
            started_at_ms: 1_790_000_000_000,
            duration_ms: 17,
            usage: Default::default(),
            signature: None,
            trees: Vec::new(),
            times: Default::default(),
        }
    };
    let new = |number: u32| DigestFunction::Blake3.digest(&number.to_be_bytes());
    let action = |number: u32| new(number % COUNT);
    bench("put result", COUNT, |number| {
        cache.all_actions.put_blocking(&new(number), &result(number % COUNT))
    })?;
    bench("get result", COUNT, |number| cache.all_actions.get_blocking(&action(number)))?;
    bench("get result, complete, async", COUNT, |number| {
        runtime.block_on(cache.actions.get(&action(number)))
    })?;
    let run = cache.live_run()?;
    bench("the same within a live run", COUNT, |number| {
        runtime.block_on(cache.actions.get(&action(number)))
    })?;
    drop(run);
    Ok(())
}

fn opening(dir: &Path) -> Outcome {
    bench("open and announce a run", 50, |_| {
        cullet_cache::open(&OpenOptions::new(dir)).and_then(|cache| cache.live_run())
    })?;
    let cache = cullet_cache::open(&OpenOptions::new(dir))?;
    bench("stats, all entries", 1, |_| cache.stats())?;
    bench("gc, nothing to do", 1, |_| cache.gc(u64::MAX))
}
