//! What a signature is over.

use cullet_digest::{Digest, TreeRef};
use serde::Serialize;

use super::Scope;
use crate::{ActionResult, LogStream, OutputKind};

/// What comes before every statement, so that no other text with a signature of the same key is one.
const CONTEXT: &[u8] = b"cullet result 1\0";

/// What is said of a result. Who reused it and what it took of a machine is not: nobody acts on it.
#[derive(Serialize)]
struct Statement<'a> {
    scope: String,
    action: Digest,
    exit_code: i32,
    outputs: Vec<(&'a str, What<'a>)>,
    stdout: Printed<'a>,
    stderr: Printed<'a>,
    interleaving: &'a [u32],
    worker: &'a str,
    started_at_ms: u64,
}

#[derive(Serialize)]
enum What<'a> {
    File { digest: Digest, executable: bool },
    Directory(Digest),
    Symlink(&'a str),
}

#[derive(Serialize)]
enum Printed<'a> {
    Inline(&'a [u8]),
    Blob(Digest),
}

/// The bytes that are signed: one form for each result, whoever wrote it down in between.
pub(super) fn bytes(scope: &Scope, action: &Digest, result: &ActionResult) -> Option<Vec<u8>> {
    let mut outputs: Vec<(&str, What<'_>)> =
        result.outputs.iter().map(|output| (output.path.as_str(), what(&output.kind))).collect();
    outputs.sort_by_key(|(path, _)| *path);
    let statement = Statement {
        scope: scope.to_string(),
        action: *action,
        exit_code: result.exit_code,
        outputs,
        stdout: printed(&result.stdout),
        stderr: printed(&result.stderr),
        interleaving: &result.interleaving,
        worker: &result.worker,
        started_at_ms: result.started_at_ms,
    };
    let said = postcard::to_extend(&statement, CONTEXT.to_vec()).ok()?;
    // Results of pipelines have none, and what was signed before there were any still counts.
    if result.trees.is_empty() { Some(said) } else { postcard::to_extend(&result.trees, said).ok() }
}

fn what(kind: &OutputKind) -> What<'_> {
    match kind {
        OutputKind::Tree(TreeRef::File { digest, executable }) => {
            What::File { digest: *digest, executable: *executable }
        }
        OutputKind::Tree(TreeRef::Directory(root)) => What::Directory(*root),
        OutputKind::Symlink(target) => What::Symlink(target),
    }
}

fn printed(stream: &LogStream) -> Printed<'_> {
    match stream {
        LogStream::Inline(bytes) => Printed::Inline(bytes),
        LogStream::Blob(digest) => Printed::Blob(*digest),
    }
}
