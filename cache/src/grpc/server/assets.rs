//! `Fetch` and `Push` of the Remote Asset API: content by where it came from.
//!
//! What is pushed is a result of an action that nobody executes: so assets belong to instances, are found only as long as all of
//! them is there, and go as results do. Nothing is fetched from anywhere else.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use cullet_digest::{Digest, DigestFunction, TreeRef};
use cullet_proto::asset::service::fetch_server::{Fetch, FetchServer};
use cullet_proto::asset::service::push_server::{Push, PushServer};
use cullet_proto::asset::{FetchRequest, FetchResponse, PushRequest, PushResponse, Qualifier};
use cullet_proto::reapi::storage;
use prost::Message as _;
use prost_types::Timestamp;
use tonic::{Code, Request, Response, Status};

use super::results::{ReachedResults, ResultServices};
use super::services::{digest, function};
use crate::grpc::wire;
use crate::{ActionResult, LogStream, Output, OutputKind, Usage};

/// Addresses, and qualifiers, in one request.
const MOST: usize = 100;

/// The path of an asset in its result. What it refers to stands behind.
const ASSET: &str = "asset";

/// Which of the two an asset is.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Blob,
    Directory,
}

impl Kind {
    const fn tree(self, digest: Digest) -> TreeRef {
        match self {
            Self::Blob => TreeRef::File { digest, executable: false },
            Self::Directory => TreeRef::Directory(digest),
        }
    }

    /// The action that stands for an address. It has no bytes that anybody could store.
    fn action(self, function: DigestFunction, uri: &str, qualifiers: &[Qualifier]) -> Digest {
        let mut sorted = qualifiers.to_vec();
        sorted.sort_unstable();
        let asset = PushRequest { uris: vec![uri.to_owned()], qualifiers: sorted, ..PushRequest::default() };
        function.digest(&[format!("cullet asset 1 {self:?}\0").as_bytes(), &asset.encode_to_vec()].concat())
    }
}

impl ResultServices {
    /// The service for `build.bazel.remote.asset.v1.Fetch`.
    pub fn fetch_server(self) -> FetchServer<Self> {
        FetchServer::new(self)
    }

    /// The service for `build.bazel.remote.asset.v1.Push`.
    pub fn push_server(self) -> PushServer<Self> {
        PushServer::new(self)
    }

    async fn fetch(
        &self,
        kind: Kind,
        request: Request<FetchRequest>,
    ) -> Result<Response<FetchResponse>, Status> {
        let reached = self.reach(&request.get_ref().instance_name, request.metadata())?;
        let FetchRequest { oldest_content_accepted, uris, qualifiers, digest_function, .. } =
            request.into_inner();
        let function = function(digest_function)?;
        bounded(&uris, &qualifiers)?;
        let oldest = oldest_content_accepted.map_or(0, milliseconds);
        for uri in uris {
            let action = kind.action(function, &uri, &qualifiers);
            let found = reached.actions.get(&action).await.map_err(|error| wire::status(&error))?;
            let Some(result) = found.filter(|result| result.started_at_ms >= oldest) else { continue };
            let expires_at = expiry(&result);
            if expires_at.is_some_and(|at| milliseconds(at) <= now_ms()) {
                continue;
            }
            let Some(digest) = asset(&result) else { continue };
            return Ok(Response::new(FetchResponse {
                status: Some(storage::Status::default()),
                uri,
                qualifiers,
                expires_at,
                digest: Some(wire::to_wire(&digest)),
                digest_function: wire::number(function),
            }));
        }
        let message = "nothing was pushed for these addresses; this server fetches nothing itself".to_owned();
        let status = storage::Status { code: Code::NotFound as i32, message, details: Vec::new() };
        Ok(Response::new(FetchResponse {
            status: Some(status),
            digest_function: wire::number(function),
            ..FetchResponse::default()
        }))
    }

    async fn push(
        &self,
        kind: Kind,
        request: Request<PushRequest>,
    ) -> Result<Response<PushResponse>, Status> {
        let ReachedResults { actions, completeness, may_update } =
            self.reach(&request.get_ref().instance_name, request.metadata())?;
        may_update?;
        let request = request.into_inner();
        let function = function(request.digest_function)?;
        bounded(&request.uris, &request.qualifiers)?;
        let named = request.digest.as_ref().ok_or_else(|| Status::invalid_argument("there is no digest"))?;
        let tree = kind.tree(digest(function, named)?);
        let result = pushed(function, tree, &request)?;
        if !completeness.is_complete(&result).await.map_err(|error| wire::status(&error))? {
            let what = "the asset, or something that it refers to, is not there: upload it first";
            return Err(Status::failed_precondition(what));
        }
        for uri in &request.uris {
            let action = kind.action(function, uri, &request.qualifiers);
            actions.put(&action, &result).await.map_err(|error| wire::status(&error))?;
        }
        Ok(Response::new(PushResponse {}))
    }
}

fn bounded(uris: &[String], qualifiers: &[Qualifier]) -> Result<(), Status> {
    if uris.is_empty() {
        return Err(Status::invalid_argument("there are no uris"));
    }
    if uris.len() > MOST || qualifiers.len() > MOST {
        return Err(Status::invalid_argument(format!("there are more than {MOST} uris or qualifiers")));
    }
    Ok(())
}

/// What is kept of a push.
fn pushed(function: DigestFunction, tree: TreeRef, request: &PushRequest) -> Result<ActionResult, Status> {
    let mut outputs = vec![Output { path: ASSET.to_owned(), kind: OutputKind::Tree(tree) }];
    let blobs = request.references_blobs.iter().map(|named| (Kind::Blob, named));
    let directories = request.references_directories.iter().map(|named| (Kind::Directory, named));
    for (number, (kind, named)) in blobs.chain(directories).enumerate() {
        let kind = OutputKind::Tree(kind.tree(digest(function, named)?));
        outputs.push(Output { path: format!("refers/{number:08}"), kind });
    }
    // Until when it counts stands where a process would have printed something.
    let until = request.expire_at.map(|at| Bytes::from(at.encode_to_vec())).unwrap_or_default();
    Ok(ActionResult {
        exit_code: 0,
        outputs,
        stdout: LogStream::Inline(until),
        stderr: LogStream::default(),
        interleaving: Vec::new(),
        worker: String::new(),
        started_at_ms: now_ms(),
        duration_ms: 0,
        usage: Usage::default(),
        signature: None,
        trees: Vec::new(),
        times: Default::default(),
    })
}

fn expiry(result: &ActionResult) -> Option<Timestamp> {
    match &result.stdout {
        LogStream::Inline(bytes) if !bytes.is_empty() => Timestamp::decode(bytes.clone()).ok(),
        _ => None,
    }
}

fn asset(result: &ActionResult) -> Option<Digest> {
    let output = result.outputs.iter().find(|output| output.path == ASSET)?;
    match &output.kind {
        OutputKind::Tree(tree) => Some(tree.digest()),
        OutputKind::Symlink(_) => None,
    }
}

fn milliseconds(at: Timestamp) -> u64 {
    let seconds = u64::try_from(at.seconds).unwrap_or(0);
    seconds.saturating_mul(1000).saturating_add(u64::try_from(at.nanos / 1_000_000).unwrap_or(0))
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[async_trait::async_trait]
impl Fetch for ResultServices {
    async fn fetch_blob(&self, request: Request<FetchRequest>) -> Result<Response<FetchResponse>, Status> {
        self.fetch(Kind::Blob, request).await
    }

    async fn fetch_directory(
        &self,
        request: Request<FetchRequest>,
    ) -> Result<Response<FetchResponse>, Status> {
        self.fetch(Kind::Directory, request).await
    }
}

#[async_trait::async_trait]
impl Push for ResultServices {
    async fn push_blob(&self, request: Request<PushRequest>) -> Result<Response<PushResponse>, Status> {
        self.push(Kind::Blob, request).await
    }

    async fn push_directory(&self, request: Request<PushRequest>) -> Result<Response<PushResponse>, Status> {
        self.push(Kind::Directory, request).await
    }
}
