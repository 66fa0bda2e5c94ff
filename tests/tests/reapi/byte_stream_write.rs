//! `ByteStream.Write`.

use bytes::Bytes;
use cullet_proto::bytestream::WriteRequest;
use tonic::Code;

use super::api::{Api, pieces, refused};
use super::blobs::{Blob, SHA256, uuid};
use super::byte_stream_read::no_names;
use super::differences::Difference;
use super::servers::of_caches;

/// `WriteResponse.committed_size`: as many bytes as were written; then the blob is there.
#[test]
fn blobs_are_stored() {
    of_caches(async |api| {
        for function in api.functions() {
            for len in [1, 100_000, 5_000_000] {
                let blob = Blob::unseen(function, len);
                assert_eq!(api.write(&blob.upload(), 0, &blob.bytes, true).await.unwrap(), len as i64);
                assert!(api.has(&blob).await);
                assert!(api.read(&blob.name(), 0, 0).await.unwrap() == blob.bytes);
            }
            let empty = Blob::new(function, "");
            assert_eq!(api.write(&empty.upload(), 0, b"", true).await.unwrap(), 0);
        }
    });
}

/// `ContentAddressableStorage`: behind the size there may be metadata, which a server may ignore. `WriteRequest.data` may be empty.
#[test]
fn names_may_have_metadata_and_pieces_may_be_empty() {
    of_caches(async |api| {
        let blob = Blob::unseen(SHA256, 300_000);
        let name = format!("{}/out/of/a.o", blob.upload());
        let mut sent = pieces(&name, 0, &blob.bytes, true);
        let second = sent[1].clone();
        sent.insert(1, WriteRequest { data: Bytes::new(), ..second });
        let answer = api.streams().write(tokio_stream::iter(sent)).await.unwrap().into_inner();
        assert_eq!(answer.committed_size, 300_000);
        assert!(api.has(&blob).await);
    });
}

/// `ContentAddressableStorage`: an upload whose digest is not that of the bytes is an `INVALID_ARGUMENT`; nothing is stored.
#[test]
fn wrong_bytes_are_refused() {
    of_caches(async |api| {
        for function in api.functions() {
            let blob = Blob::unseen(function, 250_000);
            let mut other = blob.bytes.to_vec();
            other[200_000] ^= 1;
            for (sent, what) in [
                (&*other, "another byte"),
                (&blob.bytes[..249_999], "a byte less"),
                (&[&*blob.bytes, b"x"].concat(), "a byte more"),
                (b"", "none"),
            ] {
                let written = api.write(&blob.upload(), 0, sent, true).await;
                refused(written, Code::InvalidArgument, what);
                assert!(!api.has(&blob).await, "{what}");
            }
            // Nothing of that is left in the way of the right ones.
            assert_eq!(api.write(&blob.upload(), 0, &blob.bytes, true).await.unwrap(), 250_000);
        }
    });
}

/// `ContentAddressableStorage`: what is there already ends an upload at once and without error, with the whole size as
/// `committed_size`, however much of it was sent; -1 where it travels compressed.
#[test]
fn what_is_there_need_not_be_sent() {
    of_caches(async |api| {
        for function in api.functions() {
            let blob = Blob::unseen(function, 500_000);
            api.put(&[&blob]).await;
            for sent in [&blob.bytes[..], &blob.bytes[..200_000], b""] {
                let finish = sent.len() == blob.bytes.len();
                assert_eq!(api.write(&blob.upload(), 0, sent, finish).await.unwrap(), 500_000);
            }
            if !api.differs(Difference::NoCompression) {
                assert_eq!(api.write(&blob.zstd_upload(), 0, &blob.frame(), true).await.unwrap(), -1);
            }
        }
    });
}

/// `ContentAddressableStorage`: the same data may be uploaded by several at once, in either form.
#[test]
fn several_may_write_the_same_at_once() {
    of_caches(async |api| {
        for function in api.functions() {
            let blob = Blob::unseen(function, 2_000_000);
            let frame = blob.frame();
            let names = [blob.upload(), blob.upload(), blob.upload(), blob.zstd_upload()];
            let (first, second, third, compressed) = tokio::join!(
                api.write(&names[0], 0, &blob.bytes, true),
                api.write(&names[1], 0, &blob.bytes, true),
                api.write(&names[2], 0, &blob.bytes, true),
                api.write(&names[3], 0, &frame, true),
            );
            assert_eq!([first, second, third].map(Result::unwrap), [2_000_000; 3]);
            // As many as were sent, or -1 where another one was first.
            if !api.differs(Difference::NoCompression) {
                assert!([-1, frame.len() as i64].contains(&compressed.unwrap()));
            }
            assert!(api.read(&blob.name(), 0, 0).await.unwrap() == blob.bytes);
        }
    });
}

/// `ContentAddressableStorage`, `compressed-blobs`: hash and size are those of the plain bytes, and have to be verified; what is sent
/// counts as it arrives.
#[test]
fn blobs_may_travel_compressed() {
    of_caches(async |api| {
        if api.differs(Difference::NoCompression) {
            return;
        }
        for function in api.functions() {
            let blob = Blob::unseen(function, 1_500_000);
            let (frame, other) = (blob.frame(), Blob::unseen(function, 1_500_000).frame());
            for (sent, what) in [
                (&other[..], "another blob"),
                (&frame[..frame.len() - 20], "a part"),
                (&blob.bytes[..], "plain bytes"),
                (&zstd::encode_all(&*vec![0; 32 << 20], 3).unwrap(), "a bomb"),
            ] {
                let written = api.write(&blob.zstd_upload(), 0, sent, true).await;
                refused(written, Code::InvalidArgument, what);
                assert!(!api.has(&blob).await, "{what}");
            }
            let written = api.write(&blob.zstd_upload(), 0, &frame, true).await.unwrap();
            assert_eq!(written, frame.len() as i64);
            assert!(api.read(&blob.name(), 0, 0).await.unwrap() == blob.bytes);
        }
    });
}

/// `WriteRequest.resource_name`: the first message has to have one, of the form
/// `{instance}/uploads/{uuid}/blobs/{hash}/{size}`, and later ones none or the same.
#[test]
fn what_is_no_name_is_refused() {
    of_caches(async |api| {
        let blob = Blob::unseen(SHA256, 400);
        let wrong = no_names(&blob).into_iter().map(|name| format!("uploads/{}/{name}", uuid()));
        let others = [String::new(), blob.name(), format!("uploads/{}", blob.name()), "uploads/x".to_owned()];
        for name in wrong.chain(others) {
            api.refuses_name(api.write(&name, 0, &blob.bytes, true).await, &name);
        }
        let blob = Blob::unseen(SHA256, 150_000);
        let mut changing = pieces(&blob.upload(), 0, &blob.bytes, true);
        changing[1].resource_name = blob.upload();
        refused(stream(api, changing).await, Code::InvalidArgument, "the name changes");
        assert!(!api.has(&blob).await);
    });
}

/// `WriteRequest.write_offset`: the sum of what was written before; any other value is an error. A stream says something.
#[test]
fn offsets_that_leave_something_out_are_refused() {
    of_caches(async |api| {
        if api.differs(Difference::WholeUploads) {
            return;
        }
        let blob = Blob::unseen(SHA256, 250_000);
        for (offset, what) in [(1, "a gap"), (-1, "a negative one")] {
            assert!(api.write(&blob.upload(), offset, &blob.bytes, true).await.is_err(), "{what}");
        }
        let mut gap = pieces(&blob.upload(), 0, &blob.bytes, true);
        gap.remove(1);
        assert!(stream(api, gap).await.is_err(), "a piece is missing");
        assert!(!api.has(&blob).await);
        assert!(stream(api, Vec::new()).await.is_err(), "no message");
    });
}

async fn stream(api: &Api, sent: Vec<WriteRequest>) -> Result<i64, tonic::Status> {
    Ok(api.streams().write(tokio_stream::iter(sent)).await?.into_inner().committed_size)
}

/// `CacheCapabilities.max_cas_blob_size_bytes`: what is larger should be refused with `INVALID_ARGUMENT`.
#[test]
fn what_is_larger_than_announced_is_refused() {
    of_caches(async |api| {
        let most = api.cache().await.max_cas_blob_size_bytes;
        if most > 0 {
            let mut blob = Blob::unseen(SHA256, 1000);
            blob.digest.size_bytes = most + 1;
            let written = api.write(&blob.upload(), 0, &blob.bytes, false).await;
            refused(written, Code::InvalidArgument, "too large");
        }
    });
}
