//! `ActionCache`.

use std::collections::HashSet;
use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;
use cullet_digest::{Digest, DigestFunction};
use cullet_proto::reapi;
use cullet_proto::reapi::results::service::action_cache_server::{ActionCache as Service, ActionCacheServer};
use cullet_proto::reapi::results::{GetActionResultRequest, UpdateActionResultRequest};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use super::services::{digest, function};
use super::trees::unpack;
use crate::grpc::{BATCH, MESSAGE, wire};
use crate::whole::read_whole;
use crate::{ActionCache, ActionResult, BlobStore, CompletenessChecking};

/// The results of each instance.
pub trait InstanceResults: Debug + Send + Sync {
    /// Those that a call reaches, which has this metadata.
    ///
    /// # Errors
    /// There is no such instance, or it is not for this client.
    fn reach(&self, instance: &str, metadata: &MetadataMap) -> Result<ReachedResults, Status>;
}

/// Results that a call reaches.
#[derive(Debug)]
pub struct ReachedResults {
    /// Only complete ones are hits.
    pub actions: Arc<dyn ActionCache>,
    /// What tells complete results from others.
    pub completeness: Arc<CompletenessChecking>,
    /// Whether the client may store results; why not.
    pub may_update: Result<(), Status>,
}

/// Results, served.
#[derive(Debug, Clone)]
pub struct ResultServices {
    results: Arc<dyn InstanceResults>,
    blobs: Arc<dyn BlobStore>,
}

impl ResultServices {
    /// Serves these results, whose blobs are in a store.
    pub fn new(results: Arc<dyn InstanceResults>, blobs: Arc<dyn BlobStore>) -> Self {
        Self { results, blobs }
    }

    /// The service for `build.bazel.remote.execution.v2.ActionCache`.
    pub fn server(self) -> ActionCacheServer<Self> {
        ActionCacheServer::new(self).max_decoding_message_size(MESSAGE).max_encoding_message_size(MESSAGE)
    }
}

#[async_trait::async_trait]
impl Service for ResultServices {
    async fn get_action_result(
        &self,
        request: Request<GetActionResultRequest>,
    ) -> Result<Response<reapi::ActionResult>, Status> {
        let reached = self.results.reach(&request.get_ref().instance_name, request.metadata())?;
        let request = request.into_inner();
        let (_, action) = action(request.digest_function, request.action_digest.as_ref())?;
        let found = reached.actions.get(&action).await.map_err(|error| wire::status(&error))?;
        let found =
            found.ok_or_else(|| Status::not_found(format!("there is no result of action {action}")))?;
        let mut answer = found.to_wire();
        // For clients of version 2.0, which look nowhere else.
        answer.output_file_symlinks.clone_from(&answer.output_symlinks);
        self.inline(&request, action.function(), &mut answer).await;
        Ok(Response::new(answer))
    }

    async fn update_action_result(
        &self,
        request: Request<UpdateActionResultRequest>,
    ) -> Result<Response<reapi::ActionResult>, Status> {
        let reached = self.results.reach(&request.get_ref().instance_name, request.metadata())?;
        reached.may_update?;
        let request = request.into_inner();
        let (function, action) = action(request.digest_function, request.action_digest.as_ref())?;
        let message =
            request.action_result.ok_or_else(|| Status::invalid_argument("there is no action_result"))?;
        if message.exit_code != 0 {
            return Err(Status::invalid_argument("only results of actions that succeeded are kept"));
        }
        let answer = message.clone();
        let result = self.checked(function, message).await?;
        if !reached.completeness.is_complete(&result).await.map_err(|error| wire::status(&error))? {
            let what =
                format!("the result of action {action} names blobs that are not there: upload them first");
            return Err(Status::failed_precondition(what));
        }
        reached.actions.put(&action, &result).await.map_err(|error| wire::status(&error))?;
        Ok(Response::new(answer))
    }
}

/// The action that a request is about. Whether there is one behind the digest is nobody's business here: tools that cache
/// things of their own make digests of them.
fn action(number: i32, named: Option<&reapi::Digest>) -> Result<(DigestFunction, Digest), Status> {
    let function = function(number)?;
    let named = named.ok_or_else(|| Status::invalid_argument("there is no action_digest"))?;
    Ok((function, digest(function, named)?))
}

impl ResultServices {
    /// A result of a client as ours are, with everything stored that it brings along.
    async fn checked(
        &self,
        function: DigestFunction,
        mut message: reapi::ActionResult,
    ) -> Result<ActionResult, Status> {
        for file in &mut message.output_files {
            let contents = std::mem::take(&mut file.contents);
            if contents.is_empty() {
                continue;
            }
            let (path, len) = (&file.path, contents.len());
            let named = file.digest.as_ref().map(|named| digest(function, named)).transpose()?;
            let named = named.filter(|named| *named == function.digest(&contents));
            let wrong = || format!("the digest of '{path}' is not that of the {len} bytes that came with it");
            let named = named.ok_or_else(|| Status::invalid_argument(wrong()))?;
            self.blobs.put(&named, contents.into()).await.map_err(|error| wire::status(&error))?;
        }
        let without_root =
            |directory: &&mut reapi::OutputDirectory| directory.root_directory_digest.is_none();
        for directory in message.output_directories.iter_mut().filter(without_root) {
            let what = || format!("the output directory '{}' has neither tree nor root", directory.path);
            let tree = directory.tree_digest.as_ref().ok_or_else(|| Status::invalid_argument(what()))?;
            let root = unpack(&*self.blobs, &digest(function, tree)?).await?;
            directory.root_directory_digest = Some(wire::to_wire(&root));
        }
        // Clients of different versions say the same in different places.
        let older = message.output_file_symlinks.drain(..).chain(message.output_directory_symlinks.drain(..));
        let mut known: HashSet<String> =
            message.output_symlinks.iter().map(|link| link.path.clone()).collect();
        let older: Vec<reapi::OutputSymlink> = older.filter(|link| known.insert(link.path.clone())).collect();
        message.output_symlinks.extend(older);
        ActionResult::from_wire(function, message)
            .map_err(|error| Status::invalid_argument(error.to_string()))
    }

    /// Puts what the client asked for into the answer, as long as it fits.
    async fn inline(
        &self,
        request: &GetActionResultRequest,
        function: DigestFunction,
        answer: &mut reapi::ActionResult,
    ) {
        use prost::Message as _;
        let mut room = BATCH.saturating_sub(answer.encoded_len() as u64);
        let logs = [
            (request.inline_stdout, &answer.stdout_digest, &mut answer.stdout_raw),
            (request.inline_stderr, &answer.stderr_digest, &mut answer.stderr_raw),
        ];
        for (_, named, raw) in logs.into_iter().filter(|(wanted, ..)| *wanted) {
            if let Some(bytes) = self.fitting(function, named.as_ref(), &mut room).await {
                *raw = bytes;
            }
        }
        let wanted: HashSet<&String> = request.inline_output_files.iter().collect();
        for file in answer.output_files.iter_mut().filter(|file| wanted.contains(&file.path)) {
            if let Some(bytes) = self.fitting(function, file.digest.as_ref(), &mut room).await {
                file.contents = bytes;
            }
        }
    }

    /// A blob, if there is room for it. What cannot be read now is read by the client later.
    async fn fitting(
        &self,
        function: DigestFunction,
        named: Option<&reapi::Digest>,
        room: &mut u64,
    ) -> Option<Bytes> {
        let digest = digest(function, named?).ok()?;
        *room = room.checked_sub(digest.size())?;
        read_whole(self.blobs.get(&digest).await.ok()?).await.ok()
    }
}
