//! The JUnit reports among a step's outputs.

use cullet_cache::{ActionResult, BlobStore, OutputKind};
use cullet_coordinator::event::TestSummary;
use cullet_digest::{Digest, Directory, TreeRef};
use cullet_worker::junit;

/// The largest report that is read, in bytes: thousands of tests with their output.
const MAX_REPORT_BYTES: u64 = 64 << 20;

/// The most files of reports that are read for one step. Test runners that write one for each class have
/// hundreds.
const MAX_REPORTS: usize = 10_000;

/// The most failed tests that are named.
const MAX_FAILURES: usize = 100;

/// Adds up the reports. A report that cannot be read or understood counts as absent: the exit code of the step
/// is what decides.
pub(super) async fn read(
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
            if let Ok(report) = junit::parse_junit(&bytes) {
                add(summary.get_or_insert_default(), report);
            }
        }
    }
    summary
}

fn add(summary: &mut TestSummary, report: junit::TestReport) {
    summary.tests += report.tests;
    summary.failed += report.failed;
    summary.skipped += report.skipped;
    let room = MAX_FAILURES - summary.failures.len();
    summary.failures.extend(report.failures.iter().map(full_name).take(room));
}

fn full_name(failure: &junit::TestFailure) -> String {
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
    if digest.size() > MAX_REPORT_BYTES {
        return None;
    }
    blobs.get(digest).await.ok()?.into_bytes().ok()
}
