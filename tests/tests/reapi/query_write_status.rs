//! `ByteStream.QueryWriteStatus`, and uploads that go on.

use std::time::Duration;

use tokio_stream::StreamExt as _;
use tonic::Code;

use super::api::{pieces, refused};
use super::blobs::{Blob, SHA256};
use super::byte_stream_read::no_names;
use super::differences::Difference;
use super::servers::of_caches;

/// `QueryWriteStatusResponse.committed_size`: how much of an upload is there, which is where `WriteRequest.write_offset` goes on after
/// a stream that broke off; `complete`: whether it is done.
#[test]
fn an_upload_goes_on_where_it_broke_off() {
    of_caches(async |api| {
        for function in api.functions() {
            let blob = Blob::unseen(function, 900_000);
            let name = blob.upload();
            let first = api.write(&name, 0, &blob.bytes[..400_000], false).await;
            if api.differs(Difference::WholeUploads) {
                // It may begin anew, and that has to work.
                refused(first, Code::InvalidArgument, "no end");
                refused(api.written(&name).await, Code::Unimplemented, "no status");
                assert_eq!(api.write(&name, 0, &blob.bytes, true).await.unwrap(), 900_000);
                continue;
            }
            assert_eq!(first.unwrap(), 400_000);
            assert_eq!(api.written(&name).await.unwrap(), (400_000, false));
            assert!(!api.has(&blob).await);
            assert!(api.write(&name, 300_000, &blob.bytes[300_000..], true).await.is_err(), "not from there");
            assert_eq!(api.written(&name).await.unwrap(), (400_000, false));
            assert_eq!(api.write(&name, 400_000, &blob.bytes[400_000..], true).await.unwrap(), 900_000);
            assert_eq!(api.written(&name).await.unwrap(), (900_000, true));
            assert!(api.read(&blob.name(), 0, 0).await.unwrap() == blob.bytes);
        }
    });
}

/// `ByteStream.Write`: what arrived before a stream broke can be asked for (`QueryWriteStatus`), and the next stream goes on from there.
#[test]
fn an_upload_goes_on_after_its_client_vanished() {
    of_caches(async |api| {
        if api.differs(Difference::WholeUploads) {
            return;
        }
        for function in api.functions() {
            let blob = Blob::unseen(function, 900_000);
            let name = blob.upload();
            // The call is given up while the server waits for more.
            let sent = tokio_stream::iter(pieces(&name, 0, &blob.bytes[..300_000], false));
            let mut streams = api.streams();
            let call = streams.write(sent.chain(tokio_stream::pending()));
            assert!(tokio::time::timeout(Duration::from_millis(500), call).await.is_err());
            let mut tries = 0;
            let written = loop {
                let (there, complete) = api.written(&name).await.unwrap();
                assert!(there <= 300_000 && !complete);
                match api.write(&name, there, &blob.bytes[there as usize..], true).await {
                    // Until the server knows that the first one is gone.
                    Err(_) if tries < 100 => tokio::time::sleep(Duration::from_millis(50)).await,
                    outcome => break outcome.unwrap(),
                }
                tries += 1;
            };
            assert_eq!(written, 900_000);
            assert!(api.read(&blob.name(), 0, 0).await.unwrap() == blob.bytes);
        }
    });
}

/// `ContentAddressableStorage`, `compressed-blobs`: an upload goes on at an offset of the plain bytes, with what follows from there.
#[test]
fn a_compressed_upload_goes_on_at_a_plain_offset() {
    of_caches(async |api| {
        if api.differs(Difference::WholeUploads) {
            return;
        }
        for function in api.functions() {
            let blob = Blob::unseen(function, 800_000);
            let name = blob.zstd_upload();
            let front = zstd::encode_all(&blob.bytes[..500_000], 3).unwrap();
            api.write(&name, 0, &front, false).await.unwrap();
            let (there, complete) = api.written(&name).await.unwrap();
            assert!(there <= 500_000 && !complete, "{there}");
            let back = zstd::encode_all(&blob.bytes[there as usize..], 3).unwrap();
            assert_eq!(api.write(&name, there, &back, true).await.unwrap(), there + back.len() as i64);
            assert!(api.read(&blob.name(), 0, 0).await.unwrap() == blob.bytes);
        }
    });
}

/// `QueryWriteStatusResponse`: a blob that is there is complete, whoever wrote it.
#[test]
fn what_is_there_is_complete() {
    of_caches(async |api| {
        if api.differs(Difference::WholeUploads) {
            return;
        }
        for function in api.functions() {
            let blob = Blob::unseen(function, 700);
            api.put(&[&blob]).await;
            assert_eq!(api.written(&blob.upload()).await.unwrap(), (700, true));
        }
    });
}

/// `ByteStream.QueryWriteStatus`: an upload that was never begun is `NOT_FOUND`, and so is one that was refused.
#[test]
fn an_upload_that_is_none_is_not_found() {
    of_caches(async |api| {
        if api.differs(Difference::WholeUploads) {
            return;
        }
        for function in api.functions() {
            let blob = Blob::unseen(function, 700);
            let name = blob.upload();
            refused(api.written(&name).await, Code::NotFound, "never begun");
            let wrong = Blob::unseen(function, 700).bytes;
            refused(api.write(&name, 0, &wrong, true).await, Code::InvalidArgument, "other bytes");
            refused(api.written(&name).await, Code::NotFound, "refused");
        }
    });
}

/// `QueryWriteStatusRequest.resource_name`: as for `ByteStream.Write`.
#[test]
fn what_is_no_name_is_refused() {
    of_caches(async |api| {
        if api.differs(Difference::WholeUploads) {
            return;
        }
        let blob = Blob::unseen(SHA256, 400);
        for name in no_names(&blob).into_iter().map(|name| format!("uploads/u/{name}")) {
            refused(api.written(&name).await, Code::InvalidArgument, &name);
        }
    });
}
