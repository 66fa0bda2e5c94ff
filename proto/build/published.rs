//! What messages are called in the published APIs, where Rust has them under other names.

/// Where messages are declared: the file, the package of what is in it, and the file that publishes it.
pub(crate) const SOURCES: [(&str, &str, &str); 8] = [
    ("src/bytestream.rs", "google.bytestream", "google/bytestream/bytestream.proto"),
    ("src/longrunning.rs", "google.longrunning", "google/longrunning/operations.proto"),
    ("src/asset.rs", "build.bazel.remote.asset.v1", "build/bazel/remote/asset/v1/remote_asset.proto"),
    ("src/reapi.rs", REAPI, REAPI_FILE),
    ("src/reapi/capabilities.rs", REAPI, REAPI_FILE),
    ("src/reapi/execution.rs", REAPI, REAPI_FILE),
    ("src/reapi/results.rs", REAPI, REAPI_FILE),
    ("src/reapi/storage.rs", REAPI, REAPI_FILE),
];

const REAPI: &str = "build.bazel.remote.execution.v2";
const REAPI_FILE: &str = "build/bazel/remote/execution/v2/remote_execution.proto";

/// Messages of other packages than what is beside them: their package and file.
pub(crate) const ELSEWHERE: [(&str, &str, &str); 2] = [
    ("Status", "google.rpc", "google/rpc/status.proto"),
    ("SemVer", "build.bazel.semver", "build/bazel/semver/semver.proto"),
];

/// Messages that the compiler has descriptors of: their package and file.
pub(crate) const WELL_KNOWN: [(&str, &str, &str); 4] = [
    ("Any", "google.protobuf", "google/protobuf/any.proto"),
    ("Duration", "google.protobuf", "google/protobuf/duration.proto"),
    ("Empty", "google.protobuf", "google/protobuf/empty.proto"),
    ("Timestamp", "google.protobuf", "google/protobuf/timestamp.proto"),
];

/// Messages and enumerations that are published inside of others: in which, and as what.
pub(crate) const INSIDE: [(&str, &str, &str); 7] = [
    ("EnvironmentVariable", "Command", "EnvironmentVariable"),
    ("Property", "Platform", "Property"),
    ("PriorityRange", "PriorityCapabilities", "PriorityRange"),
    ("Stage", "ExecutionStage", "Value"),
    ("BlobUpdate", "BatchUpdateBlobsRequest", "Request"),
    ("BlobUpdated", "BatchUpdateBlobsResponse", "Response"),
    ("BlobRead", "BatchReadBlobsResponse", "Response"),
];

/// Messages that are published once for each call, under its name: `FetchBlobRequest` and `FetchDirectoryRequest`. Their `digest` is one
/// of a blob or of a root directory.
pub(crate) const OF_CALLS: [(&str, &str); 4] = [
    ("FetchRequest", "Request"),
    ("FetchResponse", "Response"),
    ("PushRequest", "Request"),
    ("PushResponse", "Response"),
];
