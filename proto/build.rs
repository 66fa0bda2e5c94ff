//! Makes Rust of the `.proto` files with a compiler that is itself Rust, so that nobody needs `protoc`.

use std::error::Error;
use std::path::PathBuf;

use prost::Message as _;
use tonic_build::manual::{Builder, Method, MethodBuilder, Service};

const FILES: [&str; 6] = [
    "cullet/v1/runs.proto",
    "cullet/v1/workers.proto",
    "cullet/v1/cluster.proto",
    "cullet/v1/journals.proto",
    "cullet/v1/stored.proto",
    "cullet/raft/v1/raft.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, ["proto"])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().bytes(".").compile_fds(descriptors)?;
    standard_services();
    Ok(())
}

/// Services of published APIs. Their messages are declared in Rust (`src/reapi`, `src/bytestream.rs`), so that bytes
/// are not copied where the input allows it; here are only the names of the methods.
fn standard_services() {
    let storage = Service::builder()
        .package("build.bazel.remote.execution.v2")
        .name("ContentAddressableStorage")
        .method(unary("FindMissingBlobs", "find_missing_blobs", STORAGE))
        .method(unary("BatchUpdateBlobs", "batch_update_blobs", STORAGE))
        .method(unary("BatchReadBlobs", "batch_read_blobs", STORAGE))
        .method(method("GetTree", "get_tree", STORAGE).server_streaming().build())
        .method(unary("SplitBlob", "split_blob", STORAGE))
        .method(unary("SpliceBlob", "splice_blob", STORAGE))
        .build();
    let results = Service::builder()
        .package("build.bazel.remote.execution.v2")
        .name("ActionCache")
        .method(of_result("GetActionResult", "get_action_result"))
        .method(of_result("UpdateActionResult", "update_action_result"))
        .build();
    let capabilities = Service::builder()
        .package("build.bazel.remote.execution.v2")
        .name("Capabilities")
        .method(
            method("GetCapabilities", "get_capabilities", CAPABILITIES)
                .output_type(format!("{CAPABILITIES}::ServerCapabilities"))
                .build(),
        )
        .build();
    let bytes = Service::builder()
        .package("google.bytestream")
        .name("ByteStream")
        .method(method("Read", "read", BYTES).server_streaming().build())
        .method(method("Write", "write", BYTES).client_streaming().build())
        .method(unary("QueryWriteStatus", "query_write_status", BYTES))
        .build();
    let execution = Service::builder()
        .package("build.bazel.remote.execution.v2")
        .name("Execution")
        .method(of_operation("Execute", "execute"))
        .method(of_operation("WaitExecution", "wait_execution"))
        .build();
    let [fetch, push] = assets();
    Builder::new().compile(&[storage, results, capabilities, execution, operations(), fetch, push, bytes]);
}

fn assets() -> [Service; 2] {
    let of = |service: &str| {
        let method = |what: &str| {
            let (route, name) = (format!("{service}{what}"), format!("{service}_{what}").to_lowercase());
            let (asked, told) = (format!("{ASSET}::{service}Request"), format!("{ASSET}::{service}Response"));
            method(&route, &name, ASSET).input_type(asked).output_type(told).build()
        };
        Service::builder()
            .package("build.bazel.remote.asset.v1")
            .name(service)
            .method(method("Blob"))
            .method(method("Directory"))
            .build()
    };
    [of("Fetch"), of("Push")]
}

fn operations() -> Service {
    let to = |route: &str, name: &str, answer: &str| {
        let method = method(&format!("{route}Operation"), &format!("{name}_operation"), OPERATIONS);
        method.output_type(format!("{OPERATIONS}::{answer}")).build()
    };
    Service::builder()
        .package("google.longrunning")
        .name("Operations")
        .method(unary("ListOperations", "list_operations", OPERATIONS))
        .method(to("Get", "get", "Operation"))
        .method(to("Delete", "delete", "Empty"))
        .method(to("Cancel", "cancel", "Empty"))
        .method(to("Wait", "wait", "Operation"))
        .build()
}

const STORAGE: &str = "crate::reapi::storage";
const RESULTS: &str = "crate::reapi::results";
const CAPABILITIES: &str = "crate::reapi::capabilities";
const EXECUTION: &str = "crate::reapi::execution";
const ASSET: &str = "crate::asset";
const OPERATIONS: &str = "crate::longrunning";
const BYTES: &str = "crate::bytestream";

fn method(route: &str, name: &str, module: &str) -> MethodBuilder {
    Method::builder()
        .name(name)
        .route_name(route)
        .input_type(format!("{module}::{route}Request"))
        .output_type(format!("{module}::{route}Response"))
        .codec_path("tonic_prost::ProstCodec")
}

/// Answered with a result.
fn of_result(route: &str, name: &str) -> Method {
    method(route, name, RESULTS).output_type("crate::reapi::ActionResult").build()
}

/// Answered with what becomes of an operation.
fn of_operation(route: &str, name: &str) -> Method {
    let operation = format!("{OPERATIONS}::Operation");
    method(route, name, EXECUTION).output_type(operation).server_streaming().build()
}

fn unary(route: &str, name: &str, module: &str) -> Method {
    method(route, name, module).build()
}
