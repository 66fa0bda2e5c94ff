//! `ContentAddressableStorage.BatchReadBlobs`.

use cullet_proto::reapi::Digest;
use cullet_proto::reapi::storage::{BatchReadBlobsRequest, BlobRead};
use tonic::{Code, Status};

use super::api::{Api, refused};
use super::blobs::{Blob, Function, IDENTITY, ZSTD};
use super::differences::Difference;
use super::find_missing_blobs::no_digests;
use super::servers::of_caches;

async fn read(
    api: &Api,
    function: Function,
    digests: Vec<Digest>,
    acceptable_compressors: &[i32],
) -> Result<Vec<BlobRead>, Status> {
    let request = BatchReadBlobsRequest {
        digests,
        acceptable_compressors: acceptable_compressors.to_vec(),
        digest_function: function.number,
        ..BatchReadBlobsRequest::default()
    };
    Ok(api.storage().batch_read_blobs(request).await?.into_inner().responses)
}

/// What was read of this blob.
fn of<'a>(responses: &'a [BlobRead], blob: &Blob) -> &'a BlobRead {
    let of_it = responses.iter().find(|response| response.digest.as_ref() == Some(&blob.digest));
    of_it.expect("a response for each")
}

fn code(read: &BlobRead) -> Code {
    Code::from(read.status.clone().unwrap_or_default().code)
}

/// `BatchReadBlobsResponse.responses`: one for each digest, with the data or with why there are none; a blob that is missing is
/// `NOT_FOUND` and does not spoil the others.
#[test]
fn each_blob_is_there_or_not_for_itself() {
    of_caches(async |api| {
        for function in api.functions() {
            let [first, second, missing] = [5, 60_000, 70].map(|len| Blob::unseen(function, len));
            let empty = Blob::new(function, "");
            api.put(&[&first, &second]).await;
            let all = [&first, &missing, &second, &empty];
            let digests = all.map(|blob| blob.digest.clone()).to_vec();
            let responses = read(api, function, digests, &[]).await.unwrap();
            assert_eq!(responses.len(), 4);
            for blob in [&first, &second, &empty] {
                let read = of(&responses, blob);
                assert_eq!((code(read), read.compressor), (Code::Ok, IDENTITY));
                assert_eq!(read.data, blob.bytes);
            }
            let gone = of(&responses, &missing);
            assert_eq!((code(gone), &*gone.data), (Code::NotFound, &b""[..]));
            assert_eq!(read(api, function, Vec::new(), &[]).await.unwrap(), []);
        }
    });
}

/// `Digest.size_bytes`: another size is another blob, which is not there.
#[test]
fn another_size_is_not_found() {
    of_caches(async |api| {
        for function in api.functions() {
            let blob = Blob::unseen(function, 80);
            api.put(&[&blob]).await;
            for size in [79, 81] {
                let responses = read(api, function, vec![blob.sized(size)], &[]).await.unwrap();
                // Its hash is there, so any answer is one.
                if !api.differs(Difference::NamedByHash) {
                    assert_eq!(code(&responses[0]), Code::NotFound, "{size}");
                }
            }
        }
    });
}

/// `Digest.hash`, `Digest.size_bytes`: what is no digest is an `INVALID_ARGUMENT`, of the call or of its part.
#[test]
fn what_is_no_digest_is_refused() {
    of_caches(async |api| {
        for function in api.functions() {
            for digest in no_digests(&Blob::new(function, "some bytes").digest) {
                let what = format!("{digest:?}");
                let refused = match read(api, function, vec![digest], &[]).await {
                    Ok(responses) => Err(Status::new(code(&responses[0]), "a part")),
                    Err(status) => Err::<(), _>(status),
                };
                api.refuses_name(refused, &what);
            }
        }
    });
}

/// `BatchReadBlobsRequest.acceptable_compressors`: data come plain or by one of these; plain is always acceptable.
#[test]
fn data_come_as_the_client_can_read_them() {
    of_caches(async |api| {
        for function in api.functions() {
            let blob = Blob::unseen(function, 50_000);
            api.put(&[&blob]).await;
            for (acceptable, may) in
                [(vec![], vec![IDENTITY]), (vec![77], vec![IDENTITY]), (vec![77, ZSTD], vec![IDENTITY, ZSTD])]
            {
                let responses = read(api, function, vec![blob.digest.clone()], &acceptable).await.unwrap();
                let BlobRead { data, compressor, .. } = &responses[0];
                assert!(may.contains(compressor), "{acceptable:?}: {compressor}");
                let plain =
                    if *compressor == ZSTD { zstd::decode_all(&**data).unwrap() } else { data.to_vec() };
                assert!(plain == blob.bytes, "{acceptable:?}");
            }
        }
    });
}

/// `BatchReadBlobs`: more than the announced `CacheCapabilities.max_batch_total_size_bytes` is an `INVALID_ARGUMENT` of the whole call.
#[test]
fn a_batch_is_no_larger_than_announced() {
    of_caches(async |api| {
        let most = api.cache().await.max_batch_total_size_bytes;
        let function = api.functions()[0];
        let digests = (0..3).map(|part| Blob::unseen(function, 10).sized(most / 2 + part)).collect();
        if api.differs(Difference::UnboundedBatches) {
            return;
        }
        refused(read(api, function, digests, &[]).await, Code::InvalidArgument, "too much");
    });
}

/// `BatchReadBlobs`: as much as fits into a batch that is stored can be read as one, too.
#[test]
fn a_full_batch_can_be_read() {
    of_caches(async |api| {
        let function = api.functions()[0];
        let blobs: Vec<Blob> = (0..7).map(|_| Blob::unseen(function, 500_000)).collect();
        api.put(&blobs.iter().collect::<Vec<_>>()).await;
        let digests = blobs.iter().map(|blob| blob.digest.clone()).collect();
        let responses = read(api, function, digests, &[]).await.unwrap();
        assert!(blobs.iter().all(|blob| of(&responses, blob).data == blob.bytes));
    });
}

/// `BatchReadBlobsRequest.instance_name`: a server may tell instances apart by it. One that is none is refused here.
#[test]
fn what_is_no_instance_is_refused() {
    of_caches(async |api| {
        let instance_name = "a/b/c".to_owned();
        let request = BatchReadBlobsRequest { instance_name, ..BatchReadBlobsRequest::default() };
        refused(api.storage().batch_read_blobs(request).await, Code::InvalidArgument, "a/b/c");
    });
}
