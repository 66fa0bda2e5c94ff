//! One cached step: what every run costs, however small.

use crate::Result;
use crate::check::{Report, Target, seconds};
use crate::cullet::Run;
use crate::measure;
use crate::replay::pipeline::{Shape, write};
use crate::scale::Scale;

/// Seconds that the whole process may take.
const TARGET: f64 = 0.015;

pub(crate) fn run(scale: &Scale, report: &mut Report) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let file = write(dir.path(), Shape::Layers, 1)?;
    let run = Run::new(&file, &dir.path().join("cache"));
    run.events(&[])?;
    run.expect_all_cached()?;
    report.heading("one cached step, whole process");
    let sample = measure::median(&mut run.measured()?, scale.runs * 3)?;
    report.compare("one cached step", sample.seconds(scale), TARGET, Target::AtMost(1.0), seconds);
    report.note(&format!(
        "user and system time {}, peak {} KiB",
        seconds(sample.cpu),
        sample.peak as u64 / 1024
    ));
    Ok(())
}
