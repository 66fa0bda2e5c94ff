//! Source trees: one in which nothing changed, against `git status`; one never seen, against `b3sum`.

mod tree;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cullet_digest::DigestFunction;
use cullet_source::{Scanner, SourceSpec};

use crate::Result;
use crate::check::{Report, Target, seconds, throughput};
use crate::cullet::Run;
use crate::measure::{self, Measured, Sample};
use crate::scale::Scale;

/// A scan over `git status`.
const TARGET: f64 = 2.0;
/// Throughput over that of `b3sum`.
const HASHING: f64 = 0.8;

pub(crate) fn run(scale: &Scale, report: &mut Report) -> Result<()> {
    let dir = tempfile::tempdir()?;
    unchanged(dir.path(), scale, report)?;
    first_hash(dir.path(), scale, report)
}

/// The child: one scan in a process of its own. A cache named `-` is none.
pub(crate) fn child(root: &Path, cache: &str) -> Result<()> {
    let cache = (cache != "-").then(|| PathBuf::from(cache));
    let tree = Scanner::new(DigestFunction::Blake3, cache).scan(&SourceSpec::new(root))?;
    println!("{}", tree.root());
    // As a command would: what the tree holds need not be given back piece by piece.
    std::process::exit(0)
}

fn scan(root: &Path, cache: &str) -> Result<Measured> {
    Ok(Measured::new(std::env::current_exe()?)?.arg("__scan").arg(root).arg(cache))
}

fn unchanged(dir: &Path, scale: &Scale, report: &mut Report) -> Result<()> {
    let root = dir.join("files");
    tree::many_files(&root, scale.files)?;
    for arguments in [&["init", "--quiet"][..], &["add", "."], &["gc", "--quiet"]] {
        git(&root, arguments)?;
    }
    let cache = dir.join("stat").to_string_lossy().into_owned();
    let file = dir.join("cullet.yaml");
    let source = "cullet: 1\nname: scan\nsources:\n  src: { path: files }\nsteps:\n";
    std::fs::write(&file, format!("{source}  s0: {{ inputs: {{ .: src }}, run: [/bin/true] }}\n"))?;
    let run = Run::new(&file, &dir.join("cache"));
    // Twice: what changed a moment ago is looked at once more.
    for _ in 0..2 {
        scan(&root, &cache)?.once()?;
        run.events(&[])?;
    }
    run.expect_all_cached()?;
    report.heading(&format!("source scan: {} files, nothing changed", scale.files));
    let mut status = Measured::new("git")?.arg("-C").arg(&root).args(["status", "--short"]);
    status.once()?;
    let (status, scan, whole) =
        interleaved(scale.runs, [&mut status, &mut scan(&root, &cache)?, &mut run.measured()?])?;
    let [of_git, of_scan, of_run] = [status, scan, whole].map(|sample| sample.seconds(scale));
    report.compare("a scan against git status", of_scan, of_git, Target::AtMost(TARGET), seconds);
    report.compare("cullet run against git status", of_run, of_git, Target::AtMost(TARGET), seconds);
    let cpu = [status, scan, whole].map(|sample| seconds(sample.cpu));
    report.note(&format!("user and system time: git {}, scan {}, run {}", cpu[0], cpu[1], cpu[2]));
    Ok(())
}

/// Takes turns, so that all meet the same machine.
fn interleaved(times: usize, mut commands: [&mut Measured; 3]) -> Result<(Sample, Sample, Sample)> {
    let mut samples = [const { Vec::new() }; 3];
    for _ in 0..times {
        for (command, samples) in commands.iter_mut().zip(&mut samples) {
            samples.push(command.once()?);
        }
    }
    let [a, b, c] = samples.map(|samples| measure::medians(&samples));
    Ok((a, b, c))
}

fn git(root: &Path, arguments: &[&str]) -> Result<()> {
    let status = Command::new("git").arg("-C").arg(root).args(arguments).stdin(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(format!("git {}: {status}", arguments.join(" ")).into()) }
}

fn first_hash(dir: &Path, scale: &Scale, report: &mut Report) -> Result<()> {
    let root = dir.join("bytes");
    let files = tree::many_bytes(&root, scale.bytes)?;
    let b3sum = std::env::var_os("B3SUM").unwrap_or_else(|| "b3sum".into());
    let mut sum = Measured::new(&b3sum)?.args(&files);
    report.heading(&format!("source scan: first hash of {} MiB in {} files", scale.bytes >> 20, files.len()));
    if let Err(error) = sum.once() {
        report.note(&format!("not compared, as b3sum is not there (cargo install b3sum): {error}"));
        return Ok(());
    }
    let mut scan = scan(&root, "-")?;
    scan.once()?;
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..scale.fans.max(3) {
        theirs.push(sum.once()?);
        ours.push(scan.once()?);
    }
    let (theirs, ours) = (measure::medians(&theirs), measure::medians(&ours));
    let rate = |sample: Sample| scale.bytes as f64 / sample.wall;
    let target = Target::AtLeast(HASHING);
    report.compare("first hash against b3sum", rate(ours), rate(theirs), target, throughput);
    report.note(&format!("user and system time: b3sum {}, scan {}", seconds(theirs.cpu), seconds(ours.cpu)));
    Ok(())
}
