//! Services of published APIs. Their messages are declared in Rust (`src/reapi`, `src/bytestream.rs`), so that bytes are not copied where
//! the input allows it; here are only the names of the methods, and what they take and give.

/// A service.
pub(crate) struct Service {
    pub(crate) package: &'static str,
    pub(crate) name: &'static str,
    pub(crate) calls: Vec<Call>,
}

/// One of its methods.
pub(crate) struct Call {
    pub(crate) route: String,
    /// Where the messages are, below this crate.
    pub(crate) takes: String,
    pub(crate) gives: String,
    pub(crate) streams: Streams,
}

/// Which side sends more than one message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Streams {
    Neither,
    Client,
    Server,
}

const REAPI: &str = "build.bazel.remote.execution.v2";
const STORAGE: &str = "reapi::storage";
const RESULTS: &str = "reapi::results";
const EXECUTION: &str = "reapi::execution";
const OPERATION: &str = "longrunning::Operation";
const OPERATIONS: &str = "longrunning";
const BYTES: &str = "bytestream";

/// All services.
pub(crate) fn all() -> Vec<Service> {
    let service = |package, name, calls| Service { package, name, calls };
    let storage = vec![
        call(STORAGE, "FindMissingBlobs"),
        call(STORAGE, "BatchUpdateBlobs"),
        call(STORAGE, "BatchReadBlobs"),
        call(STORAGE, "GetTree").streaming(Streams::Server),
        call(STORAGE, "SplitBlob"),
        call(STORAGE, "SpliceBlob"),
    ];
    let results = ["GetActionResult", "UpdateActionResult"];
    let results = results.map(|route| call(RESULTS, route).giving("reapi::ActionResult")).into();
    let capabilities =
        call("reapi::capabilities", "GetCapabilities").giving("reapi::capabilities::ServerCapabilities");
    let execution = ["Execute", "WaitExecution"];
    let execution =
        execution.map(|route| call(EXECUTION, route).giving(OPERATION).streaming(Streams::Server)).into();
    let operations = vec![
        call(OPERATIONS, "ListOperations"),
        call(OPERATIONS, "GetOperation").giving(OPERATION),
        call(OPERATIONS, "DeleteOperation").giving("longrunning::Empty"),
        call(OPERATIONS, "CancelOperation").giving("longrunning::Empty"),
        call(OPERATIONS, "WaitOperation").giving(OPERATION),
    ];
    let bytes = vec![
        call(BYTES, "Read").streaming(Streams::Server),
        call(BYTES, "Write").streaming(Streams::Client),
        call(BYTES, "QueryWriteStatus"),
    ];
    let asset = "build.bazel.remote.asset.v1";
    vec![
        service(REAPI, "ContentAddressableStorage", storage),
        service(REAPI, "ActionCache", results),
        service(REAPI, "Capabilities", vec![capabilities]),
        service(REAPI, "Execution", execution),
        service("google.longrunning", "Operations", operations),
        service(asset, "Fetch", assets("Fetch")),
        service(asset, "Push", assets("Push")),
        service("google.bytestream", "ByteStream", bytes),
    ]
}

/// Blobs and directories are asked for alike.
fn assets(service: &str) -> Vec<Call> {
    let call = |what: &str| Call {
        takes: format!("asset::{service}Request"),
        ..call("asset", &format!("{service}{what}")).giving(&format!("asset::{service}Response"))
    };
    vec![call("Blob"), call("Directory")]
}

/// A method as most of them are.
fn call(module: &str, route: &str) -> Call {
    Call {
        route: route.to_owned(),
        takes: format!("{module}::{route}Request"),
        gives: format!("{module}::{route}Response"),
        streams: Streams::Neither,
    }
}

impl Call {
    fn giving(self, gives: &str) -> Self {
        Self { gives: gives.to_owned(), ..self }
    }

    fn streaming(self, streams: Streams) -> Self {
        Self { streams, ..self }
    }
}
