//! What to scan, and how much of it at most.

use std::path::PathBuf;

/// A source tree as a pipeline declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceSpec {
    /// The directory. A symbolic link here is followed; nowhere below.
    pub root: PathBuf,
    /// Globs in the form of gitignore(5), relative to `root`. Where there are any, only files that match one,
    /// or lie below a directory that does, belong to the source.
    pub include: Vec<String>,
    /// Globs in the same form of what does not belong to it. They go before every `.gitignore`, so `!name`
    /// brings back what a `.gitignore` leaves out.
    pub exclude: Vec<String>,
}

impl SourceSpec {
    /// Everything below `root` that is not ignored.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), include: Vec::new(), exclude: Vec::new() }
    }
}

/// Bounds of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScanLimits {
    /// Files, symbolic links and directories together. A tree of the default number takes about 0.7 GiB of
    /// memory, and is ten times the largest repositories that people build.
    pub max_entries: u32,
    /// Directories inside each other. Four thousand is past what a path can name (4096 bytes), and still walked.
    pub max_depth: u32,
    /// Problems and warnings, each, that are kept with their paths; more are only counted. A person reads no
    /// hundred, and a tree made of FIFOs must not fill the memory.
    pub max_reports: usize,
    /// Bytes of one `.gitignore` file. The largest in use have a few thousand bytes.
    pub max_ignore_bytes: u64,
}

impl Default for ScanLimits {
    fn default() -> Self {
        Self { max_entries: 5_000_000, max_depth: 4096, max_reports: 100, max_ignore_bytes: 1 << 20 }
    }
}
