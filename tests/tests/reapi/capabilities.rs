//! `Capabilities.GetCapabilities`.

use cullet_proto::reapi::capabilities::{GetCapabilitiesRequest, SemVer, ServerCapabilities};
use tonic::Code;

use super::api::{Api, refused};
use super::blobs::{BLAKE3, SHA256, ZSTD};
use super::differences::Difference;
use super::servers::{of_caches, of_execution};

async fn of(api: &Api) -> ServerCapabilities {
    api.capabilities().get_capabilities(GetCapabilitiesRequest::default()).await.unwrap().into_inner()
}

/// `ServerCapabilities.low_api_version`, `high_api_version`: the first and the last version that are served, so the one is not
/// above the other, and clients of one in between may go on.
#[test]
fn the_versions_that_are_served_are_a_range() {
    of_caches(async |api| {
        let said = of(api).await;
        let key = |version: Option<SemVer>| version.map(|version| (version.major, version.minor));
        let (low, high) = (key(said.low_api_version), key(said.high_api_version));
        assert!(low <= high && low.is_some(), "{low:?} {high:?}");
        let lowest = if api.differs(Difference::SinceVersion21) { (2, 1) } else { (2, 0) };
        assert_eq!(low, Some(lowest));
        assert!(high >= Some((2, 3)), "{high:?}");
    });
}

/// `CacheCapabilities.digest_functions`: all functions that the cache takes. Every one that these tests use is among them.
#[test]
fn digest_functions_are_announced() {
    of_caches(async |api| {
        let functions = api.cache().await.digest_functions;
        assert!(functions.contains(&SHA256.number), "{functions:?}");
        let blake3 = functions.contains(&BLAKE3.number);
        assert_eq!(blake3, !api.differs(Difference::OnlySha256), "{functions:?}");
        assert!(!functions.contains(&0), "UNKNOWN is none: {functions:?}");
    });
}

/// `CacheCapabilities`: compressors for streams and for batches, the bound of a batch, whether results may be stored, and what
/// becomes of absolute links.
#[test]
fn what_the_cache_can_do_is_announced() {
    of_caches(async |api| {
        let cache = api.cache().await;
        for compressors in [&cache.supported_compressors, &cache.supported_batch_update_compressors] {
            assert_eq!(compressors.contains(&ZSTD), !api.differs(Difference::NoCompression), "{cache:?}");
        }
        let bounded = cache.max_batch_total_size_bytes > 0;
        assert_eq!(bounded, !api.differs(Difference::UnboundedBatches), "{cache:?}");
        assert!(cache.max_cas_blob_size_bytes >= 0, "{cache:?}");
        assert!(cache.action_cache_update_capabilities.is_some_and(|update| update.update_enabled));
        // `SymlinkAbsolutePathStrategy`: 1 is DISALLOWED, 2 is ALLOWED, and UNKNOWN says nothing.
        assert!([1, 2].contains(&cache.symlink_absolute_path_strategy), "{cache:?}");
    });
}

/// `CacheCapabilities.split_blob_support`, `splice_blob_support`: whether these calls are there. `FastCdc2020Params`: a mean from 1 KiB to
/// 8 MiB, of which 512 KiB is recommended, and 0 as the seed.
#[test]
fn splitting_and_splicing_are_announced() {
    of_caches(async |api| {
        let cache = api.cache().await;
        let is_there = !api.differs(Difference::NoChunks);
        assert_eq!((cache.split_blob_support, cache.splice_blob_support), (is_there, is_there), "{cache:?}");
        if let Some(params) = cache.fast_cdc_2020_params {
            assert!((1 << 10..=8 << 20).contains(&params.avg_chunk_size_bytes), "{params:?}");
        }
        let of_call = api.split(SHA256, &SHA256.digest(b"never stored")).await;
        refused(of_call, if is_there { Code::NotFound } else { Code::Unimplemented }, "as announced");
    });
}

/// `ServerCapabilities.execution_capabilities`: only where something is executed, with the functions of its actions
/// (`ExecutionCapabilities.digest_functions`, and `digest_function` for older clients) and the priorities that may be asked for.
#[test]
fn what_execution_can_do_is_announced() {
    of_execution(async |api| {
        let execution = of(api).await.execution_capabilities.unwrap();
        assert!(execution.exec_enabled);
        assert_eq!(execution.digest_function, SHA256.number);
        for function in [SHA256, BLAKE3] {
            assert!(execution.digest_functions.contains(&function.number), "{execution:?}");
        }
        let ranges = execution.execution_priority_capabilities.unwrap().priorities;
        assert!(ranges.iter().all(|range| range.min_priority <= range.max_priority), "{ranges:?}");
        let usual = ranges.iter().any(|range| (range.min_priority..=range.max_priority).contains(&0));
        assert!(usual, "0 is the default: {ranges:?}");
    });
}

/// `GetCapabilitiesRequest.instance_name`: a server may tell instances apart by it. One that is none is refused here.
#[test]
fn what_is_no_instance_is_refused() {
    of_caches(async |api| {
        let request = GetCapabilitiesRequest { instance_name: "a/b/c".to_owned() };
        let answer = api.capabilities().get_capabilities(request).await;
        refused(answer, Code::InvalidArgument, "a/b/c");
    });
}
