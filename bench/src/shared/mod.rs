//! A cache in a bucket behind that of a machine.

mod bucket;

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

pub(crate) use self::bucket::child;
use self::bucket::{Bucket, NAME};
use crate::Result;
use crate::check::{Report, Target, bytes, seconds};
use crate::cullet::binary;
use crate::measure::{Measured, Sample, median, medians};

/// How long each answer takes.
const DELAY: Duration = Duration::from_millis(20);
/// A run that finds everything elsewhere: 20 steps one after the other, and 1,000 side by side.
const CHAIN: (usize, f64) = (20, 0.3);
const FAN: (usize, f64) = (1_000, 1.5);
/// Restoring an output, over copying one file of the same bytes: 70 % as fast.
const RESTORE: f64 = 1.0 / 0.7;
/// Its files and bytes, and the memory that it may take.
const FILES: usize = 10_000;
const BYTES: usize = 1 << 30;
const MEMORY: f64 = 300.0 * 1024.0 * 1024.0;
/// Of an output of a gigabyte of which a hundredth changed, what is moved.
const MOVED: f64 = 0.03;
/// A run that publishes, over one that does not.
const PUBLISHING: f64 = 1.05;
/// Repetitions.
const TIMES: usize = 5;

pub(crate) fn run(report: &mut Report) -> Result<()> {
    warm(report, "chain", CHAIN)?;
    warm(report, "fan", FAN)?;
    restore(report)?;
    changed(report)?;
    publishing(report)
}

/// A pipeline, and where its results are kept.
struct Site {
    dir: tempfile::TempDir,
    file: PathBuf,
}

impl Site {
    fn new(pipeline: &str) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let file = dir.path().join("cullet.yaml");
        fs::write(&file, pipeline)?;
        Ok(Self { dir, file })
    }

    fn serve(&self, delay: Duration) -> Result<Bucket> {
        Bucket::serve(&self.dir.path().join("buckets"), delay)
    }

    /// A run on a machine whose cache is there.
    fn command(&self, cache: &str, bucket: Option<&Bucket>, mode: &str) -> Result<Measured> {
        let cache = self.dir.path().join(cache);
        let mut command =
            Measured::new(binary()?)?.args(["run", "--executor", "plain", "--file"]).arg(&self.file);
        command = command.env("CULLET_CACHE_DIR", cache).env("CULLET_PROGRESS", "plain");
        let Some(bucket) = bucket else { return Ok(command) };
        for (name, value) in bucket.variables() {
            command = command.env(name, value);
        }
        let place = format!("s3://{NAME}/cache");
        Ok(command.env("CULLET_SHARED_CACHE", place).env("CULLET_SHARED_CACHE_MODE", mode))
    }

    fn publish(&self, cache: &str) -> Result<()> {
        let bucket = self.serve(Duration::ZERO)?;
        self.command(cache, Some(&bucket), "write")?.once().map(drop)
    }

    fn forget(&self, path: &str) -> Result<PathBuf> {
        let path = self.dir.path().join(path);
        if path.exists() {
            fs::remove_dir_all(&path)?;
        }
        Ok(path)
    }

    /// The bytes of all objects.
    fn stored(&self) -> Result<u64> {
        let (mut sum, mut waiting) = (0, vec![self.dir.path().join("buckets").join(NAME)]);
        while let Some(dir) = waiting.pop() {
            for entry in fs::read_dir(dir)? {
                let entry = entry?;
                match entry.file_type()?.is_dir() {
                    true => waiting.push(entry.path()),
                    false => sum += entry.metadata()?.len(),
                }
            }
        }
        Ok(sum)
    }
}

/// A machine that has nothing runs what another one has published, and wants the last output.
fn warm(report: &mut Report, kind: &str, (steps, target): (usize, f64)) -> Result<()> {
    report
        .heading(&format!("{kind} of {steps} steps, all of them in a bucket {} ms away", DELAY.as_millis()));
    let site = Site::new(&pipeline(kind, steps)?)?;
    site.publish("maker")?;
    let bucket = site.serve(DELAY)?;
    let (mut known, mut unknown): (Vec<Sample>, Vec<Sample>) = Default::default();
    for _ in 0..TIMES {
        for (samples, is_known) in [(&mut unknown, false), (&mut known, true)] {
            let (laptop, out) = (site.forget("laptop")?, site.forget("out")?);
            if is_known {
                // What a machine remembers of its own tools, and nothing else.
                fs::create_dir_all(&laptop)?;
                let host = site.dir.path().join("maker/host");
                Measured::new("cp")?.arg("-a").arg(host).arg(&laptop).once()?;
            }
            let mut run = site.command("laptop", Some(&bucket), "read")?.arg("--output").arg(&out);
            samples.push(run.once()?);
            if fs::read_dir(&out)?.count() == 0 {
                return Err("nothing was written".into());
            }
        }
    }
    let (known, unknown) = (medians(&known), medians(&unknown));
    report.compare("from nothing to the last output", known.wall, 1.0, Target::AtMost(target), seconds);
    report.note(&format!(
        "{} where the machine has never looked at its own tools; {} MiB of memory",
        seconds(unknown.wall),
        known.peak as u64 >> 20
    ));
    Ok(())
}

fn pipeline(kind: &str, steps: usize) -> Result<String> {
    let mut text = String::from("cullet: 1\nname: warm\nsteps:\n");
    for step in 0..steps {
        let input = match (kind, step) {
            (_, 0) => String::new(),
            ("chain", _) => format!("inputs: {{ in: s{}.out }}, ", step - 1),
            _ => "inputs: { in: s0.out }, ".to_owned(),
        };
        writeln!(text, "  s{step}: {{ {input}run: 'echo {step} > out', outputs: {{ out: out }} }}")?;
    }
    writeln!(text, "outputs: {{ last: s{}.out }}", steps - 1)?;
    Ok(text)
}

/// Writes bytes that nothing compresses.
fn noise(path: &Path, len: usize, seed: u64) -> Result<()> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut file = std::io::BufWriter::new(fs::File::create(path)?);
    let mut buffer = vec![0; 64 << 10];
    let mut left = len;
    while left > 0 {
        let part = left.min(buffer.len());
        random.fill(&mut buffer[..part]);
        file.write_all(&buffer[..part])?;
        left -= part;
    }
    Ok(file.flush()?)
}

/// A pipeline of one step whose output is a source.
const COPY: &str = "cullet: 1\nname: copy\nsources: { s: { path: src } }\nsteps:\n  copy: { inputs: { s: s }, \
                    run: 'cp -r s out', outputs: { out: out } }\noutputs: { out: copy.out }\n";

fn restore(report: &mut Report) -> Result<()> {
    report.heading(&format!("an output of {FILES} files and 1 GiB, against one file of the same bytes"));
    let site = Site::new(COPY)?;
    for file in 0..FILES {
        let dir = site.dir.path().join(format!("src/{}", file / 100));
        fs::create_dir_all(&dir)?;
        noise(&dir.join(file.to_string()), BYTES / FILES, file as u64)?;
    }
    site.publish("maker")?;
    let bucket = site.serve(Duration::ZERO)?;
    let tar = site.dir.path().join("all.tar");
    let packed =
        Command::new("tar").arg("-cf").arg(&tar).arg("-C").arg(site.dir.path()).arg("src").status()?;
    if !packed.success() {
        return Err(format!("tar: {packed}").into());
    }
    let url = format!("{}/{NAME}/all.tar", bucket.address);
    let curl = [
        "-sSf",
        "--aws-sigv4",
        "aws:amz:us-east-1:s3",
        "--user",
        "id:secret",
        "-H",
        "x-amz-content-sha256: UNSIGNED-PAYLOAD",
    ];
    Measured::new("curl")?.args(curl).arg("-T").arg(&tar).arg(&url).once()?;
    fs::remove_file(&tar)?;
    let (mut restored, mut copied): (Vec<Sample>, Vec<Sample>) = Default::default();
    for _ in 0..TIMES {
        let (_, out) = (site.forget("laptop")?, site.forget("out")?);
        let mut run = site.command("laptop", Some(&bucket), "read")?.arg("--output").arg(&out);
        restored.push(run.once()?);
        copied.push(Measured::new("curl")?.args(curl).arg("-o").arg(&tar).arg(&url).once()?);
        fs::remove_file(&tar)?;
    }
    let (restored, copied) = (medians(&restored), medians(&copied));
    report.compare(
        "a run that writes the output, over a copy",
        restored.wall,
        copied.wall,
        Target::AtMost(RESTORE),
        seconds,
    );
    report.compare("memory, over what is allowed", restored.peak, MEMORY, Target::AtMost(1.0), bytes);
    Ok(())
}

/// What is sent of an output of which a hundredth changed: in one place, and in ten.
fn changed(report: &mut Report) -> Result<()> {
    report.heading("an output of 1 GiB in one file, of which a hundredth changed");
    let site = Site::new(COPY)?;
    let path = site.dir.path().join("src/large");
    fs::create_dir_all(site.dir.path().join("src"))?;
    noise(&path, BYTES, 1)?;
    site.publish("maker")?;
    for (places, seed) in [(1, 2), (10, 3)] {
        let before = site.stored()?;
        let mut large = fs::read(&path)?;
        let len = BYTES / 100 / places;
        for place in 0..places {
            let at = BYTES / places * place + 12_345;
            fastrand::Rng::with_seed(seed + place as u64 * 100).fill(&mut large[at..at + len]);
        }
        fs::write(&path, large)?;
        site.publish("maker")?;
        let moved = (site.stored()? - before) as f64;
        let what = format!("bytes that are sent, in {places} places");
        report.compare(&what, moved, BYTES as f64, Target::AtMost(MOVED), bytes);
    }
    Ok(())
}

/// Twenty steps that compute and leave something, with results published and without.
fn publishing(report: &mut Report) -> Result<()> {
    report.heading(&format!("20 steps that compute, published in a bucket {} ms away", DELAY.as_millis()));
    let mut text = String::from("cullet: 1\nname: publish\nsteps:\n");
    for step in 0..20 {
        let input = if step < 2 { String::new() } else { format!("inputs: {{ in: s{}.out }}, ", step - 2) };
        writeln!(
            text,
            "  s{step}: {{ {input}run: ': {step}; head -c 200000000 /dev/zero | sha256sum > sum; head -c 1000000 /dev/urandom > out', \
             outputs: {{ out: out }} }}"
        )?;
    }
    let site = Site::new(&text)?;
    let bucket = site.serve(DELAY)?;
    let (mut with, mut without): (Vec<Sample>, Vec<Sample>) = Default::default();
    for _ in 0..TIMES {
        site.forget("maker")?;
        without.push(median(&mut site.command("maker", None, "")?, 1)?);
        // What the last round published would be taken from there.
        let stored = site.forget(&format!("buckets/{NAME}"))?;
        fs::create_dir_all(stored)?;
        site.forget("maker")?;
        with.push(median(&mut site.command("maker", Some(&bucket), "write")?, 1)?);
        // A megabyte of noise from each step.
        if site.stored()? < 20_000_000 {
            return Err("not all of it was published".into());
        }
    }
    let (with, without) = (medians(&with).wall, medians(&without).wall);
    report.compare(
        "a run that publishes, over one that does not",
        with,
        without,
        Target::AtMost(PUBLISHING),
        seconds,
    );
    Ok(())
}
