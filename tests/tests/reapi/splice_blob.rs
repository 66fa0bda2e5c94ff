//! `ContentAddressableStorage.SpliceBlob`.

use cullet_proto::reapi::Digest;
use cullet_proto::reapi::storage::SpliceBlobRequest;
use tonic::Code;

use super::api::refused;
use super::blobs::{Blob, Function, SHA256};
use super::differences::Difference;
use super::servers::of_caches;

/// A blob that nobody has, in chunks of these lengths.
fn in_chunks(function: Function, lengths: &[usize]) -> (Blob, Vec<Blob>) {
    let chunks: Vec<Blob> = lengths.iter().map(|len| Blob::unseen(function, *len)).collect();
    let bytes: Vec<u8> = chunks.iter().flat_map(|chunk| chunk.bytes.to_vec()).collect();
    (Blob::new(function, bytes), chunks)
}

fn digests(chunks: &[Blob]) -> Vec<Digest> {
    chunks.iter().map(|chunk| chunk.digest.clone()).collect()
}

/// `SpliceBlob`: the chunks, one behind the other and cut in any way, become the blob; `SpliceBlobResponse.blob_digest`: what it is.
#[test]
fn chunks_become_a_blob() {
    of_caches(async |api| {
        if api.differs(Difference::NoChunks) {
            return;
        }
        for function in api.functions() {
            for lengths in [&[5][..], &[1, 2, 3], &[700_000, 300_000, 1_000_000, 1]] {
                let (blob, chunks) = in_chunks(function, lengths);
                api.put(&chunks.iter().collect::<Vec<_>>()).await;
                if lengths.len() > 1 {
                    assert!(!api.has(&blob).await);
                }
                for what in ["at first", "again"] {
                    let told = api.splice(function, &blob.digest, &digests(&chunks)).await.unwrap();
                    assert_eq!(told.as_ref(), Some(&blob.digest), "{what}");
                }
                assert!(api.read(&blob.name(), 0, 0).await.unwrap() == blob.bytes);
            }
        }
    });
}

/// `SpliceBlob` beside `SplitBlob`: what the server has cut, it puts together again; one chunk may be there more than once.
#[test]
fn what_was_split_can_be_spliced() {
    of_caches(async |api| {
        if api.differs(Difference::NoChunks) {
            return;
        }
        let blob = Blob::unseen(SHA256, 2_500_000);
        api.write(&blob.upload(), 0, &blob.bytes, true).await.unwrap();
        let chunks = api.split(SHA256, &blob.digest).await.unwrap().chunk_digests;
        let twice = Blob::new(SHA256, [&*blob.bytes, &*blob.bytes].concat());
        let of_both = [&*chunks, &*chunks].concat();
        let told = api.splice(SHA256, &twice.digest, &of_both).await.unwrap();
        assert_eq!(told.as_ref(), Some(&twice.digest));
        assert!(api.read(&twice.name(), 0, 0).await.unwrap() == twice.bytes);
    });
}

/// `SpliceBlob`: the server must verify digests and not trust the client's. `INVALID_ARGUMENT` where the chunks are another blob, which is
/// not stored.
#[test]
fn what_is_not_the_blob_is_refused() {
    of_caches(async |api| {
        if api.differs(Difference::NoChunks) {
            return;
        }
        for function in api.functions() {
            let (blob, chunks) = in_chunks(function, &[4000, 4000, 300_000]);
            api.put(&chunks.iter().collect::<Vec<_>>()).await;
            let right = digests(&chunks);
            let swapped = [right[1].clone(), right[0].clone(), right[2].clone()];
            let twice = [right[0].clone(), right[0].clone(), right[2].clone()];
            for (what, wrong) in
                [("swapped", &swapped[..]), ("one twice", &twice), ("too few", &right[1..]), ("none", &[])]
            {
                let told = api.splice(function, &blob.digest, wrong).await;
                refused(told, Code::InvalidArgument, what);
                assert!(!api.has(&blob).await, "{what}");
            }
            let longer = blob.sized(blob.digest.size_bytes + 1);
            refused(api.splice(function, &longer, &right).await, Code::InvalidArgument, "another size");
            assert!(!api.has(&blob).await);
        }
        let none = SpliceBlobRequest::default();
        refused(api.storage().splice_blob(none).await, Code::InvalidArgument, "no digest");
        let (blob, _) = in_chunks(SHA256, &[3]);
        let told = api.splice(SHA256, &blob.digest, &[Digest::default()]).await;
        refused(told, Code::InvalidArgument, "a chunk that is none");
    });
}

/// `SpliceBlob`: `NOT_FOUND` where a chunk is not in the CAS.
#[test]
fn chunks_that_are_missing_are_not_found() {
    of_caches(async |api| {
        if api.differs(Difference::NoChunks) {
            return;
        }
        for function in api.functions() {
            let (blob, chunks) = in_chunks(function, &[500, 600, 700]);
            api.put(&[&chunks[0], &chunks[2]]).await;
            let told = api.splice(function, &blob.digest, &digests(&chunks)).await;
            let message = told.as_ref().err().map(|status| status.message().to_owned());
            refused(told, Code::NotFound, "one is missing");
            assert!(message.unwrap().contains(&chunks[1].digest.hash), "which one");
            assert!(!api.has(&blob).await);
        }
    });
}
