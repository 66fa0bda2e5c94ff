//! The JUnit reports among a step's outputs.

use cullet_cache::{ActionResult, BlobStore, OutputKind};
use cullet_digest::{Digest, Directory, TreeRef};

use super::{MAX_REPORT_BYTES, TestFailure, TestReport, parse_junit};

/// The most files of reports that are read for one step. Test runners that write one for each class have
/// hundreds.
const MAX_REPORTS: usize = 10_000;

/// The most failed tests that are named.
const MAX_NAMES: usize = 100;

/// The test reports of a step, added up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TestSummary {
    /// Tests that ran or were skipped.
    pub tests: u64,
    /// Failed tests, errors included.
    pub failed: u64,
    /// Skipped tests.
    pub skipped: u64,
    /// Names of failed tests, at most 100.
    pub failures: Vec<String>,
}

/// Adds up the reports at `paths`. A report that cannot be read or understood counts as absent: the exit code of
/// the step is what decides.
pub async fn summarise(
    result: &ActionResult,
    paths: &[String],
    blobs: &dyn BlobStore,
) -> Option<TestSummary> {
    let mut summary: Option<TestSummary> = None;
    for path in paths {
        let Some(output) = result.outputs.iter().find(|output| output.path == *path) else { continue };
        let OutputKind::Tree(tree) = output.kind else { continue };
        for digest in files(tree, blobs).await {
            let Some(bytes) = small_blob(&digest, blobs).await else { continue };
            if let Ok(report) = parse_junit(&bytes) {
                add(summary.get_or_insert_default(), &report);
            }
        }
    }
    summary
}

fn add(summary: &mut TestSummary, report: &TestReport) {
    summary.tests += report.tests;
    summary.failed += report.failed;
    summary.skipped += report.skipped;
    let room = MAX_NAMES - summary.failures.len();
    summary.failures.extend(report.failures.iter().map(full_name).take(room));
}

fn full_name(failure: &TestFailure) -> String {
    match failure.suite.as_str() {
        "" => failure.name.clone(),
        suite => format!("{suite} > {}", failure.name),
    }
}

/// The files of a tree, in the order of their names.
async fn files(tree: TreeRef, blobs: &dyn BlobStore) -> Vec<Digest> {
    let mut found = Vec::new();
    let mut open = vec![tree];
    while let Some(tree) = open.pop() {
        match tree {
            TreeRef::File { digest, .. } => found.push(digest),
            TreeRef::Directory(digest) => {
                let Some(bytes) = small_blob(&digest, blobs).await else { continue };
                let Ok(directory) = Directory::decode(digest.function(), &bytes) else { continue };
                found.extend(directory.files().iter().map(|file| file.digest));
                open.extend(directory.directories().iter().map(|sub| TreeRef::Directory(sub.digest)));
            }
        }
        found.truncate(MAX_REPORTS);
    }
    found
}

async fn small_blob(digest: &Digest, blobs: &dyn BlobStore) -> Option<bytes::Bytes> {
    if digest.size() > MAX_REPORT_BYTES as u64 {
        return None;
    }
    blobs.get(digest).await.ok()?.into_bytes().ok()
}
