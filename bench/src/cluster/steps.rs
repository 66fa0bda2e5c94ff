//! Steps that do nothing, really executed: on a cluster of this machine, and by `cullet run` on it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::Result;
use crate::check::{Report, Target};
use crate::measure::middle;

/// Steps of one run.
const STEPS: usize = 300;
/// How often each is measured, in turn.
const ROUNDS: usize = 7;
/// Workers, and the processors that each has: together what one machine has.
const WORKERS: usize = 4;
/// A cluster over one machine.
const TARGET: f64 = 0.7;

pub(crate) fn run(report: &mut Report) -> Result<()> {
    report.heading(&format!(
        "{STEPS} steps that do nothing: three coordinators and {WORKERS} workers, against one machine"
    ));
    let cluster = super::start(WORKERS)?;
    let numbers = (0..STEPS).map(|step| step.to_string()).collect::<Vec<_>>().join(", ");
    let text = format!(
        "cullet: 1\nname: fan\nsteps:\n  s: {{ matrix: {{ n: [{numbers}] }}, run: [/bin/true, '${{{{ matrix.n }}}}'], resources: {{ cpu: 0.5 }} }}\n"
    );
    let dir = cluster.pipeline("fan", &text);
    let urls = cluster.urls();
    // What is looked at once is not part of it.
    once(cluster.command(), &dir, &["--cluster", &urls])?;
    once(cluster.command(), &dir, &[])?;
    let (mut there, mut here) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        there.push(once(cluster.command(), &dir, &["--cluster", &urls])?);
        here.push(once(cluster.command(), &dir, &[])?);
    }
    let rate = |times: Vec<f64>| STEPS as f64 / middle(times);
    let a_second = |value: f64| format!("{value:.0} steps/s");
    report.compare("a cluster over one machine", rate(there), rate(here), Target::AtLeast(TARGET), a_second);
    Ok(())
}

fn once(mut command: Command, dir: &Path, more: &[&str]) -> Result<f64> {
    let begin = Instant::now();
    command.current_dir(dir).args(["run", "--no-cache", "--progress", "plain"]).args(more);
    let output = command.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(begin.elapsed().as_secs_f64())
}
