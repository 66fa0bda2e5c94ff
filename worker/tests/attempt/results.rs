//! What is in results.

use cullet_cache::{ActionResult, BlobStore as _, LogStream, OutputKind};
use cullet_digest::TreeRef;

use crate::fixture::Fixture;

#[track_caller]
pub(crate) fn tree(result: &ActionResult, path: &str) -> TreeRef {
    match result.outputs.iter().find(|output| output.path == path).map(|output| &output.kind) {
        Some(OutputKind::Tree(tree)) => *tree,
        other => panic!("{path}: {other:?}"),
    }
}

pub(crate) async fn text(fixture: &Fixture, log: &LogStream) -> String {
    let bytes = match log {
        LogStream::Inline(bytes) => bytes.clone(),
        LogStream::Blob(digest) => fixture.store.get(digest).await.unwrap().into_bytes().unwrap(),
    };
    String::from_utf8_lossy(&bytes).into_owned()
}

pub(crate) fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut pairs: Vec<_> = expected.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    pairs.sort();
    pairs
}
