//! `Capabilities`: what this server does, for clients that ask before anything else.

use std::sync::Arc;

use cullet_digest::DigestFunction;
use cullet_proto::reapi::capabilities::service::capabilities_server::{Capabilities, CapabilitiesServer};
use cullet_proto::reapi::capabilities::{
    ActionCacheUpdateCapabilities, CacheCapabilities, ExecutionCapabilities, FastCdc2020Params,
    GetCapabilitiesRequest, PriorityCapabilities, PriorityRange, SemVer, ServerCapabilities,
};
use tonic::{Request, Response, Status};

use super::{InstanceResults, StorageLimits, StorageServices};
use crate::chunks::MEAN;
use crate::grpc::compression::ZSTD;
use crate::grpc::{BATCH, wire};

/// The oldest version that is served: that of clients which know neither output paths nor digest functions.
const LOWEST: (i32, i32) = (2, 0);

/// The newest.
const HIGHEST: (i32, i32) = (2, 3);

/// `SymlinkAbsolutePathStrategy.ALLOWED`: a link is kept as it is, wherever it points.
const LINKS_ANYWHERE: i32 = 2;

/// How blobs are cut.
const CHUNKS: FastCdc2020Params = FastCdc2020Params { avg_chunk_size_bytes: MEAN as u64, seed: 0 };

/// Says what a server can do.
#[derive(Debug, Clone)]
pub struct CapabilitiesService {
    results: Arc<dyn InstanceResults>,
    most_blob: u64,
    executes: bool,
    cuts: bool,
}

impl CapabilitiesService {
    /// Of a server with these results, and blobs within these limits.
    pub fn new(results: Arc<dyn InstanceResults>, limits: &StorageLimits) -> Self {
        Self { results, most_blob: limits.upload_bytes, executes: false, cuts: false }
    }

    /// Says that actions are executed, too.
    #[must_use]
    pub fn executing(self) -> Self {
        Self { executes: true, ..self }
    }

    /// Says that blobs are split and spliced, if they are.
    #[must_use]
    pub fn cutting(self, blobs: &StorageServices) -> Self {
        Self { cuts: blobs.is_writable(), ..self }
    }

    /// The service for `build.bazel.remote.execution.v2.Capabilities`.
    pub fn server(self) -> CapabilitiesServer<Self> {
        CapabilitiesServer::new(self)
    }
}

#[async_trait::async_trait]
impl Capabilities for CapabilitiesService {
    async fn get_capabilities(
        &self,
        request: Request<GetCapabilitiesRequest>,
    ) -> Result<Response<ServerCapabilities>, Status> {
        let reached = self.results.reach(&request.get_ref().instance_name, request.metadata())?;
        let cache = CacheCapabilities {
            digest_functions: DigestFunction::ALL.iter().copied().map(wire::number).collect(),
            action_cache_update_capabilities: Some(ActionCacheUpdateCapabilities {
                update_enabled: reached.may_update.is_ok(),
            }),
            max_batch_total_size_bytes: as_i64(BATCH),
            symlink_absolute_path_strategy: LINKS_ANYWHERE,
            supported_compressors: vec![ZSTD],
            supported_batch_update_compressors: vec![ZSTD],
            max_cas_blob_size_bytes: as_i64(self.most_blob),
            split_blob_support: self.cuts,
            splice_blob_support: self.cuts,
            fast_cdc_2020_params: self.cuts.then_some(CHUNKS),
        };
        Ok(Response::new(ServerCapabilities {
            cache_capabilities: Some(cache),
            execution_capabilities: self.executes.then(execution),
            deprecated_api_version: None,
            low_api_version: Some(version(LOWEST)),
            high_api_version: Some(version(HIGHEST)),
        }))
    }
}

/// Priorities that clients may give: as many as runs have, the other way round.
const PRIORITIES: (i32, i32) = (-100, 100);

fn execution() -> ExecutionCapabilities {
    let (min_priority, max_priority) = PRIORITIES;
    ExecutionCapabilities {
        // For clients that know of one function: the one that all of them know.
        digest_function: wire::number(DigestFunction::Sha256),
        exec_enabled: true,
        execution_priority_capabilities: Some(PriorityCapabilities {
            priorities: vec![PriorityRange { min_priority, max_priority }],
        }),
        digest_functions: DigestFunction::ALL.iter().copied().map(wire::number).collect(),
    }
}

const fn version((major, minor): (i32, i32)) -> SemVer {
    SemVer { major, minor, patch: 0, prerelease: String::new() }
}

fn as_i64(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
