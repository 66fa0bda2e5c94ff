//! Bytes to result.

use bytes::Bytes;
use cullet_digest::{Digest, DigestFunction, TreeRef};
use cullet_proto::reapi;
use prost::Message as _;
use prost_types::Timestamp;

use super::{
    ActionResultError, INTERLEAVING_URL, LogInterleaving, SIGNATURE_URL, SignatureMessage, USAGE_URL,
    UsageMessage,
};
use crate::trust::{PublicKey, Signature};
use crate::{ActionResult, LogStream, Output, OutputKind, Times, Usage};

impl ActionResult {
    /// Reads the bytes of a REAPI v2 `ActionResult` whose digests are of `function`. Outputs come back sorted
    /// by path. Short logs are slices of `bytes`.
    pub fn decode(function: DigestFunction, bytes: Bytes) -> Result<Self, ActionResultError> {
        Self::from_wire(function, reapi::ActionResult::decode(bytes)?)
    }

    /// Checks a message; see [`ActionResult::decode`].
    pub fn from_wire(
        function: DigestFunction,
        message: reapi::ActionResult,
    ) -> Result<Self, ActionResultError> {
        let metadata = message.execution_metadata.unwrap_or_default();
        let times = times(&metadata);
        let started_at_ms = milliseconds(metadata.execution_start_timestamp);
        let completed_at_ms = milliseconds(metadata.execution_completed_timestamp);
        let trees = trees(function, &message.output_directories)?;
        let outputs =
            outputs(function, message.output_files, message.output_directories, message.output_symlinks)?;
        Ok(Self {
            exit_code: message.exit_code,
            outputs,
            stdout: stream(function, "stdout", message.stdout_raw, message.stdout_digest)?,
            stderr: stream(function, "stderr", message.stderr_raw, message.stderr_digest)?,
            interleaving: interleaving(&metadata.auxiliary_metadata)?,
            usage: usage(&metadata.auxiliary_metadata)?,
            signature: signature(&metadata.auxiliary_metadata),
            trees,
            times,
            worker: metadata.worker,
            started_at_ms,
            duration_ms: completed_at_ms.saturating_sub(started_at_ms),
        })
    }
}

fn times(metadata: &reapi::ExecutedActionMetadata) -> Times {
    Times {
        queued_ms: milliseconds(metadata.queued_timestamp),
        worker_started_ms: milliseconds(metadata.worker_start_timestamp),
        worker_completed_ms: milliseconds(metadata.worker_completed_timestamp),
        fetching_ms: (
            milliseconds(metadata.input_fetch_start_timestamp),
            milliseconds(metadata.input_fetch_completed_timestamp),
        ),
        uploading_ms: (
            milliseconds(metadata.output_upload_start_timestamp),
            milliseconds(metadata.output_upload_completed_timestamp),
        ),
    }
}

fn outputs(
    function: DigestFunction,
    files: Vec<reapi::OutputFile>,
    directories: Vec<reapi::OutputDirectory>,
    symlinks: Vec<reapi::OutputSymlink>,
) -> Result<Vec<Output>, ActionResultError> {
    let mut outputs = Vec::with_capacity(files.len() + directories.len() + symlinks.len());
    for file in files {
        let digest = digest(function, &file.path, file.digest)?;
        let tree = TreeRef::File { digest, executable: file.is_executable };
        outputs.push(Output { path: file.path, kind: OutputKind::Tree(tree) });
    }
    for directory in directories {
        let root = digest(function, &directory.path, directory.root_directory_digest)?;
        outputs.push(Output { path: directory.path, kind: OutputKind::Tree(TreeRef::Directory(root)) });
    }
    for link in symlinks {
        outputs.push(Output { path: link.path, kind: OutputKind::Symlink(link.target) });
    }
    outputs.sort_by(|a, b| a.path.cmp(&b.path));
    match outputs.windows(2).find(|pair| pair[0].path == pair[1].path) {
        Some(pair) => Err(ActionResultError::Duplicate(pair[0].path.clone())),
        None => Ok(outputs),
    }
}

fn trees(
    function: DigestFunction,
    directories: &[reapi::OutputDirectory],
) -> Result<Vec<(String, Digest)>, ActionResultError> {
    let named = directories.iter().filter(|directory| directory.tree_digest.is_some());
    let tree = |directory: &reapi::OutputDirectory| {
        let tree = digest(function, &directory.path, directory.tree_digest.clone())?;
        Ok((directory.path.clone(), tree))
    };
    let mut trees = named.map(tree).collect::<Result<Vec<_>, ActionResultError>>()?;
    trees.sort();
    Ok(trees)
}

fn stream(
    function: DigestFunction,
    what: &str,
    raw: Bytes,
    blob: Option<reapi::Digest>,
) -> Result<LogStream, ActionResultError> {
    Ok(match blob {
        // Raw bytes win: REAPI lets a server inline what it also names.
        Some(_) if !raw.is_empty() => LogStream::Inline(raw),
        Some(blob) => LogStream::Blob(digest(function, what, Some(blob))?),
        None => LogStream::Inline(raw),
    })
}

fn digest(
    function: DigestFunction,
    what: &str,
    digest: Option<reapi::Digest>,
) -> Result<Digest, ActionResultError> {
    let digest = digest.ok_or_else(|| ActionResultError::NoDigest(what.to_owned()))?;
    Digest::from_wire(function, &digest.hash, digest.size_bytes)
        .map_err(|source| ActionResultError::Digest { what: what.to_owned(), source })
}

fn interleaving(auxiliary: &[prost_types::Any]) -> Result<Vec<u32>, ActionResultError> {
    match auxiliary.iter().find(|any| any.type_url == INTERLEAVING_URL) {
        Some(any) => Ok(LogInterleaving::decode(&*any.value)?.runs),
        None => Ok(Vec::new()),
    }
}

fn usage(auxiliary: &[prost_types::Any]) -> Result<Usage, ActionResultError> {
    let Some(any) = auxiliary.iter().find(|any| any.type_url == USAGE_URL) else {
        return Ok(Usage::default());
    };
    let UsageMessage { cpu_ms, peak_memory_bytes, read_bytes, written_bytes } =
        UsageMessage::decode(&*any.value)?;
    Ok(Usage { cpu_ms, peak_memory_bytes, read_bytes, written_bytes })
}

/// What is no signature says nothing: the result is unsigned.
fn signature(auxiliary: &[prost_types::Any]) -> Option<Signature> {
    let any = auxiliary.iter().find(|any| any.type_url == SIGNATURE_URL)?;
    let SignatureMessage { key, scope, signature } = SignatureMessage::decode(&*any.value).ok()?;
    let key = PublicKey::new(key.try_into().ok()?);
    Some(Signature { key, scope: scope.parse().ok()?, bytes: signature.try_into().ok()? })
}

/// Milliseconds since the epoch. What lies before it, or is absent, counts as the epoch: these times are shown,
/// never compared.
fn milliseconds(timestamp: Option<Timestamp>) -> u64 {
    let timestamp = timestamp.unwrap_or_default();
    let seconds = u64::try_from(timestamp.seconds).unwrap_or(0);
    seconds.saturating_mul(1000).saturating_add(u64::try_from(timestamp.nanos / 1_000_000).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result() -> ActionResult {
        let blake3 = |text: &str| DigestFunction::Blake3.digest(text.as_bytes());
        let file = |executable| TreeRef::File { digest: blake3("file"), executable };
        let output = |path: &str, kind| Output { path: path.to_owned(), kind };
        ActionResult {
            exit_code: 3,
            outputs: vec![
                output("a/dir", OutputKind::Tree(TreeRef::Directory(blake3("dir")))),
                output("b", OutputKind::Tree(file(true))),
                output("c", OutputKind::Symlink("b".to_owned())),
                output("d", OutputKind::Tree(file(false))),
            ],
            stdout: LogStream::Inline(Bytes::from_static(b"hello\n")),
            stderr: LogStream::Blob(blake3("long")),
            interleaving: vec![0, 300, 6],
            worker: "w1".to_owned(),
            started_at_ms: 1_790_000_000_123,
            duration_ms: 4_567,
            usage: Usage { cpu_ms: 5, peak_memory_bytes: 6, read_bytes: 7, written_bytes: 8 },
            signature: None,
            trees: Vec::new(),
            times: Times {
                queued_ms: 1_790_000_000_001,
                worker_started_ms: 1_790_000_000_100,
                worker_completed_ms: 1_790_000_009_000,
                fetching_ms: (1_790_000_000_101, 1_790_000_000_102),
                uploading_ms: (1_790_000_008_001, 1_790_000_008_002),
            },
        }
    }

    #[test]
    fn a_result_survives_encoding_and_decoding() {
        let key = crate::trust::SigningKey::from_seed(&[7; 32]).unwrap();
        let action = DigestFunction::Blake3.digest(b"action");
        let scope = crate::trust::Scope::Branch("x".to_owned());
        let signed = result().signed(&key, &scope, &action);
        assert_eq!(signed.signer(&scope, &action), Some(key.public()));
        let with_tree = ActionResult { trees: vec![("a/dir".to_owned(), action)], ..result() };
        assert_eq!(with_tree.digests().last(), Some(action));
        for result in
            [result(), signed, with_tree, ActionResult { interleaving: vec![], outputs: vec![], ..result() }]
        {
            let decoded = ActionResult::decode(DigestFunction::Blake3, result.encode().into()).unwrap();
            assert_eq!(decoded, result);
        }
    }

    #[test]
    fn outputs_come_back_sorted_by_path() {
        let mut unsorted = result();
        unsorted.outputs.reverse();
        let decoded = ActionResult::decode(DigestFunction::Blake3, unsorted.encode().into()).unwrap();
        assert_eq!(decoded, result());
    }

    #[test]
    fn what_is_not_usable_is_refused_with_its_part() {
        let from_wire = |message| ActionResult::from_wire(DigestFunction::Blake3, message);
        let mut message = result().to_wire();
        message.output_files[0].digest = None;
        assert_eq!(from_wire(message), Err(ActionResultError::NoDigest("b".to_owned())));
        let mut message = result().to_wire();
        message.stderr_digest.as_mut().unwrap().size_bytes = -1;
        assert!(
            matches!(from_wire(message), Err(ActionResultError::Digest { what, .. }) if what == "stderr")
        );
        let mut message = result().to_wire();
        message.output_symlinks[0].path = "b".to_owned();
        assert_eq!(from_wire(message), Err(ActionResultError::Duplicate("b".to_owned())));
        let mut message = result().to_wire();
        message.output_directories[0].root_directory_digest = None;
        assert_eq!(from_wire(message), Err(ActionResultError::NoDigest("a/dir".to_owned())));
        assert!(ActionResult::decode(DigestFunction::Blake3, Bytes::from_static(b"\xff\xff")).is_err());
    }
}
