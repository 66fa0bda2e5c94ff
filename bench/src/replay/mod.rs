//! Runs in which the cache answers every step.

pub(crate) mod pipeline;
mod populate;

use std::path::Path;
use std::process::Command;

use crate::Result;
use crate::check::{Report, Target, bytes, seconds};
use crate::cullet::Run;
use crate::measure::{self, Sample};
use crate::scale::Scale;
use pipeline::{Shape, write};

pub(crate) use populate::populate;

/// Seconds for 1,000 steps; ten times as many steps get ten times as long, less the start of the process.
const SECONDS: [(usize, f64); 2] = [(1_000, 0.15), (10_000, 1.0)];
/// Time for 100 times the steps, over 100 times the time.
const GROWTH: f64 = 1.1;
/// Bytes of memory for each further step.
const BYTES_PER_STEP: f64 = 2048.0;

pub(crate) fn run(scale: &Scale, report: &mut Report) -> Result<()> {
    let dir = tempfile::tempdir()?;
    report.heading("replay: every step is cached, whole process, warm page cache");
    let [small, middle, large] = scale.steps;
    let base = replay(dir.path(), Shape::Layers, 1, scale, report)?;
    let first = replay(dir.path(), Shape::Layers, small, scale, report)?;
    replay(dir.path(), Shape::Layers, middle, scale, report)?;
    for shape in [Shape::Chain, Shape::Fan] {
        replay(dir.path(), shape, middle, scale, report)?;
    }
    let last = replay(dir.path(), Shape::Layers, large, scale, report)?;
    let times = large as f64 / small as f64;
    let growth = format!("time from {small} to {large} steps, against {times} times the former");
    report.compare(&growth, last.wall, first.wall * times, Target::AtMost(GROWTH), seconds);
    let (grown, linear) = (last.wall - base.wall, (first.wall - base.wall) * times);
    report.note(&format!("without the time of one step on either side: {:.2}", grown / linear));
    report.note(&format!(
        "the same in user and system time: {:.2}",
        (last.cpu - base.cpu) / ((first.cpu - base.cpu) * times)
    ));
    let per_step = (last.peak - first.peak) / (large - small) as f64;
    report.compare("memory for each further step", per_step, BYTES_PER_STEP, Target::AtMost(1.0), bytes);
    Ok(())
}

/// Measures one pipeline, in a cache of its own.
fn replay(dir: &Path, shape: Shape, steps: usize, scale: &Scale, report: &mut Report) -> Result<Sample> {
    // Large ones vary less and take longer.
    let runs = scale.runs.min(scale.runs * 2_000 / steps).max(3);
    let file = write(dir, shape, steps)?;
    let run = Run::new(&file, &dir.join(format!("cache-{}-{steps}", shape.name())));
    if steps <= scale.executed {
        run.events(&[])?;
    } else {
        let mut populating = Command::new(std::env::current_exe()?);
        let status = populating.arg("__populate").arg(&file).arg(&run.cache).status()?;
        if !status.success() {
            return Err(format!("filling a cache for {steps} steps: {status}").into());
        }
    }
    run.expect_all_cached()?;
    let sample = measure::median(&mut run.measured()?, runs)?;
    let what = format!("{steps} steps, {}", shape.name());
    match SECONDS.iter().find(|(known, _)| *known == steps) {
        Some((_, target)) => {
            report.compare(&what, sample.seconds(scale), *target, Target::AtMost(1.0), seconds)
        }
        None => report.note(&format!("{what}: {}", seconds(sample.wall))),
    }
    let (cpu, peak) = (seconds(sample.cpu), sample.peak / f64::from(1 << 20));
    report.note(&format!("user and system time {cpu}, peak {peak:.1} MiB"));
    std::fs::remove_dir_all(&run.cache)?;
    Ok(sample)
}
