//! Messages of `Capabilities` in `build.bazel.remote.execution.v2`. Field numbers are those of the published API, version 2.3,
//! and for chunks version 2.12.

/// What can the server do?
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct GetCapabilitiesRequest {
    /// The instance; empty for the default one.
    #[prost(string, tag = "1")]
    pub instance_name: String,
}

/// What the server can do.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ServerCapabilities {
    /// What its cache can do.
    #[prost(message, optional, tag = "1")]
    pub cache_capabilities: Option<CacheCapabilities>,
    /// What its execution can do; none where nothing is executed.
    #[prost(message, optional, tag = "2")]
    pub execution_capabilities: Option<ExecutionCapabilities>,
    /// The oldest version that is still served, and will not be for long.
    #[prost(message, optional, tag = "3")]
    pub deprecated_api_version: Option<SemVer>,
    /// The oldest version that is served.
    #[prost(message, optional, tag = "4")]
    pub low_api_version: Option<SemVer>,
    /// The newest version that is served.
    #[prost(message, optional, tag = "5")]
    pub high_api_version: Option<SemVer>,
}

/// What a cache can do.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct CacheCapabilities {
    /// Values of `DigestFunction`.
    #[prost(int32, repeated, tag = "1")]
    pub digest_functions: Vec<i32>,
    /// Whether clients may store results.
    #[prost(message, optional, tag = "2")]
    pub action_cache_update_capabilities: Option<ActionCacheUpdateCapabilities>,
    /// The most bytes of blobs in one batch; 0 for no bound.
    #[prost(int64, tag = "4")]
    pub max_batch_total_size_bytes: i64,
    /// A value of `SymlinkAbsolutePathStrategy`: 1 forbidden, 2 allowed.
    #[prost(int32, tag = "5")]
    pub symlink_absolute_path_strategy: i32,
    /// Values of `Compressor` for streams.
    #[prost(int32, repeated, tag = "6")]
    pub supported_compressors: Vec<i32>,
    /// Values of `Compressor` for blobs of `BatchUpdateBlobs`.
    #[prost(int32, repeated, tag = "7")]
    pub supported_batch_update_compressors: Vec<i32>,
    /// The most bytes of one blob; 0 for no bound.
    #[prost(int64, tag = "8")]
    pub max_cas_blob_size_bytes: i64,
    /// Whether blobs are split.
    #[prost(bool, tag = "9")]
    pub split_blob_support: bool,
    /// Whether blobs are spliced.
    #[prost(bool, tag = "10")]
    pub splice_blob_support: bool,
    /// How FastCDC cuts here; none where it does not.
    #[prost(message, optional, tag = "11")]
    pub fast_cdc_2020_params: Option<FastCdc2020Params>,
}

/// How FastCDC cuts. The shortest chunk has a quarter of the mean, the longest four times as much; normalization is of level 2.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct FastCdc2020Params {
    /// Bytes of a chunk in the mean, from 1 KiB to 8 MiB.
    #[prost(uint64, tag = "1")]
    pub avg_chunk_size_bytes: u64,
    /// What changes the places of cuts; 0 for those of everybody.
    #[prost(uint32, tag = "2")]
    pub seed: u32,
}

/// Whether clients may store results.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct ActionCacheUpdateCapabilities {
    /// They may.
    #[prost(bool, tag = "1")]
    pub update_enabled: bool,
}

/// What an execution service can do.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ExecutionCapabilities {
    /// The only function, for clients that know of one.
    #[prost(int32, tag = "1")]
    pub digest_function: i32,
    /// Whether anything is executed.
    #[prost(bool, tag = "2")]
    pub exec_enabled: bool,
    /// Which priorities clients may give.
    #[prost(message, optional, tag = "3")]
    pub execution_priority_capabilities: Option<PriorityCapabilities>,
    /// Values of `DigestFunction`.
    #[prost(int32, repeated, tag = "5")]
    pub digest_functions: Vec<i32>,
}

/// Which priorities clients may give.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct PriorityCapabilities {
    /// Any within one of these.
    #[prost(message, repeated, tag = "1")]
    pub priorities: Vec<PriorityRange>,
}

/// Priorities: `PriorityCapabilities.PriorityRange`. Smaller numbers go first.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct PriorityRange {
    /// The smallest.
    #[prost(int32, tag = "1")]
    pub min_priority: i32,
    /// The largest.
    #[prost(int32, tag = "2")]
    pub max_priority: i32,
}

/// A version.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct SemVer {
    /// What breaks.
    #[prost(int32, tag = "1")]
    pub major: i32,
    /// What adds.
    #[prost(int32, tag = "2")]
    pub minor: i32,
    /// What mends.
    #[prost(int32, tag = "3")]
    pub patch: i32,
    /// What is to come.
    #[prost(string, tag = "4")]
    pub prerelease: String,
}

/// Clients and servers of `Capabilities`.
pub mod service {
    #![allow(missing_docs, unreachable_pub, clippy::all, reason = "made by tonic")]
    include_service!("build.bazel.remote.execution.v2.Capabilities");
}
