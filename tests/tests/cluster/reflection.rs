//! Server reflection: what a client finds that knows nothing but the address.

use std::collections::{BTreeMap, BTreeSet};

use cullet_tests::cluster::Cluster;
use prost::Message as _;
use prost_types::{DescriptorProto, FileDescriptorProto};
use tokio::runtime::Runtime;
use tonic::transport::Endpoint;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

/// Services that are there, and so many methods of each.
const SERVICES: [(&str, usize); 12] = [
    ("build.bazel.remote.asset.v1.Fetch", 2),
    ("build.bazel.remote.asset.v1.Push", 2),
    ("build.bazel.remote.execution.v2.ActionCache", 2),
    ("build.bazel.remote.execution.v2.Capabilities", 1),
    ("build.bazel.remote.execution.v2.ContentAddressableStorage", 6),
    ("build.bazel.remote.execution.v2.Execution", 2),
    ("cullet.v1.Cluster", 1),
    ("cullet.v1.Runs", 1),
    ("cullet.v1.Workers", 1),
    ("google.bytestream.ByteStream", 3),
    ("google.longrunning.Operations", 5),
    ("grpc.health.v1.Health", 2),
];

/// Messages that no service takes or gives, but blobs and `Any` are, and some that are inside of others.
const MESSAGES: [&str; 8] = [
    "build.bazel.remote.execution.v2.Action",
    "build.bazel.remote.execution.v2.BatchUpdateBlobsRequest.Request",
    "build.bazel.remote.execution.v2.Command.EnvironmentVariable",
    "build.bazel.remote.execution.v2.ExecuteOperationMetadata",
    "build.bazel.remote.execution.v2.ExecuteResponse",
    "build.bazel.remote.execution.v2.ExecutionStage.Value",
    "build.bazel.semver.SemVer",
    "google.rpc.Status",
];

struct Asking {
    runtime: Runtime,
    cluster: Cluster,
}

impl Asking {
    fn ask(&self, request: MessageRequest) -> MessageResponse {
        let request = ServerReflectionRequest { host: String::new(), message_request: Some(request) };
        self.runtime.block_on(async {
            let channel = Endpoint::from_shared(self.cluster.url(0)).unwrap().connect_lazy();
            let mut client = ServerReflectionClient::new(channel);
            let answers = client.server_reflection_info(tokio_stream::once(request)).await.unwrap();
            answers.into_inner().message().await.unwrap().unwrap().message_response.unwrap()
        })
    }

    fn files(&self, request: MessageRequest) -> Vec<FileDescriptorProto> {
        let what = format!("{request:?}");
        let MessageResponse::FileDescriptorResponse(files) = self.ask(request) else { panic!("no {what}") };
        assert!(!files.file_descriptor_proto.is_empty(), "{what}");
        let decode = |file: &Vec<u8>| FileDescriptorProto::decode(&**file).unwrap();
        files.file_descriptor_proto.iter().map(decode).collect()
    }

    /// The file that has this, with all that it imports.
    fn all_of(&self, symbol: &str, found: &mut BTreeMap<String, FileDescriptorProto>) {
        let mut waiting = self.files(MessageRequest::FileContainingSymbol(symbol.to_owned()));
        while let Some(file) = waiting.pop() {
            if found.insert(file.name().to_owned(), file.clone()).is_some() {
                continue;
            }
            for name in file.dependency.iter().filter(|name| !found.contains_key(*name)) {
                waiting.extend(self.files(MessageRequest::FileByFilename(name.clone())));
            }
        }
    }
}

/// The full names of a message and all in it, and the types that they need.
fn types(prefix: &str, message: &DescriptorProto, are: &mut BTreeSet<String>, needed: &mut BTreeSet<String>) {
    let name = format!("{prefix}.{}", message.name());
    are.extend(message.enum_type.iter().map(|one| format!("{name}.{}", one.name())));
    needed.extend(message.field.iter().filter_map(|field| field.type_name.clone()));
    let mut numbers: Vec<i32> = message.field.iter().map(|field| field.number()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), message.field.len(), "{name} has a number twice");
    message.nested_type.iter().for_each(|inner| types(&name, inner, are, needed));
    are.insert(name);
}

#[test]
fn reflection_tells_which_services_there_are_and_what_they_take() {
    let cluster = Cluster::start(1, 0);
    cluster.agreed();
    let asking = Asking { runtime: Runtime::new().unwrap(), cluster };
    let listed = asking.ask(MessageRequest::ListServices(String::new()));
    let MessageResponse::ListServicesResponse(listed) = listed else { panic!("no list of services") };
    let names: Vec<&str> = listed.service.iter().map(|service| &*service.name).collect();
    for (name, _) in SERVICES {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    // Whatever is listed can be looked at, as a client has to that knows nothing else.
    let mut files = BTreeMap::new();
    names.iter().chain(&MESSAGES).for_each(|symbol| asking.all_of(symbol, &mut files));
    let (mut are, mut needed) = (BTreeSet::new(), BTreeSet::new());
    let mut methods = BTreeMap::new();
    for file in files.values() {
        let package = format!(".{}", file.package());
        file.message_type.iter().for_each(|message| types(&package, message, &mut are, &mut needed));
        are.extend(file.enum_type.iter().map(|one| format!("{package}.{}", one.name())));
        for service in &file.service {
            methods.insert(format!("{}.{}", file.package(), service.name()), service.method.len());
            let both = service.method.iter().flat_map(|method| [&method.input_type, &method.output_type]);
            needed.extend(both.flatten().cloned());
        }
    }
    let lost: Vec<&String> = needed.difference(&are).collect();
    assert!(lost.is_empty(), "{lost:?}");
    for (name, least) in SERVICES {
        assert!(methods[name] >= least, "{name} has {} methods", methods[name]);
    }
    for name in MESSAGES {
        assert!(are.contains(&format!(".{name}")), "{name}");
    }
}

#[test]
fn messages_of_published_apis_have_their_published_fields() {
    let cluster = Cluster::start(1, 0);
    cluster.agreed();
    let asking = Asking { runtime: Runtime::new().unwrap(), cluster };
    for (package, message, fields) in [
        ("google.bytestream", "ReadRequest", "resource_name=1 read_offset=2 read_limit=3"),
        ("google.longrunning", "Operation", "name=1 metadata=2 done=3 error=4 response=5"),
        ("build.bazel.remote.execution.v2", "Digest", "hash=1 size_bytes=2"),
        (
            "build.bazel.remote.execution.v2",
            "SplitBlobRequest",
            "instance_name=1 blob_digest=2 digest_function=3 chunking_function=4",
        ),
        (
            "build.bazel.remote.asset.v1",
            "FetchDirectoryResponse",
            "status=1 uri=2 qualifiers=3 expires_at=4 root_directory_digest=5 digest_function=6",
        ),
    ] {
        let symbol = format!("{package}.{message}");
        let files = asking.files(MessageRequest::FileContainingSymbol(symbol.clone()));
        let mut messages = files.iter().flat_map(|file| &file.message_type);
        let found = messages.find(|one| one.name() == message).expect(&symbol);
        let said = found.field.iter().map(|field| format!("{}={}", field.name(), field.number()));
        assert_eq!(said.collect::<Vec<_>>().join(" "), fields, "{symbol}");
    }
}
