//! `ContentAddressableStorage.BatchUpdateBlobs`.

use bytes::Bytes;
use cullet_proto::reapi::Digest;
use cullet_proto::reapi::storage::{BatchUpdateBlobsRequest, BatchUpdateBlobsResponse, BlobUpdate};
use tonic::{Code, Status};

use super::api::{Api, refused, update_of};
use super::blobs::{Blob, IDENTITY, ZSTD};
use super::differences::Difference;
use super::find_missing_blobs::no_digests;
use super::servers::of_caches;

/// What came of the blob with this digest.
fn code_of(answer: &BatchUpdateBlobsResponse, digest: &Digest) -> i32 {
    let of_it = answer.responses.iter().find(|response| response.digest.as_ref() == Some(digest));
    of_it.expect("a response for each").status.clone().unwrap_or_default().code
}

/// Tries to store one blob otherwise than it is: what is said of it.
async fn code(api: &Api, blob: &Blob, digest: Digest, data: impl Into<Bytes>, compressor: i32) -> Code {
    let update = BlobUpdate { digest: Some(digest.clone()), data: data.into(), compressor };
    match api.update(blob.function, vec![update]).await {
        Ok(answer) => Code::from(code_of(&answer, &digest)),
        Err(status) => status.code(),
    }
}

/// `BatchUpdateBlobsResponse.responses`: one for each blob, with its digest; what was stored is there and reads as it was sent.
#[test]
fn blobs_are_stored() {
    of_caches(async |api| {
        for function in api.functions() {
            let blobs = [1, 1000, 70_000].map(|len| Blob::unseen(function, len));
            let answer = api.update(function, blobs.iter().map(update_of).collect()).await.unwrap();
            assert_eq!(answer.responses.len(), 3);
            for blob in &blobs {
                assert_eq!(code_of(&answer, &blob.digest), 0);
                assert!(api.has(blob).await);
                assert_eq!(api.read(&blob.name(), 0, 0).await.unwrap(), blob.bytes);
            }
            // Again, as other clients have the same blobs.
            api.put(&blobs.each_ref()).await;
            api.put(&[&Blob::new(function, "")]).await;
        }
    });
}

/// `BatchUpdateBlobs`: each blob succeeds or fails for itself, with `INVALID_ARGUMENT` where the digest is not that of the data.
#[test]
fn one_bad_blob_does_not_spoil_the_others() {
    of_caches(async |api| {
        for function in api.functions() {
            let [good, bad, last] = [10, 20, 30].map(|len| Blob::unseen(function, len));
            let wrong = BlobUpdate { data: Blob::unseen(function, 20).bytes, ..update_of(&bad) };
            let updates = vec![update_of(&good), wrong, update_of(&last)];
            let answer = api.update(function, updates).await.unwrap();
            let codes = [&good, &bad, &last].map(|blob| code_of(&answer, &blob.digest));
            assert_eq!(codes, [0, Code::InvalidArgument as i32, 0]);
            let there = [api.has(&good).await, api.has(&bad).await, api.has(&last).await];
            assert_eq!(there, [true, false, true]);
        }
    });
}

/// `BatchUpdateBlobsRequest.Request.digest`: it must be that of the data. A size that is not theirs is a wrong digest as well, and
/// nothing is stored under it.
#[test]
fn sizes_that_lie_are_refused() {
    of_caches(async |api| {
        for function in api.functions() {
            for size in [0, 99, 101, 1 << 20] {
                let blob = Blob::unseen(function, 100);
                let digest = blob.sized(size);
                let said = code(api, &blob, digest.clone(), blob.bytes.clone(), IDENTITY).await;
                assert_eq!(said, Code::InvalidArgument, "{size}");
                // The right hash with no bytes is no name of the empty blob.
                let told = api.missing(function, std::slice::from_ref(&digest)).await;
                assert!(told.is_err() || told.unwrap() == [digest], "{size}");
                assert!(!api.has(&blob).await, "{size}");
            }
        }
    });
}

/// `Digest.hash`, `Digest.size_bytes`: what is no digest names no blob.
#[test]
fn what_is_no_digest_is_refused() {
    of_caches(async |api| {
        for function in api.functions() {
            let blob = Blob::unseen(function, 50);
            for digest in no_digests(&blob.digest) {
                let said = code(api, &blob, digest.clone(), blob.bytes.clone(), IDENTITY).await;
                api.refuses_name(Err::<(), _>(Status::new(said, "a part")), &format!("{digest:?}"));
            }
            assert!(!api.has(&blob).await);
        }
    });
}

/// `BatchUpdateBlobs`: more than the announced `CacheCapabilities.max_batch_total_size_bytes` is an `INVALID_ARGUMENT` of the whole
/// call; as much as that is not.
#[test]
fn a_batch_is_as_large_as_announced_and_no_larger() {
    of_caches(async |api| {
        let most = api.cache().await.max_batch_total_size_bytes as usize;
        let function = api.functions()[0];
        let half = most / 2;
        let [first, second, third] = [half, most - half, 1].map(|len| Blob::unseen(function, len));
        if api.differs(Difference::UnboundedBatches) {
            return;
        }
        let answer = api.update(function, [&first, &second, &third].map(update_of).to_vec()).await;
        refused(answer, Code::InvalidArgument, "one byte more");
        let stored = [api.has(&first).await, api.has(&second).await, api.has(&third).await];
        assert_eq!(stored, [false; 3]);
        let answer = api.update(function, [&first, &second].map(update_of).to_vec()).await.unwrap();
        assert_eq!([&first, &second].map(|blob| code_of(&answer, &blob.digest)), [0, 0]);
    });
}

/// `BatchUpdateBlobsRequest.Request.compressor`: one of those that are announced for batches; the digest is that of the bytes before
/// they were compressed.
#[test]
fn blobs_may_be_compressed() {
    of_caches(async |api| {
        let compressors = api.cache().await.supported_batch_update_compressors;
        for function in api.functions() {
            let blob = Blob::unseen(function, 30_000);
            if api.differs(Difference::NoCompression) {
                return;
            }
            assert!(compressors.contains(&ZSTD), "announced");
            let frame = blob.frame();
            assert!(frame.len() < 20_000);
            let cut = frame[..frame.len() - 9].to_vec();
            for (data, compressor) in
                [(cut, ZSTD), (blob.bytes.to_vec(), ZSTD), (frame.clone(), IDENTITY), (frame.clone(), 77)]
            {
                let said = code(api, &blob, blob.digest.clone(), data, compressor).await;
                assert_eq!(said, Code::InvalidArgument, "compressor {compressor}");
                assert!(!api.has(&blob).await);
            }
            assert_eq!(code(api, &blob, blob.digest.clone(), frame, ZSTD).await, Code::Ok);
            assert_eq!(api.read(&blob.name(), 0, 0).await.unwrap(), blob.bytes);
            // What becomes more than it says is no blob, however small it arrives.
            let bomb = zstd::encode_all(&*vec![0; 32 << 20], 3).unwrap();
            let other = Blob::unseen(function, 30_000);
            let said = code(api, &other, other.digest.clone(), bomb, ZSTD).await;
            assert_eq!(said, Code::InvalidArgument, "a bomb");
        }
    });
}

/// `BatchUpdateBlobsRequest.instance_name`: a server may tell instances apart by it. One that is none is refused here.
#[test]
fn what_is_no_instance_is_refused() {
    of_caches(async |api| {
        let blob = Blob::unseen(api.functions()[0], 10);
        let request = BatchUpdateBlobsRequest {
            instance_name: "a/b/c".to_owned(),
            requests: vec![update_of(&blob)],
            ..BatchUpdateBlobsRequest::default()
        };
        refused(api.storage().batch_update_blobs(request).await, Code::InvalidArgument, "a/b/c");
        assert!(!api.has(&blob).await);
    });
}
