//! `ByteStream.Read`.

use tonic::Code;

use super::api::refused;
use super::blobs::{Blob, SHA256};
use super::differences::Difference;
use super::servers::of_caches;

/// `ReadRequest.read_offset`, `read_limit`: from which byte on, and how many at most, where 0 is no limit.
#[test]
fn any_part_of_a_blob_can_be_read() {
    of_caches(async |api| {
        for function in api.functions() {
            let blob = Blob::unseen(function, 3_000_000);
            assert_eq!(api.write(&blob.upload(), 0, &blob.bytes, true).await.unwrap(), 3_000_000);
            let len = blob.bytes.len();
            for (offset, limit) in [
                (0, 0),
                (0, 1),
                (1, 0),
                (70_000, 2_000_000),
                (len - 1, 0),
                (len - 1, 5),
                (5, len),
                (len, 0),
                (len, 7),
            ] {
                let to = if limit == 0 { len } else { len.min(offset + limit) };
                let read = api.read(&blob.name(), offset as i64, limit as i64).await;
                if api.differs(Difference::ExactLimits) && offset + limit > len {
                    refused(read, Code::InvalidArgument, "beyond the end");
                    continue;
                }
                let read = read.unwrap();
                assert!(read == blob.bytes[offset..to], "{offset} {limit}");
            }
        }
    });
}

/// `ReadRequest.read_offset`: negative or beyond the end it is `OUT_OF_RANGE`; `read_limit`: a negative one is an error.
#[test]
fn offsets_outside_of_a_blob_are_out_of_range() {
    of_caches(async |api| {
        for function in api.functions() {
            let blob = Blob::unseen(function, 1000);
            api.put(&[&blob]).await;
            for offset in [1001, i64::MAX, -1, i64::MIN] {
                refused(api.read(&blob.name(), offset, 0).await, Code::OutOfRange, &offset.to_string());
            }
            refused(api.read(&blob.name(), 0, -1).await, Code::InvalidArgument, "a negative limit");
        }
    });
}

/// `ContentAddressableStorage`: empty blobs are there without being uploaded, for streams as well.
#[test]
fn the_empty_blob_can_be_read() {
    of_caches(async |api| {
        for function in api.functions() {
            assert_eq!(api.read(&Blob::new(function, "").name(), 0, 0).await.unwrap(), "");
        }
    });
}

/// `ByteStream.Read`: what is not there is `NOT_FOUND`, and so is a blob by another size.
#[test]
fn what_is_not_there_is_not_found() {
    of_caches(async |api| {
        for function in api.functions() {
            let [blob, mut other] = [300, 300].map(|len| Blob::unseen(function, len));
            refused(api.read(&blob.name(), 0, 0).await, Code::NotFound, "never stored");
            if !api.differs(Difference::NoCompression) {
                refused(api.read(&blob.zstd_name(), 0, 0).await, Code::NotFound, "never stored");
            }
            api.put(&[&other]).await;
            other.digest.size_bytes = 301;
            if !api.differs(Difference::NamedByHash) {
                refused(api.read(&other.name(), 0, 0).await, Code::NotFound, "another size");
            }
        }
    });
}

/// `ContentAddressableStorage`: `{instance}/blobs/{hash}/{size}` is the form of these names, and `ReadRequest.resource_name` has one.
#[test]
fn what_is_no_name_is_refused() {
    of_caches(async |api| {
        let blob = Blob::unseen(SHA256, 400);
        api.put(&[&blob]).await;
        for name in no_names(&blob) {
            api.refuses_name(api.read(&name, 0, 0).await, &name);
        }
        refused(api.read(&blob.upload(), 0, 0).await, Code::InvalidArgument, "that of an upload");
    });
}

/// What is like the name of a blob and is none.
pub(crate) fn no_names(blob: &Blob) -> Vec<String> {
    let (hash, name) = (&blob.digest.hash, blob.name());
    vec![
        String::new(),
        "blobs".to_owned(),
        format!("blobs/{hash}"),
        format!("blobs/{hash}/"),
        format!("blobs/{hash}/-1"),
        format!("blobs/{hash}/x"),
        format!("blobs/{hash}/99999999999999999999"),
        format!("blobs/{}/400", &hash[1..]),
        format!("blobs/{}/400", "z".repeat(64)),
        format!("blobs/nonsense/{hash}/400"),
        format!("{hash}/400"),
        format!("bl0bs/{hash}/400"),
        format!("compressed-blobs/{hash}/400"),
        format!("compressed-blobs/rot13/{hash}/400"),
        format!("/{name}"),
    ]
}

/// `ContentAddressableStorage`, `compressed-blobs`: the same blob as Zstandard frames, from an offset of its plain bytes on; a limit is
/// an `INVALID_ARGUMENT`.
#[test]
fn blobs_can_be_read_compressed() {
    of_caches(async |api| {
        if api.differs(Difference::NoCompression) {
            return;
        }
        for function in api.functions() {
            let blob = Blob::unseen(function, 1_000_000);
            api.put(&[&blob]).await;
            for offset in [0, 1, 600_000, 1_000_000] {
                let read = api.read(&blob.zstd_name(), offset as i64, 0).await.unwrap();
                assert!(zstd::decode_all(&*read).unwrap() == blob.bytes[offset..], "{offset}");
            }
            refused(api.read(&blob.zstd_name(), 0, 10).await, Code::InvalidArgument, "a limit");
            for offset in [-1, 1_000_001] {
                let read = api.read(&blob.zstd_name(), offset, 0).await;
                refused(read, Code::OutOfRange, &offset.to_string());
            }
        }
    });
}
