//! `ActionCache`.

use std::collections::HashSet;
use std::fmt::Debug;
use std::sync::Arc;

use cullet_digest::{Digest, DigestFunction};
use cullet_proto::reapi;
use cullet_proto::reapi::results::service::action_cache_server::{ActionCache as Service, ActionCacheServer};
use cullet_proto::reapi::results::{GetActionResultRequest, UpdateActionResultRequest};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use super::answer::{Inlined, result_for_clients};
use super::services::{digest, function};
use super::trees::unpack;
use crate::grpc::{MESSAGE, wire};
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

    /// The results that a call reaches.
    pub(super) fn reach(&self, instance: &str, metadata: &MetadataMap) -> Result<ReachedResults, Status> {
        self.results.reach(instance, metadata)
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
        let action = requested_action(request.digest_function, request.action_digest.as_ref())?;
        let found = reached.actions.get(&action).await.map_err(|error| wire::status(&error))?;
        let found =
            found.ok_or_else(|| Status::not_found(format!("there is no result of action {action}")))?;
        let wanted = Inlined {
            stdout: request.inline_stdout,
            stderr: request.inline_stderr,
            files: request.inline_output_files.into_iter().collect(),
        };
        Ok(Response::new(result_for_clients(&*self.blobs, &action, &found, &wanted).await))
    }

    async fn update_action_result(
        &self,
        request: Request<UpdateActionResultRequest>,
    ) -> Result<Response<reapi::ActionResult>, Status> {
        let reached = self.results.reach(&request.get_ref().instance_name, request.metadata())?;
        reached.may_update?;
        let request = request.into_inner();
        let action = requested_action(request.digest_function, request.action_digest.as_ref())?;
        let function = action.function();
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

/// The action that a request is about, which names its digest function by number. Whether there is one behind the digest is
/// nobody's business here: tools that cache things of their own make digests of them.
///
/// # Errors
/// INVALID_ARGUMENT: there is no digest, or none that it could be.
pub fn requested_action(number: i32, named: Option<&reapi::Digest>) -> Result<Digest, Status> {
    let function = function(number)?;
    let named = named.ok_or_else(|| Status::invalid_argument("there is no action_digest"))?;
    digest(function, named)
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
}
