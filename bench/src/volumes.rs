//! What a cache volume costs a step that has one.

use std::path::Path;

use crate::Result;
use crate::check::{Report, Target, seconds};
use crate::cullet::Run;
use crate::measure::middle;
use crate::scale::Scale;

/// A step with a volume that it only reads, over the same step without.
const READING: f64 = 1.5;
/// The same for one that writes a file to it: every such step makes a version.
const WRITING: f64 = 3.0;
/// Files in the volume.
const FILES: usize = 10_000;
/// What 60 steps take longer than 20, by step: without what a run costs once.
const STEPS: [usize; 2] = [20, 60];

/// The volume of the steps, filled by the run before.
const VOLUME: &str = "caches: { /tmp/v: v }";

pub(crate) fn run(scale: &Scale, report: &mut Report) -> Result<()> {
    report.heading(&format!("cache volumes: steps beside {FILES} files"));
    let (mut without, mut reading, mut writing) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..scale.fans {
        without.push(by_step("/bin/true", "")?);
        reading.push(by_step("test -e /tmp/v/d1/f1", VOLUME)?);
        writing.push(by_step("echo new > /tmp/v/d1/new", VOLUME)?);
    }
    let (without, reading, writing) = (middle(without), middle(reading), middle(writing));
    report.compare(
        "a step that reads a volume, over one without",
        reading,
        without,
        Target::AtMost(READING),
        seconds,
    );
    report.compare(
        "a step that writes to it, over one without",
        writing,
        without,
        Target::AtMost(WRITING),
        seconds,
    );
    Ok(())
}

/// Seconds of a step, in a cache of its own.
fn by_step(script: &str, caches: &str) -> Result<f64> {
    let dir = tempfile::tempdir()?;
    let cache = dir.path().join("cache");
    let fill =
        "for d in $(seq 100); do mkdir /tmp/v/d$d; for f in $(seq 100); do : > /tmp/v/d$d/f$f; done; done";
    let first = pipeline(dir.path(), "fill", &[format!("fill: {{ run: '{fill}', {VOLUME} }}")])?;
    Run::new(&first, &cache).measured()?.once()?;
    let mut walls = Vec::new();
    for count in STEPS {
        let step = |number| format!("s{count}-{number}: {{ run: '{script}; : {count} {number}', {caches} }}");
        let file = pipeline(dir.path(), &count.to_string(), &(0..count).map(step).collect::<Vec<_>>())?;
        let run = Run { jobs: Some("1"), ..Run::new(&file, &cache) };
        walls.push(run.measured()?.once()?.wall);
    }
    Ok((walls[1] - walls[0]) / (STEPS[1] - STEPS[0]) as f64)
}

fn pipeline(dir: &Path, name: &str, steps: &[String]) -> Result<std::path::PathBuf> {
    let file = dir.join(format!("{name}.yaml"));
    std::fs::write(&file, format!("cullet: 1\nname: volumes\nsteps:\n  {}\n", steps.join("\n  ")))?;
    Ok(file)
}
