//! Whole processes, measured from outside.
//!
//! Each is started by a small child of this program that starts nothing else, so that what the kernel says
//! about "children" is about one process, and the memory of the benchmark itself is not part of it.

use std::ffi::OsStr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

use crate::Result;
use crate::scale::Scale;

/// What a process took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sample {
    /// From its start to its end, in seconds.
    pub(crate) wall: f64,
    /// User and system time of it and its children, in seconds.
    pub(crate) cpu: f64,
    /// Its largest resident set, in bytes.
    pub(crate) peak: f64,
}

impl Sample {
    /// What a target in seconds is about.
    pub(crate) const fn seconds(&self, scale: &Scale) -> f64 {
        if scale.by_cpu { self.cpu } else { self.wall }
    }
}

/// Runs a command `times` times and gives the median of each figure.
///
/// # Errors
/// It cannot be started, or fails.
pub(crate) fn median(command: &mut Measured, times: usize) -> Result<Sample> {
    let samples: Vec<Sample> = (0..times.max(1)).map(|_| command.once()).collect::<Result<_>>()?;
    Ok(medians(&samples))
}

/// Bytes of memory that another process has now; 0 where there is none.
pub(crate) fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default();
    let kibibytes = line.split_whitespace().nth(1).and_then(|word| word.parse::<u64>().ok());
    kibibytes.unwrap_or_default() << 10
}

/// The same for people.
pub(crate) fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// The median of each figure.
pub(crate) fn medians(samples: &[Sample]) -> Sample {
    let of = |figure: fn(&Sample) -> f64| middle(samples.iter().map(figure).collect());
    Sample { wall: of(|sample| sample.wall), cpu: of(|sample| sample.cpu), peak: of(|sample| sample.peak) }
}

/// The median; 0 of nothing.
pub(crate) fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// A command to measure.
#[derive(Debug)]
pub(crate) struct Measured(Command);

impl Measured {
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("__measure").arg(program).stdin(Stdio::null());
        Ok(Self(command))
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.0.arg(argument);
        self
    }

    pub(crate) fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.0.args(arguments);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    pub(crate) fn once(&mut self) -> Result<Sample> {
        let output = self.0.output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let numbers: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        match numbers[..] {
            [wall, cpu, peak] if output.status.success() => Ok(Sample { wall, cpu, peak }),
            _ => Err(format!("{:?}: {}", self.0, String::from_utf8_lossy(&output.stderr)).into()),
        }
    }
}

/// The child: runs one program with its output thrown away, and prints what it took.
pub(crate) fn child(program: &str, arguments: &[String]) -> Result<()> {
    let start = Instant::now();
    let status = Command::new(program).args(arguments).stdout(Stdio::null()).status()?;
    let wall = start.elapsed().as_secs_f64();
    if !status.success() {
        return Err(format!("{program}: {status}").into());
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let seconds = |time: nix::sys::time::TimeVal| {
        Duration::new(time.tv_sec().unsigned_abs(), time.tv_usec() as u32 * 1000).as_secs_f64()
    };
    let cpu = seconds(usage.user_time()) + seconds(usage.system_time());
    println!("{wall} {cpu} {}", usage.max_rss() * 1024);
    Ok(())
}
