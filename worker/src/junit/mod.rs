//! JUnit XML reports: how many tests there were, and which failed.
//!
//! There is no standard, only what tools write (Ant's `junit` task first). Counts are taken from the test cases
//! themselves, because the totals that tools put into attributes differ in what they include.

mod parse;
mod summary;

pub use parse::parse_junit;
pub use summary::{TestSummary, summarise};

/// How large a report may be: far beyond real ones, which hold at most the output of the tests.
pub const MAX_REPORT_BYTES: usize = 64 << 20;
/// How deep its elements may be nested. Real ones have five levels.
const MAX_DEPTH: usize = 64;
/// How many failures are described; all are counted. More than this nobody reads in a summary.
const MAX_FAILURES: usize = 200;
/// How many characters of a name or a message are kept.
const MAX_TEXT_CHARS: usize = 300;

/// What a report says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TestReport {
    /// All test cases.
    pub tests: u64,
    /// Those that failed, or could not be run because of an error.
    pub failed: u64,
    /// Those that were not run.
    pub skipped: u64,
    /// The first 200 that failed, in the order of the report.
    pub failures: Vec<TestFailure>,
}

/// A test that failed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TestFailure {
    /// The class, module or suite it belongs to; may be empty.
    pub suite: String,
    /// The test.
    pub name: String,
    /// The first line of what went wrong; may be empty.
    pub message: String,
}

/// Why bytes are not a report.
#[derive(Debug, thiserror::Error)]
pub enum JunitError {
    /// It is larger than is reasonable.
    #[error("the report has {size} bytes, more than the {MAX_REPORT_BYTES} that are read")]
    TooLarge {
        /// In bytes.
        size: usize,
    },
    /// It is nested deeper than is reasonable.
    #[error("the report is nested deeper than {MAX_DEPTH} elements")]
    TooDeep,
    /// It is not XML.
    #[error("the report is not well-formed XML at byte {position}")]
    Malformed {
        /// Where, in bytes.
        position: u64,
        /// What is wrong there.
        source: quick_xml::Error,
    },
    /// It ends before its last element does.
    #[error("the report ends too early: its test tool may have been killed")]
    Truncated,
    /// It is XML of another kind.
    #[error("not a JUnit report: its first element is <{0}>, not <testsuites> or <testsuite>")]
    Other(String),
    /// There is nothing in it.
    #[error("the report is empty")]
    Empty,
}

impl TestReport {
    /// Adds another report, as of another shard.
    pub fn add(&mut self, other: Self) {
        self.tests += other.tests;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.failures.extend(other.failures);
        self.failures.truncate(MAX_FAILURES);
    }
}

#[cfg(test)]
mod tests;
