//! What a step that does nothing costs beyond the bare launch of a sandbox.

use std::path::Path;

use cullet_worker::host::HostTools;
use cullet_worker::sandbox::{LauncherCommand, Sandbox, SandboxConfig};

use crate::Result;
use crate::check::{Report, Target, seconds};
use crate::cullet::Run;
use crate::launch::launch;
use crate::measure::middle;
use crate::scale::Scale;

/// A step in a run, over a bare launch.
const TARGET: f64 = 1.5;
/// Steps of the fan.
const FAN: usize = 50;
/// Steps of the larger fan: what it takes longer, a step at a time, is free of what a run costs anyway.
const LARGE_FAN: usize = 150;
/// What BuildKit needs for each of 50 such steps, in seconds: the lower of two published figures.
const BUILDKIT: f64 = 0.07;

pub(crate) fn run(scale: &Scale, report: &mut Report) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let config = SandboxConfig::new(HostTools::default(), Vec::new());
    let sandbox = Sandbox::start(LauncherCommand::this_program(), config)?;
    report.heading("step overhead: steps that do nothing, cold cache");
    let (mut bare, mut steps, mut default) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..scale.fans {
        let mut launches = runtime.block_on(launches(&sandbox, dir.path(), scale.launches))?;
        bare.append(&mut launches);
        let at = dir.path().join(round.to_string());
        let small = fan(&at, FAN, Some("1"))?;
        let large = fan(&at, LARGE_FAN, Some("1"))?;
        steps.push((large - small) / (LARGE_FAN - FAN) as f64);
        default.push(fan(&at, FAN, None)? / FAN as f64);
    }
    if scale.by_cpu {
        // Other programs only ever add: the best says most of a busy machine.
        for times in [&mut bare, &mut steps, &mut default] {
            times.sort_by(f64::total_cmp);
            times.truncate(1);
        }
    }
    let (bare, steps, default) = (middle(bare), middle(steps), middle(default));
    report.compare("a step with --jobs 1, over a bare launch", steps, bare, Target::AtMost(TARGET), seconds);
    let fan = format!("a run of {FAN} with all processors, a step, against BuildKit's published figure");
    if scale.by_cpu {
        // Another machine's figure means nothing to a busy one.
        report.note(&format!("{fan}: {} / {}", seconds(default), seconds(BUILDKIT)));
    } else {
        report.compare(&fan, default, BUILDKIT, Target::AtMost(0.1), seconds);
    }
    Ok(())
}

/// Seconds that a run of so many distinct steps takes when none of them is cached. One other step runs first,
/// so that the machine's tools have been looked at, as on any machine that has run a pipeline before.
fn fan(dir: &Path, steps: usize, jobs: Option<&'static str>) -> Result<f64> {
    let cache = tempfile::tempdir()?;
    std::fs::create_dir_all(dir)?;
    let file = dir.join(format!("fan-{steps}.yaml"));
    let mut text = "cullet: 1\nname: fan\nsteps:\n".to_owned();
    for step in 0..steps {
        text.push_str(&format!("  s{step}: {{ run: [/bin/true, \"{step}\"] }}\n"));
    }
    std::fs::write(&file, text)?;
    let first = dir.join("first.yaml");
    std::fs::write(&first, "cullet: 1\nname: first\nsteps: { first: { run: [/bin/true] } }\n")?;
    Run::new(&first, cache.path()).measured()?.once()?;
    let run = Run { jobs, ..Run::new(&file, cache.path()) };
    Ok(run.measured()?.once()?.wall)
}

/// Seconds of each of some launches, one after the other.
async fn launches(sandbox: &Sandbox, base: &Path, count: usize) -> Result<Vec<f64>> {
    let mut times = Vec::with_capacity(count);
    for index in 0..count {
        times.push(launch(sandbox, &base.join(format!("launch-{index}")), None).await?);
    }
    Ok(times)
}
