//! Load generators and side-by-side benchmarks. Each prints what it measured, what it compares with, the ratio,
//! the target, and whether that is met; see README.md.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what this program is for")]

mod capture;
mod check;
mod cluster;
mod core_apply;
mod core_schedule;
mod cullet;
mod images;
mod launch;
mod measure;
mod one_step;
mod quick;
mod reapi;
mod replay;
mod scale;
mod shared;
mod source_scan;
mod step_overhead;
mod volumes;

use std::error::Error;
use std::process::ExitCode;

use check::Report;
use cullet_worker::sandbox::{LauncherCommand, launcher_main};
use scale::Scale;

/// What a benchmark gives. Whatever goes wrong ends it: nobody recovers here.
type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const USAGE: &str = "\
usage: cullet-bench BENCHMARK
  replay           every step is cached: time and memory from 1,000 to 100,000 steps
  step-overhead    a step that does nothing, against a bare sandbox launch
  volumes          a step with a cache volume of 10,000 files, against the same step without
  capture          the root of a step that wrote 10,000 small files, against tar
  source-scan      a source tree of 100,000 files against git status, 2 GiB against b3sum
  one-cached-step  the whole process for one cached step
  core             the decisions alone for 100,000 cached steps
  scheduler        the decisions alone for 1,000 workers and 100,000 ready steps
  failover         a cluster whose leader is killed a hundred times, under load
  etcd             durable transitions and submissions of a cluster against etcd
  flood            ten thousand submissions at once, and somebody else's beside them
  cluster-steps    steps that do nothing on a cluster against one machine
  images           an image fetched, unpacked and run against skopeo, umoci, runc and Docker
  reapi            a cluster as a server of the Remote Execution API, against one that does nothing
  flooding         a client that floods a cluster with uploads or executions, and others beside it
  plain            actions and a graph of them on a worker without a sandbox, against fork and exec
  streams          large blobs through a cluster, against streams into nowhere
  shared           a cache in a bucket: from an empty machine, large outputs, publishing
  all              all of them but those of clusters, images and buckets
  quick            all of them in small, failing only far beyond the targets";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("cullet-bench: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether every target was met.
fn dispatch(arguments: &[String]) -> Result<bool> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let full = Scale::full();
    let mut report = Report::new(1.0);
    match words[..] {
        // Children of this program: see the modules.
        [LauncherCommand::ARGUMENT, ..] => launcher_main(),
        ["__measure", program, ..] => return measure::child(program, &arguments[2..]).map(|()| true),
        ["__populate", file, cache] => return replay::populate(file.as_ref(), cache.as_ref()).map(|()| true),
        ["__bucket", dir, delay] => return shared::child(dir.as_ref(), delay).map(|()| true),
        ["__echo"] => return reapi::child().map(|()| true),
        ["__flood", url, kind] => return reapi::flood(url, kind).map(|()| true),
        ["__scan", root, cache] => return source_scan::child(root.as_ref(), cache).map(|()| true),
        ["replay"] => replay::run(&full, &mut report)?,
        ["step-overhead"] => step_overhead::run(&full, &mut report)?,
        ["volumes"] => volumes::run(&full, &mut report)?,
        ["capture"] => capture::run(&full, &mut report)?,
        ["source-scan"] => source_scan::run(&full, &mut report)?,
        ["one-cached-step"] => one_step::run(&full, &mut report)?,
        ["core"] => core_apply::run(&full, &mut report)?,
        ["scheduler"] => core_schedule::run(&full, &mut report)?,
        ["failover"] => cluster::failover(&mut report)?,
        ["etcd"] => cluster::etcd(&mut report)?,
        ["flood"] => cluster::flood(&mut report)?,
        ["cluster-steps"] => cluster::steps(&mut report)?,
        ["reapi"] => reapi::run(&mut report)?,
        ["flooding"] => reapi::flooding(&mut report)?,
        ["plain"] => reapi::plain(&mut report)?,
        ["streams"] => reapi::streams(&mut report)?,
        ["shared"] => shared::run(&mut report)?,
        ["images"] => images::run(&mut report)?,
        ["all"] => all(&full, &mut report)?,
        ["quick"] => return quick::run(),
        _ => return Err(USAGE.into()),
    }
    Ok(report.passed())
}

fn all(scale: &Scale, report: &mut Report) -> Result<()> {
    core_apply::run(scale, report)?;
    core_schedule::run(scale, report)?;
    one_step::run(scale, report)?;
    step_overhead::run(scale, report)?;
    volumes::run(scale, report)?;
    capture::run(scale, report)?;
    replay::run(scale, report)?;
    source_scan::run(scale, report)
}
