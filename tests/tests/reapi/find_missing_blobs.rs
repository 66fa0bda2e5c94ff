//! `ContentAddressableStorage.FindMissingBlobs`.

use cullet_proto::reapi::Digest;
use cullet_proto::reapi::storage::FindMissingBlobsRequest;
use tonic::Code;

use super::api::refused;
use super::blobs::{BLAKE3, Blob, SHA256};
use super::differences::Difference;
use super::servers::of_caches;

/// `FindMissingBlobsResponse.missing_blob_digests`: those of the blobs asked about that are not there, and no others.
#[test]
fn exactly_the_missing_ones_are_named() {
    of_caches(async |api| {
        for function in api.functions() {
            let there = [100, 101].map(|len| Blob::unseen(function, len));
            let missing = [102, 103].map(|len| Blob::unseen(function, len));
            api.put(&[&there[0], &there[1]]).await;
            let asked = [&there[0], &missing[0], &there[1], &missing[1]].map(|blob| blob.digest.clone());
            let mut told = api.missing(function, &asked).await.unwrap();
            told.sort_by_key(|digest| digest.size_bytes);
            assert_eq!(told, missing.map(|blob| blob.digest));
            assert_eq!(api.missing(function, &[]).await.unwrap(), []);
        }
    });
}

/// `FindMissingBlobsRequest.blob_digests`: as many as fit into a message.
#[test]
fn thousands_can_be_asked_about() {
    of_caches(async |api| {
        let function = api.functions()[0];
        let there = Blob::unseen(function, 104);
        api.put(&[&there]).await;
        let mut asked: Vec<Digest> = (0..20_000).map(|_| Blob::unseen(function, 8).digest).collect();
        asked.push(there.digest);
        assert_eq!(api.missing(function, &asked).await.unwrap().len(), 20_000);
    });
}

/// `ContentAddressableStorage`: empty blobs are there without being uploaded.
#[test]
fn the_empty_blob_is_always_there() {
    of_caches(async |api| {
        for function in api.functions() {
            assert!(api.has(&Blob::new(function, "")).await);
        }
    });
}

/// `Digest`: a blob is known by hash and size together, so another size is another blob, and one that is not there.
#[test]
fn another_size_is_another_blob() {
    of_caches(async |api| {
        for function in api.functions() {
            let blob = Blob::unseen(function, 200);
            api.put(&[&blob]).await;
            let other = blob.sized(201);
            let told = api.missing(function, std::slice::from_ref(&other)).await.unwrap();
            let expected = if api.differs(Difference::NamedByHash) { vec![] } else { vec![other] };
            assert_eq!(told, expected);
        }
    });
}

/// `FindMissingBlobsRequest.digest_function`: what the digests were made with. The same digits by another function are another blob.
#[test]
fn another_function_is_another_blob() {
    of_caches(async |api| {
        if api.differs(Difference::OnlySha256) {
            let request = api.missing(BLAKE3, &[BLAKE3.digest(b"x")]).await;
            return refused(request, Code::InvalidArgument, "a function that is not announced");
        }
        let blob = Blob::unseen(BLAKE3, 300);
        api.put(&[&blob]).await;
        assert_eq!(api.missing(SHA256, std::slice::from_ref(&blob.digest)).await.unwrap(), [blob.digest]);
    });
}

/// `Digest.hash`: a hash in lower-case hexadecimal digits, as many as the function has; `Digest.size_bytes`: never negative.
#[test]
fn what_is_no_digest_is_refused() {
    of_caches(async |api| {
        for function in api.functions() {
            for digest in no_digests(&Blob::new(function, "some bytes").digest) {
                let what = format!("{digest:?}");
                api.refuses_name(api.missing(function, &[digest]).await, &what);
            }
        }
    });
}

/// What is like a digest and is none.
pub(crate) fn no_digests(like: &Digest) -> Vec<Digest> {
    let hash = |hash: &str| Digest { hash: hash.to_owned(), ..like.clone() };
    vec![
        hash(""),
        hash("abc"),
        hash(&like.hash[1..]),
        hash(&format!("{}0", like.hash)),
        hash(&like.hash.replace(|digit: char| digit.is_ascii_digit(), "A")),
        hash(&"g".repeat(64)),
        hash(&format!("../../{}", &like.hash[6..])),
        Digest { size_bytes: -1, ..like.clone() },
        Digest { size_bytes: i64::MIN, ..like.clone() },
    ]
}

/// `FindMissingBlobsRequest.digest_function`: a function that the server does not announce cannot be asked for.
#[test]
fn a_function_that_is_not_announced_is_refused() {
    of_caches(async |api| {
        // `MD5` with the digits of SHA-256, and a number that is no function.
        for number in [3, 99] {
            let request = FindMissingBlobsRequest {
                blob_digests: vec![SHA256.digest(b"x")],
                digest_function: number,
                ..FindMissingBlobsRequest::default()
            };
            let answer = api.storage().find_missing_blobs(request).await;
            refused(answer, Code::InvalidArgument, &number.to_string());
        }
    });
}

/// `FindMissingBlobsRequest.instance_name`: a server may tell instances apart by it. One that is none is refused here.
#[test]
fn what_is_no_instance_is_refused() {
    of_caches(async |api| {
        let request = FindMissingBlobsRequest {
            instance_name: "a/b/c".to_owned(),
            ..FindMissingBlobsRequest::default()
        };
        refused(api.storage().find_missing_blobs(request).await, Code::InvalidArgument, "a/b/c");
    });
}
