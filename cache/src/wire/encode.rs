//! Result to bytes.

use cullet_digest::{Digest, TreeRef};
use cullet_proto::reapi;
use prost::Message as _;
use prost::bytes::Bytes;
use prost_types::{Any, Timestamp};

use super::{INTERLEAVING_URL, LogInterleaving, SIGNATURE_URL, SignatureMessage, USAGE_URL, UsageMessage};
use crate::{ActionResult, LogStream, OutputKind, Times, Usage};

impl ActionResult {
    /// The bytes of the REAPI v2 `ActionResult` message.
    pub fn encode(&self) -> Vec<u8> {
        self.to_wire().encode_to_vec()
    }

    /// The REAPI v2 message.
    pub fn to_wire(&self) -> reapi::ActionResult {
        let (stdout_raw, stdout_digest) = stream(&self.stdout);
        let (stderr_raw, stderr_digest) = stream(&self.stderr);
        let mut message = reapi::ActionResult {
            exit_code: self.exit_code,
            stdout_raw,
            stdout_digest,
            stderr_raw,
            stderr_digest,
            execution_metadata: Some(self.metadata()),
            ..Default::default()
        };
        for output in &self.outputs {
            add(&mut message, &output.path, &output.kind, &self.trees);
        }
        message
    }

    fn metadata(&self) -> reapi::ExecutedActionMetadata {
        let interleaving = LogInterleaving { runs: self.interleaving.clone() };
        let auxiliary = (!self.interleaving.is_empty())
            .then(|| Any { type_url: INTERLEAVING_URL.to_owned(), value: interleaving.encode_to_vec() });
        let Usage { cpu_ms, peak_memory_bytes, read_bytes, written_bytes } = self.usage;
        let usage = UsageMessage { cpu_ms, peak_memory_bytes, read_bytes, written_bytes };
        let usage = (self.usage != Usage::default())
            .then(|| Any { type_url: USAGE_URL.to_owned(), value: usage.encode_to_vec() });
        let signature = self.signature.as_ref().map(|signature| {
            let (key, bytes) = (signature.key.bytes().to_vec(), signature.bytes.to_vec());
            let message = SignatureMessage { key, scope: signature.scope.to_string(), signature: bytes };
            Any { type_url: SIGNATURE_URL.to_owned(), value: message.encode_to_vec() }
        });
        let Times { queued_ms, worker_started_ms, worker_completed_ms, fetching_ms, uploading_ms } =
            self.times;
        let known = |ms: u64| (ms > 0).then(|| timestamp(ms));
        reapi::ExecutedActionMetadata {
            worker: self.worker.clone(),
            queued_timestamp: known(queued_ms),
            worker_start_timestamp: known(worker_started_ms),
            worker_completed_timestamp: known(worker_completed_ms),
            input_fetch_start_timestamp: known(fetching_ms.0),
            input_fetch_completed_timestamp: known(fetching_ms.1),
            output_upload_start_timestamp: known(uploading_ms.0),
            output_upload_completed_timestamp: known(uploading_ms.1),
            execution_start_timestamp: Some(timestamp(self.started_at_ms)),
            execution_completed_timestamp: Some(timestamp(
                self.started_at_ms.saturating_add(self.duration_ms),
            )),
            auxiliary_metadata: auxiliary.into_iter().chain(usage).chain(signature).collect(),
        }
    }
}

fn add(message: &mut reapi::ActionResult, path: &str, kind: &OutputKind, trees: &[(String, Digest)]) {
    let path = path.to_owned();
    match kind {
        OutputKind::Tree(TreeRef::File { digest, executable }) => {
            message.output_files.push(reapi::OutputFile {
                path,
                digest: Some(to_wire(digest)),
                is_executable: *executable,
                contents: Bytes::new(),
            })
        }
        OutputKind::Tree(TreeRef::Directory(digest)) => {
            let tree = trees.iter().find(|(of, _)| *of == path);
            message.output_directories.push(reapi::OutputDirectory {
                path,
                tree_digest: tree.map(|(_, tree)| to_wire(tree)),
                root_directory_digest: Some(to_wire(digest)),
                ..Default::default()
            });
        }
        OutputKind::Symlink(target) => {
            message.output_symlinks.push(reapi::OutputSymlink { path, target: target.clone() });
        }
    }
}

fn stream(stream: &LogStream) -> (Bytes, Option<reapi::Digest>) {
    match stream {
        LogStream::Inline(bytes) => (bytes.clone(), None),
        LogStream::Blob(digest) => (Bytes::new(), Some(to_wire(digest))),
    }
}

fn to_wire(digest: &Digest) -> reapi::Digest {
    // A digest's size always fits: it came from an i64, or from bytes that somebody held.
    reapi::Digest { hash: digest.hash_hex(), size_bytes: digest.size() as i64 }
}

fn timestamp(ms: u64) -> Timestamp {
    Timestamp { seconds: (ms / 1000) as i64, nanos: (ms % 1000) as i32 * 1_000_000 }
}
