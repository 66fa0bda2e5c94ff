//! Results and capabilities, as clients of the Remote Execution API ask for them.

use cullet_digest::{Directory, DirectoryNode, FileNode, NodeName};
use cullet_proto::reapi;
use cullet_proto::reapi::capabilities::GetCapabilitiesRequest;
use cullet_proto::reapi::capabilities::service::capabilities_client::CapabilitiesClient;
use cullet_proto::reapi::results::service::action_cache_client::ActionCacheClient;
use cullet_proto::reapi::results::{GetActionResultRequest, UpdateActionResultRequest};
use prost::Message as _;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Server};
use tonic::{Code, Status};

use super::*;
use crate::{ActionCache as _, ActionResult, CompletenessChecking, LogStream, MemoryActionCache};

/// Two instances: one that may be written, and one that may only be read.
#[derive(Debug)]
struct Two(Arc<CompletenessChecking>);

impl InstanceResults for Two {
    fn reach(&self, instance: &str, _: &MetadataMap) -> Result<ReachedResults, Status> {
        let may_update = match instance {
            "" => Ok(()),
            "read" => Err(Status::permission_denied("only workers may")),
            other => return Err(Status::invalid_argument(format!("no instance '{other}'"))),
        };
        let (actions, completeness) = (self.0.clone(), self.0.clone());
        Ok(ReachedResults { actions, completeness, may_update })
    }
}

pub(super) struct Api {
    results: ActionCacheClient<Channel>,
    capabilities: CapabilitiesClient<Channel>,
    channel: Channel,
    pub(super) blobs: Arc<MemoryStore>,
    actions: Arc<MemoryActionCache>,
}

impl Api {
    pub(super) async fn start() -> Self {
        let blobs = memory();
        let actions = Arc::new(MemoryActionCache::new(100));
        let completeness = Arc::new(CompletenessChecking::new(actions.clone(), blobs.clone()));
        let two = Arc::new(Two(completeness));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let limits = StorageLimits::default();
        let kept = ResultServices::new(two.clone(), blobs.clone());
        let server = Server::builder()
            .add_service(kept.clone().server())
            .add_service(kept.clone().fetch_server())
            .add_service(kept.push_server())
            .add_service(CapabilitiesService::new(two, &limits).server())
            .serve_with_incoming(tonic::transport::server::TcpIncoming::from(listener));
        tokio::spawn(server);
        let channel = Channel::from_shared(url).unwrap().connect().await.unwrap();
        let (results, capabilities) =
            (ActionCacheClient::new(channel.clone()), CapabilitiesClient::new(channel.clone()));
        Self { results, capabilities, channel, blobs, actions }
    }

    pub(super) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    pub(super) async fn store(&self, bytes: impl Into<Bytes>) -> reapi::Digest {
        let bytes = bytes.into();
        let digest = DigestFunction::Sha256.digest(&bytes);
        self.blobs.put(&digest, bytes.into()).await.unwrap();
        wire::to_wire(&digest)
    }

    async fn update(
        &mut self,
        instance: &str,
        action: &str,
        result: reapi::ActionResult,
    ) -> Result<(), Status> {
        let request = UpdateActionResultRequest {
            instance_name: instance.to_owned(),
            action_digest: Some(named(action)),
            action_result: Some(result),
            ..UpdateActionResultRequest::default()
        };
        self.results.update_action_result(request).await.map(drop)
    }

    async fn get(
        &mut self,
        action: &str,
        change: impl FnOnce(&mut GetActionResultRequest),
    ) -> Result<reapi::ActionResult, Status> {
        let action_digest = Some(named(action));
        let mut request = GetActionResultRequest { action_digest, ..GetActionResultRequest::default() };
        change(&mut request);
        Ok(self.results.get_action_result(request).await?.into_inner())
    }
}

fn named(text: &str) -> reapi::Digest {
    wire::to_wire(&DigestFunction::Sha256.digest(text.as_bytes()))
}

fn file(path: &str, digest: reapi::Digest, contents: &str) -> reapi::OutputFile {
    let contents = Bytes::copy_from_slice(contents.as_bytes());
    reapi::OutputFile { path: path.to_owned(), digest: Some(digest), is_executable: false, contents }
}

/// REAPI, `Capabilities`: "the capabilities of the server for an instance".
#[tokio::test]
async fn a_client_is_told_what_it_may_do() {
    let mut api = Api::start().await;
    for (instance, updates) in [("", true), ("read", false)] {
        let request = GetCapabilitiesRequest { instance_name: instance.to_owned() };
        let answer = api.capabilities.get_capabilities(request).await.unwrap().into_inner();
        let version = |version: Option<reapi::capabilities::SemVer>| {
            let version = version.unwrap();
            (version.major, version.minor)
        };
        assert_eq!((version(answer.low_api_version), version(answer.high_api_version)), ((2, 0), (2, 3)));
        let cache = answer.cache_capabilities.unwrap();
        assert!(cache.digest_functions.contains(&1) && cache.digest_functions.contains(&9), "{cache:?}");
        assert_eq!(cache.action_cache_update_capabilities.unwrap().update_enabled, updates);
        assert_eq!(cache.max_batch_total_size_bytes, BATCH as i64);
    }
    let strange = GetCapabilitiesRequest { instance_name: "x".to_owned() };
    assert_eq!(api.capabilities.get_capabilities(strange).await.unwrap_err().code(), Code::InvalidArgument);
}

/// REAPI, `ActionCache`: results are found whole, and inlined on request.
#[tokio::test]
async fn a_result_is_stored_whole_or_not_at_all_and_comes_back_as_asked_for() {
    let mut api = Api::start().await;
    assert_eq!(api.get("a", |_| {}).await.unwrap_err().code(), Code::NotFound);
    let stderr = api.store("said at length").await;
    let result = reapi::ActionResult {
        output_files: vec![file("brought", named("along"), "along"), file("there", named("before"), "")],
        stdout_raw: Bytes::from_static(b"said"),
        stderr_digest: Some(stderr.clone()),
        output_directory_symlinks: vec![reapi::OutputSymlink {
            path: "link".to_owned(),
            target: "there".to_owned(),
        }],
        ..reapi::ActionResult::default()
    };
    let refused = api.update("", "a", result.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    assert!(api.get("a", |_| {}).await.is_err());
    api.store("before").await;
    let refused = api.update("read", "a", result.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    api.update("", "a", result).await.unwrap();
    let plain = api.get("a", |_| {}).await.unwrap();
    assert_eq!(plain.output_files, [file("brought", named("along"), ""), file("there", named("before"), "")]);
    assert_eq!((&*plain.stdout_raw, &*plain.stderr_raw), (&b"said"[..], &b""[..]));
    assert_eq!(plain.output_symlinks, plain.output_file_symlinks, "clients of 2.0 look there");
    assert_eq!((&*plain.output_symlinks[0].path, &*plain.output_symlinks[0].target), ("link", "there"));
    let inlined = api.get("a", |request| {
        request.inline_stderr = true;
        request.inline_output_files = vec!["there".to_owned(), "nowhere".to_owned()];
    });
    let inlined = inlined.await.unwrap();
    assert_eq!(&*inlined.stderr_raw, b"said at length");
    assert_eq!(inlined.stderr_digest, Some(stderr));
    assert_eq!(&*inlined.output_files[1].contents, b"before");
    assert!(inlined.output_files[0].contents.is_empty());
    // It is a hit only as long as all of it is there.
    let lost = LogStream::Blob(DigestFunction::Sha256.digest(b"lost"));
    let result = ActionResult { stdout: lost, ..conformance::result("") };
    api.actions.put(&DigestFunction::Sha256.digest(b"b"), &result).await.unwrap();
    assert_eq!(api.get("b", |_| {}).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn what_is_no_result_is_refused() {
    let mut api = Api::start().await;
    let with_file = |file| reapi::ActionResult { output_files: vec![file], ..reapi::ActionResult::default() };
    let mut negative = named("x");
    negative.size_bytes = -1;
    for wrong in [
        with_file(file("a", named("x"), "other")),
        with_file(file("a", negative, "")),
        with_file(reapi::OutputFile { digest: None, ..file("a", named("x"), "") }),
        reapi::ActionResult { exit_code: 1, ..reapi::ActionResult::default() },
        reapi::ActionResult {
            output_directories: vec![reapi::OutputDirectory::default()],
            ..reapi::ActionResult::default()
        },
    ] {
        let refused = api.update("", "a", wrong).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    }
    let action_digest = Some(reapi::Digest { hash: "xyz".to_owned(), size_bytes: 1 });
    let wrong = api.get("a", |request| request.action_digest = action_digest).await.unwrap_err();
    assert_eq!(wrong.code(), Code::InvalidArgument);
    let wrong = api.get("a", |request| request.digest_function = 2).await.unwrap_err();
    assert!(wrong.message().contains("SHA256"), "{wrong}");
    let stored = api.actions.get(&DigestFunction::Sha256.digest(b"a")).await.unwrap();
    assert_eq!(stored, None);
}

/// REAPI, `OutputDirectory.tree_digest`: directories arrive as `Tree` messages from clients that know nothing else.
#[tokio::test]
async fn directories_arrive_as_trees() {
    let mut api = Api::start().await;
    let name = |text: &str| NodeName::new(text).unwrap();
    let leaf = DigestFunction::Sha256.digest(b"leaf");
    let files = vec![FileNode { name: name("leaf"), digest: leaf, executable: true }];
    let below = Bytes::from(Directory::new(files, vec![], vec![]).unwrap().encode());
    let child = DirectoryNode { name: name("below"), digest: DigestFunction::Sha256.digest(&below) };
    let root = Bytes::from(Directory::new(vec![], vec![child], vec![]).unwrap().encode());
    let whole = reapi::Tree { root: root.clone(), children: vec![below.clone()] };
    let with_tree = |tree| {
        let directory =
            reapi::OutputDirectory { path: "out".to_owned(), tree_digest: Some(tree), ..Default::default() };
        reapi::ActionResult { output_directories: vec![directory], ..reapi::ActionResult::default() }
    };
    let lacking = api.store(reapi::Tree { root: root.clone(), children: vec![] }.encode_to_vec()).await;
    let refused = api.update("", "a", with_tree(lacking)).await.unwrap_err();
    assert!(refused.code() == Code::InvalidArgument && refused.message().contains("below"), "{refused}");
    let refused = api.update("", "a", with_tree(named("nowhere"))).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    let tree = api.store(whole.encode_to_vec()).await;
    let refused = api.update("", "a", with_tree(tree.clone())).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "the file is not there: {refused}");
    api.store("leaf").await;
    api.update("", "a", with_tree(tree.clone())).await.unwrap();
    let found = api.get("a", |_| {}).await.unwrap();
    let directory = &found.output_directories[0];
    assert_eq!(directory.tree_digest, Some(tree));
    let expected = wire::to_wire(&DigestFunction::Sha256.digest(&root));
    assert_eq!(directory.root_directory_digest, Some(expected));
    let stored = api.blobs.get(&DigestFunction::Sha256.digest(&below)).await.unwrap();
    assert_eq!(stored.into_bytes().unwrap(), below);
}
