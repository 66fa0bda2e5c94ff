//! All calls, and requests of them whose fields have likely and unlikely values.

use bytes::Bytes;
use cullet_proto::asset::{FetchRequest, PushRequest, Qualifier};
use cullet_proto::bytestream::{QueryWriteStatusRequest, ReadRequest, WriteRequest};
use cullet_proto::longrunning::{
    CancelOperationRequest, DeleteOperationRequest, GetOperationRequest, ListOperationsRequest,
    WaitOperationRequest,
};
use cullet_proto::reapi::capabilities::GetCapabilitiesRequest;
use cullet_proto::reapi::execution::{ExecuteRequest, ExecutionPolicy, WaitExecutionRequest};
use cullet_proto::reapi::results::{GetActionResultRequest, UpdateActionResultRequest};
use cullet_proto::reapi::storage::{
    BatchReadBlobsRequest, BatchUpdateBlobsRequest, BlobUpdate, FindMissingBlobsRequest, GetTreeRequest,
    SpliceBlobRequest, SplitBlobRequest,
};
use cullet_proto::reapi::{ActionResult, OutputDirectory, OutputFile, OutputSymlink};
use fastrand::Rng;
use prost::Message;
use prost_types::Duration;

use super::super::blobs::Blob;
use super::bytes::{changed, random};
use super::values::{data, digest, digests, instance, number, operation, resource, text, value};

/// A call.
pub(super) struct Call {
    pub(super) path: &'static str,
    /// Whether it stores something where it is answered with OK.
    pub(super) stores: bool,
    request: fn(&mut Rng, &Blob) -> Vec<u8>,
}

impl Call {
    /// What is sent: one message, but for those that write.
    pub(super) fn messages(&self, rng: &mut Rng, there: &Blob) -> Vec<Vec<u8>> {
        let count = if self.path.ends_with("/Write") { rng.usize(1..4) } else { 1 };
        let message = |_| {
            let message = (self.request)(rng, there);
            match rng.u8(..4) {
                0 => random(rng, 200),
                1 => changed(rng, &message),
                _ => message,
            }
        };
        (0..count).map(message).collect()
    }
}

macro_rules! calls {
    ($($service:literal { $($method:literal $stores:literal $request:expr;)* })*) => {
        &[$($(Call {
            path: concat!("/", $service, "/", $method),
            stores: $stores,
            request: $request,
        }),*),*]
    };
}

/// All of them.
pub(super) const CALLS: &[Call] = calls! {
    "build.bazel.remote.execution.v2.Capabilities" { "GetCapabilities" false capabilities; }
    "build.bazel.remote.execution.v2.ContentAddressableStorage" {
        "FindMissingBlobs" false find;
        "BatchUpdateBlobs" true update;
        "BatchReadBlobs" false read_batch;
        "GetTree" false tree;
        "SplitBlob" true split;
        "SpliceBlob" true splice;
    }
    "build.bazel.remote.execution.v2.ActionCache" {
        "GetActionResult" false result;
        "UpdateActionResult" true update_result;
    }
    "build.bazel.remote.execution.v2.Execution" {
        "Execute" false execute;
        "WaitExecution" false |rng, _| encoded(&WaitExecutionRequest { name: operation(rng) });
    }
    "google.longrunning.Operations" {
        "GetOperation" false |rng, _| encoded(&GetOperationRequest { name: operation(rng) });
        "CancelOperation" false |rng, _| encoded(&CancelOperationRequest { name: operation(rng) });
        "DeleteOperation" false |rng, _| encoded(&DeleteOperationRequest { name: operation(rng) });
        "WaitOperation" false wait;
        "ListOperations" false |rng, _| encoded(&ListOperationsRequest { name: text(rng), ..Default::default() });
    }
    "build.bazel.remote.asset.v1.Fetch" { "FetchBlob" false fetch; "FetchDirectory" false fetch; }
    "build.bazel.remote.asset.v1.Push" { "PushBlob" true push; "PushDirectory" true push; }
    "google.bytestream.ByteStream" {
        "Read" false read;
        "Write" true write;
        "QueryWriteStatus" false |rng, there| {
            encoded(&QueryWriteStatusRequest { resource_name: resource(rng, there) })
        };
    }
};

fn encoded(message: &impl Message) -> Vec<u8> {
    message.encode_to_vec()
}

fn capabilities(rng: &mut Rng, _: &Blob) -> Vec<u8> {
    encoded(&GetCapabilitiesRequest { instance_name: instance(rng) })
}

fn find(rng: &mut Rng, there: &Blob) -> Vec<u8> {
    encoded(&FindMissingBlobsRequest {
        instance_name: instance(rng),
        blob_digests: digests(rng, there),
        digest_function: value(rng),
    })
}

fn update(rng: &mut Rng, there: &Blob) -> Vec<u8> {
    let update = |rng: &mut Rng| BlobUpdate {
        digest: rng.bool().then(|| digest(rng, there)),
        data: data(rng),
        compressor: value(rng),
    };
    encoded(&BatchUpdateBlobsRequest {
        instance_name: instance(rng),
        requests: (0..rng.usize(..4)).map(|_| update(rng)).collect(),
        digest_function: value(rng),
    })
}

fn read_batch(rng: &mut Rng, there: &Blob) -> Vec<u8> {
    encoded(&BatchReadBlobsRequest {
        instance_name: instance(rng),
        digests: digests(rng, there),
        acceptable_compressors: vec![value(rng)],
        digest_function: value(rng),
    })
}

fn tree(rng: &mut Rng, there: &Blob) -> Vec<u8> {
    encoded(&GetTreeRequest {
        instance_name: instance(rng),
        root_digest: rng.bool().then(|| digest(rng, there)),
        page_size: value(rng),
        page_token: if rng.bool() { number(rng).to_string() } else { text(rng) },
        digest_function: value(rng),
    })
}

fn split(rng: &mut Rng, there: &Blob) -> Vec<u8> {
    encoded(&SplitBlobRequest {
        instance_name: instance(rng),
        blob_digest: Some(digest(rng, there)),
        digest_function: value(rng),
        chunking_function: value(rng),
    })
}

fn splice(rng: &mut Rng, there: &Blob) -> Vec<u8> {
    encoded(&SpliceBlobRequest {
        instance_name: instance(rng),
        blob_digest: rng.u8(..4).gt(&0).then(|| digest(rng, there)),
        chunk_digests: digests(rng, there),
        digest_function: value(rng),
        chunking_function: value(rng),
    })
}

fn result(rng: &mut Rng, there: &Blob) -> Vec<u8> {
    encoded(&GetActionResultRequest {
        instance_name: instance(rng),
        action_digest: Some(digest(rng, there)),
        inline_stdout: rng.bool(),
        inline_stderr: rng.bool(),
        inline_output_files: vec![text(rng)],
        digest_function: value(rng),
    })
}

fn update_result(rng: &mut Rng, there: &Blob) -> Vec<u8> {
    let file = |rng: &mut Rng| OutputFile {
        path: text(rng),
        digest: rng.bool().then(|| digest(rng, there)),
        is_executable: rng.bool(),
        contents: if rng.bool() { data(rng) } else { Bytes::new() },
    };
    let directory = |rng: &mut Rng| OutputDirectory {
        path: text(rng),
        tree_digest: rng.bool().then(|| digest(rng, there)),
        is_topologically_sorted: rng.bool(),
        root_directory_digest: rng.bool().then(|| digest(rng, there)),
    };
    let link = |rng: &mut Rng| OutputSymlink { path: text(rng), target: text(rng) };
    let action_result = ActionResult {
        output_files: (0..rng.usize(..3)).map(|_| file(rng)).collect(),
        output_directories: (0..rng.usize(..3)).map(|_| directory(rng)).collect(),
        output_symlinks: (0..rng.usize(..3)).map(|_| link(rng)).collect(),
        exit_code: value(rng),
        stdout_raw: data(rng),
        stdout_digest: rng.bool().then(|| digest(rng, there)),
        ..ActionResult::default()
    };
    encoded(&UpdateActionResultRequest {
        instance_name: instance(rng),
        action_digest: Some(digest(rng, there)),
        action_result: rng.u8(..8).gt(&0).then_some(action_result),
        digest_function: value(rng),
        ..UpdateActionResultRequest::default()
    })
}

fn execute(rng: &mut Rng, there: &Blob) -> Vec<u8> {
    encoded(&ExecuteRequest {
        instance_name: instance(rng),
        skip_cache_lookup: rng.bool(),
        action_digest: rng.u8(..8).gt(&0).then(|| digest(rng, there)),
        execution_policy: rng.bool().then(|| ExecutionPolicy { priority: rng.i32(..) }),
        digest_function: value(rng),
        inline_output_files: vec![text(rng)],
        ..ExecuteRequest::default()
    })
}

fn wait(rng: &mut Rng, _: &Blob) -> Vec<u8> {
    let timeout = Duration { seconds: number(rng), nanos: value(rng) };
    encoded(&WaitOperationRequest { name: operation(rng), timeout: Some(timeout) })
}

fn qualifiers(rng: &mut Rng) -> Vec<Qualifier> {
    (0..rng.usize(..3)).map(|_| Qualifier { name: text(rng), value: text(rng) }).collect()
}

fn fetch(rng: &mut Rng, _: &Blob) -> Vec<u8> {
    encoded(&FetchRequest {
        instance_name: instance(rng),
        timeout: Some(Duration { seconds: number(rng), nanos: value(rng) }),
        uris: (0..rng.usize(..3)).map(|_| text(rng)).collect(),
        qualifiers: qualifiers(rng),
        digest_function: value(rng),
        ..FetchRequest::default()
    })
}

fn push(rng: &mut Rng, there: &Blob) -> Vec<u8> {
    encoded(&PushRequest {
        instance_name: instance(rng),
        uris: (0..rng.usize(..3)).map(|_| text(rng)).collect(),
        qualifiers: qualifiers(rng),
        digest: rng.bool().then(|| digest(rng, there)),
        references_blobs: digests(rng, there),
        references_directories: digests(rng, there),
        digest_function: value(rng),
        ..PushRequest::default()
    })
}

fn read(rng: &mut Rng, there: &Blob) -> Vec<u8> {
    encoded(&ReadRequest {
        resource_name: resource(rng, there),
        read_offset: number(rng),
        read_limit: if rng.bool() { 0 } else { number(rng) },
    })
}

fn write(rng: &mut Rng, there: &Blob) -> Vec<u8> {
    encoded(&WriteRequest {
        resource_name: resource(rng, there),
        write_offset: if rng.bool() { 0 } else { number(rng) },
        finish_write: rng.bool(),
        data: data(rng),
    })
}
