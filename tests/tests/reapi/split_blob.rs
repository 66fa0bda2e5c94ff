//! `ContentAddressableStorage.SplitBlob`.

use cullet_proto::reapi::Digest;
use cullet_proto::reapi::storage::{BatchReadBlobsRequest, SplitBlobRequest};
use tonic::Code;

use super::api::{Api, refused};
use super::blobs::{Blob, Function, SHA256};
use super::differences::Difference;
use super::servers::of_caches;

/// A value of `ChunkingFunction`.
const FAST_CDC: i32 = 1;

/// The bytes of these blobs, one behind the other, each read in a batch of its own.
async fn joined(api: &Api, function: Function, chunks: &[Digest]) -> Vec<u8> {
    let mut all = Vec::new();
    for chunk in chunks {
        let request = BatchReadBlobsRequest {
            digests: vec![chunk.clone()],
            digest_function: function.number,
            ..BatchReadBlobsRequest::default()
        };
        let read = api.storage().batch_read_blobs(request).await.unwrap().into_inner().responses;
        assert_eq!(read[0].status.clone().unwrap_or_default().code, 0, "{chunk:?}");
        all.extend_from_slice(&read[0].data);
    }
    all
}

async fn stored(api: &Api, function: Function, len: usize) -> Blob {
    let blob = Blob::unseen(function, len);
    api.write(&blob.upload(), 0, &blob.bytes, true).await.unwrap();
    blob
}

/// `SplitBlob`: the chunks are in the CAS, and one behind the other they are the blob; `SplitBlobResponse.chunk_digests`: of the function
/// of the request.
#[test]
fn chunks_are_there_and_are_the_blob() {
    of_caches(async |api| {
        if api.differs(Difference::NoChunks) {
            return;
        }
        for function in api.functions() {
            for len in [1, 1000, 131_073, 5_000_000] {
                let blob = stored(api, function, len).await;
                let split = api.split(function, &blob.digest).await.unwrap();
                let chunks = split.chunk_digests;
                assert_eq!(api.missing(function, &chunks).await.unwrap(), []);
                assert!(joined(api, function, &chunks).await == blob.bytes, "{len}");
                assert_eq!(api.split(function, &blob.digest).await.unwrap().chunk_digests, chunks, "again");
            }
        }
    });
}

/// `FastCdc2020Params`: no chunk but the last is shorter than a quarter of the mean, none is longer than four times the mean.
#[test]
fn chunks_have_the_lengths_that_are_announced() {
    of_caches(async |api| {
        let Some(params) = api.cache().await.fast_cdc_2020_params else { return };
        let mean = params.avg_chunk_size_bytes as i64;
        let blob = stored(api, SHA256, 20 * mean as usize).await;
        let split = api.split(SHA256, &blob.digest).await.unwrap();
        assert_eq!(split.chunking_function, FAST_CDC);
        let (last, before) = split.chunk_digests.split_last().unwrap();
        assert!(before.len() > 5, "{split:?}");
        assert!(before.iter().all(|chunk| (mean / 4..=mean * 4).contains(&chunk.size_bytes)), "{split:?}");
        assert!(last.size_bytes <= mean * 4, "{split:?}");
    });
}

/// `SplitBlob`: blobs should be split where their content says so, so that similar ones have chunks in common.
#[test]
fn similar_blobs_have_chunks_in_common() {
    of_caches(async |api| {
        if api.differs(Difference::NoChunks) {
            return;
        }
        let one = stored(api, SHA256, 8_000_000).await;
        let mut bytes = one.bytes.to_vec();
        bytes.splice(4_000_000..4_000_000, *b"something more");
        let other = Blob::new(SHA256, bytes);
        api.write(&other.upload(), 0, &other.bytes, true).await.unwrap();
        let [one, other] = [one, other].map(|blob| blob.digest);
        let (one, other) = (api.split(SHA256, &one).await.unwrap(), api.split(SHA256, &other).await.unwrap());
        let new = other.chunk_digests.iter().filter(|chunk| !one.chunk_digests.contains(chunk)).count();
        assert!((1..=3).contains(&new), "{new} of {}", other.chunk_digests.len());
    });
}

/// `SplitBlobRequest.chunking_function`: a preference; the server may use another one, and says which.
#[test]
fn any_chunking_function_may_be_preferred() {
    of_caches(async |api| {
        if api.differs(Difference::NoChunks) {
            return;
        }
        let blob = stored(api, SHA256, 1_500_000).await;
        for chunking_function in [0, 1, 2, 77] {
            let request = SplitBlobRequest {
                blob_digest: Some(blob.digest.clone()),
                chunking_function,
                ..SplitBlobRequest::default()
            };
            let split = api.storage().split_blob(request).await.unwrap().into_inner();
            assert_eq!(split.chunking_function, FAST_CDC);
            assert!(joined(api, SHA256, &split.chunk_digests).await == blob.bytes);
        }
    });
}

/// `SplitBlob`: the lives of a blob and of its chunks are independent, and the call gives those that went a new one.
#[test]
fn chunks_that_were_lost_are_made_again() {
    of_caches(async |api| {
        if api.differs(Difference::NoChunks) {
            return;
        }
        let blob = stored(api, SHA256, 3_000_000).await;
        let before = api.split(SHA256, &blob.digest).await.unwrap();
        let chunk = before.chunk_digests[1].clone();
        let bytes = api.read(&format!("blobs/{}/{}", chunk.hash, chunk.size_bytes), 0, 0).await.unwrap();
        if !api.lose(&Blob::new(SHA256, bytes)).await {
            return;
        }
        assert_eq!(api.missing(SHA256, std::slice::from_ref(&chunk)).await.unwrap(), [chunk]);
        assert_eq!(api.split(SHA256, &blob.digest).await.unwrap(), before);
        assert_eq!(api.missing(SHA256, &before.chunk_digests).await.unwrap(), []);
    });
}

/// `SplitBlob`: `NOT_FOUND` where the blob is not in the CAS.
#[test]
fn what_is_not_there_is_not_found() {
    of_caches(async |api| {
        if api.differs(Difference::NoChunks) {
            return;
        }
        for function in api.functions() {
            for len in [7, 200_000] {
                let blob = Blob::unseen(function, len);
                refused(api.split(function, &blob.digest).await, Code::NotFound, "never stored");
            }
            let blob = stored(api, function, 300_000).await;
            refused(api.split(function, &blob.sized(300_001)).await, Code::NotFound, "another size");
        }
        let none = SplitBlobRequest::default();
        refused(api.storage().split_blob(none).await, Code::InvalidArgument, "no digest");
        refused(api.split(SHA256, &Digest::default()).await, Code::InvalidArgument, "an empty digest");
    });
}
