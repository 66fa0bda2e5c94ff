//! What servers refuse.

use std::time::Duration;

use cullet_proto::bytestream::service::byte_stream_client::ByteStreamClient;
use cullet_proto::bytestream::{QueryWriteStatusRequest, ReadRequest, WriteRequest};
use cullet_proto::reapi::storage::service::content_addressable_storage_client::ContentAddressableStorageClient;
use cullet_proto::reapi::storage::{
    BatchReadBlobsRequest, BatchUpdateBlobsRequest, BlobUpdate, FindMissingBlobsRequest,
};
use futures_util::stream;
use tonic::Code;
use tonic::transport::Channel;

use super::server::Served;
use super::*;
use crate::{ObjectOptions, SharedCache};

async fn channel(server: &Served) -> Channel {
    Channel::from_shared(server.url()).unwrap().connect().await.unwrap()
}

async fn bytes_of(server: &Served) -> ByteStreamClient<Channel> {
    ByteStreamClient::new(channel(server).await)
}

fn upload(name: &str, digest: &Digest) -> String {
    format!("uploads/{name}/blobs/blake3/{digest}")
}

fn piece(name: &str, offset: i64, data: &Bytes, finish_write: bool) -> WriteRequest {
    WriteRequest { resource_name: name.to_owned(), write_offset: offset, finish_write, data: data.clone() }
}

async fn write(server: &Served, pieces: Vec<WriteRequest>) -> Result<i64, Code> {
    let written = bytes_of(server).await.write(stream::iter(pieces)).await;
    written.map(|answer| answer.into_inner().committed_size).map_err(|status| status.code())
}

async fn status(server: &Served, name: &str) -> Result<(i64, bool), Code> {
    let request = QueryWriteStatusRequest { resource_name: name.to_owned() };
    let answer = bytes_of(server).await.query_write_status(request).await;
    let told = |answer: tonic::Response<cullet_proto::bytestream::QueryWriteStatusResponse>| {
        let answer = answer.into_inner();
        (answer.committed_size, answer.complete)
    };
    answer.map(told).map_err(|status| status.code())
}

#[tokio::test]
async fn what_is_not_the_blob_is_never_stored() {
    let dir = tempfile::tempdir().unwrap();
    let store = memory();
    let server = Served::start(store.clone(), &dir);
    let (digest, bytes) = blob(1000);
    let (front, back) = (bytes.slice(..400), bytes.slice(400..));
    let name = upload("u", &digest);
    let wrong = Bytes::from(vec![1; 1000]);
    for pieces in [
        vec![piece(&name, 0, &wrong, true)],
        vec![piece(&name, 0, &front, true)],
        vec![piece(&name, 0, &bytes, false), piece("", 1000, &front, true)],
        vec![piece(&name, 0, &front, false), piece("blobs/other", 400, &back, true)],
        vec![piece("", 0, &bytes, true)],
        vec![piece(&format!("blobs/blake3/{digest}"), 0, &bytes, true)],
        vec![],
    ] {
        assert_eq!(write(&server, pieces).await, Err(Code::InvalidArgument));
        assert_eq!(store.find_missing(&[digest]).await.unwrap(), [digest]);
        assert_eq!(status(&server, &name).await, Err(Code::NotFound), "nothing is left to go on with");
    }
    let gap = vec![piece(&name, 7, &bytes, true)];
    assert_eq!(write(&server, gap).await, Err(Code::FailedPrecondition));
}

#[tokio::test]
async fn an_upload_can_be_broken_off_asked_about_and_gone_on_with() {
    let dir = tempfile::tempdir().unwrap();
    let store = memory();
    let server = Served::start(store.clone(), &dir);
    let (digest, bytes) = blob(1 << 20);
    let (front, back) = (bytes.slice(..400_000), bytes.slice(400_000..));
    let name = upload("u", &digest);
    assert_eq!(status(&server, &name).await, Err(Code::NotFound));
    assert_eq!(write(&server, vec![piece(&name, 0, &front, false)]).await, Ok(400_000));
    assert_eq!(status(&server, &name).await, Ok((400_000, false)));
    assert_eq!(status(&server, &upload("other", &digest)).await, Err(Code::NotFound));
    assert_eq!(write(&server, vec![piece(&name, 400_000, &back, true)]).await, Ok(1 << 20));
    assert_eq!(status(&server, &name).await, Ok((1 << 20, true)));
    assert_eq!(store.get(&digest).await.unwrap().into_bytes().unwrap(), bytes);
    // What is there need not be sent.
    assert_eq!(write(&server, vec![piece(&upload("v", &digest), 0, &front, false)]).await, Ok(1 << 20));
}

#[tokio::test]
async fn uploads_are_bounded_in_number_and_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let limits = StorageLimits { uploads: 2, upload_bytes: 3 << 20, ..StorageLimits::default() };
    let services = StorageServices::read_write(memory(), &dir.path().join("server"), limits).unwrap();
    let server = Served::run(services);
    let begin = |name: &'static str, len: usize| {
        let (digest, bytes) = blob(len);
        let pieces = vec![piece(&upload(name, &digest), 0, &bytes.slice(..10), false)];
        write(&server, pieces)
    };
    assert_eq!(begin("a", 4 << 20).await, Err(Code::InvalidArgument), "it never fits");
    assert_eq!(begin("a", 2 << 20).await, Ok(10));
    assert_eq!(begin("b", 2 << 20).await, Err(Code::ResourceExhausted), "bytes");
    assert_eq!(begin("b", 1000).await, Ok(10));
    assert_eq!(begin("c", 1000).await, Err(Code::ResourceExhausted), "number");
}

#[tokio::test]
async fn an_upload_that_nobody_goes_on_with_expires() {
    let dir = tempfile::tempdir().unwrap();
    let limits = StorageLimits { uploads: 1, idle: Duration::from_millis(300), ..StorageLimits::default() };
    let services = StorageServices::read_write(memory(), &dir.path().join("server"), limits).unwrap();
    let server = Served::run(services);
    let (digest, bytes) = blob(1 << 20);
    let (one, two) = (upload("one", &digest), upload("two", &digest));
    let front = bytes.slice(..10);
    assert_eq!(write(&server, vec![piece(&one, 0, &front, false)]).await, Ok(10));
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(write(&server, vec![piece(&two, 0, &front, false)]).await, Ok(10), "there is room again");
    assert_eq!(status(&server, &one).await, Err(Code::NotFound));
}

#[tokio::test]
async fn a_server_to_read_from_takes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = memory();
    let (digest, bytes) = blob(1 << 20);
    store.put(&digest, bytes.clone().into()).await.unwrap();
    let server = Served::run(StorageServices::read_only(store, StorageLimits::default()));
    let client = server.client(&dir);
    assert_eq!(client.get(&digest).await.unwrap().into_bytes().unwrap(), bytes);
    let (other, bytes) = blob(10);
    assert_eq!(client.find_missing(&[digest, other]).await.unwrap(), [other]);
    assert!(matches!(client.put(&other, bytes.clone().into()).await, Err(StoreError::Remote { .. })));
    let name = upload("u", &other);
    assert_eq!(write(&server, vec![piece(&name, 0, &bytes, true)]).await, Err(Code::PermissionDenied));
    assert_eq!(status(&server, &name).await, Err(Code::PermissionDenied));
}

#[tokio::test]
async fn reads_have_offsets_limits_and_refusals() {
    let dir = tempfile::tempdir().unwrap();
    let store = memory();
    let (digest, bytes) = blob(1 << 20);
    store.put(&digest, bytes.clone().into()).await.unwrap();
    let server = Served::start(store, &dir);
    let read = async |name: String, read_offset: i64, read_limit: i64| {
        let request = ReadRequest { resource_name: name, read_offset, read_limit };
        let mut pieces =
            bytes_of(&server).await.read(request).await.map_err(|status| status.code())?.into_inner();
        let mut read = Vec::new();
        while let Some(piece) = pieces.message().await.map_err(|status| status.code())? {
            read.extend_from_slice(&piece.data);
        }
        Ok::<_, Code>(read)
    };
    let name = || format!("blobs/blake3/{digest}");
    assert_eq!(read(name(), 0, 0).await.unwrap(), bytes);
    assert_eq!(read(name(), 300_000, 400_000).await.unwrap(), bytes[300_000..700_000]);
    assert_eq!(read(name(), 1 << 20, 0).await.unwrap(), b"");
    assert_eq!(read(name(), (1 << 20) + 1, 0).await, Err(Code::OutOfRange));
    assert_eq!(read(name(), -1, 0).await, Err(Code::OutOfRange));
    assert_eq!(read(name(), 0, -1).await, Err(Code::InvalidArgument));
    assert_eq!(read(format!("other/{}", name()), 0, 0).await, Err(Code::InvalidArgument));
    assert_eq!(read(format!("blobs/{digest}"), 0, 0).await, Err(Code::NotFound), "as SHA-256");
    assert_eq!(read("nonsense".to_owned(), 0, 0).await, Err(Code::InvalidArgument));
}

#[tokio::test]
async fn batches_answer_for_each_blob() {
    let dir = tempfile::tempdir().unwrap();
    let server = Served::start(memory(), &dir);
    let mut client = ContentAddressableStorageClient::new(channel(&server).await);
    let ((one, bytes), (two, other)) = (blob(10), blob(20));
    let update = |digest: &Digest, data: &Bytes, compressor| BlobUpdate {
        digest: Some(wire::to_wire(digest)),
        data: data.clone(),
        compressor,
    };
    let request = BatchUpdateBlobsRequest {
        requests: vec![update(&one, &bytes, 0), update(&two, &bytes, 0), update(&two, &other, 1)],
        digest_function: 9,
        ..Default::default()
    };
    let answer = client.batch_update_blobs(request).await.unwrap().into_inner();
    let code = |digest: &Digest| {
        let of = |stored: &&cullet_proto::reapi::storage::BlobUpdated| {
            stored.digest == Some(wire::to_wire(digest))
        };
        answer
            .responses
            .iter()
            .filter(of)
            .map(|stored| stored.status.clone().unwrap().code)
            .collect::<Vec<_>>()
    };
    let refused = Code::InvalidArgument as i32;
    assert_eq!((code(&one), code(&two)), (vec![0], vec![refused, refused]));

    let read = |digests: &[Digest], digest_function| BatchReadBlobsRequest {
        digests: digests.iter().map(wire::to_wire).collect(),
        digest_function,
        ..Default::default()
    };
    let answer = client.batch_read_blobs(read(&[one, two], 9)).await.unwrap().into_inner();
    for read in answer.responses {
        let (status, digest) = (read.status.unwrap(), read.digest.unwrap());
        if digest == wire::to_wire(&one) {
            assert_eq!((status.code, read.data), (0, bytes.clone()));
        } else {
            assert_eq!((status.code, read.data), (Code::NotFound as i32, Bytes::new()));
        }
    }
    let large = Digest::from_parts(DigestFunction::Blake3, [0; 32], 5 << 20);
    let refused = client.batch_read_blobs(read(&[large], 9)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let refused = client.batch_read_blobs(read(&[one], 3)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let mut bad = wire::to_wire(&one);
    bad.size_bytes = -1;
    let request =
        FindMissingBlobsRequest { blob_digests: vec![bad], digest_function: 9, ..Default::default() };
    assert_eq!(client.find_missing_blobs(request).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_batch_into_logs_is_stored_together_and_a_wrong_blob_spoils_only_itself() {
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let location = dir.path().join("shared").display().to_string();
    let options = ObjectOptions { write_ahead: true, ..ObjectOptions::new(dir.path().join("spool")) };
    let store = SharedCache::open(&location, &options).unwrap().blobs;
    let server = Served::start(store.clone(), &dir);
    let mut client = ContentAddressableStorageClient::new(channel(&server).await);
    for wrong in [false, true] {
        let start = if wrong { 2000 } else { 1000 };
        let blobs: Vec<_> = [0, 1, 2, 3, 200_000].map(|more| blob(start + more)).into();
        let frame = Bytes::from(zstd::bulk::compress(&blobs[1].1, 1).unwrap());
        let update = |(digest, data): &(Digest, Bytes), compressor| BlobUpdate {
            digest: Some(wire::to_wire(digest)),
            data: data.clone(),
            compressor,
        };
        let mut requests: Vec<BlobUpdate> = blobs.iter().map(|blob| update(blob, 0)).collect();
        requests[1] = update(&(blobs[1].0, frame), 1);
        // Twice in one batch, and without bytes.
        requests.push(requests[0].clone());
        requests.push(update(&(DigestFunction::Blake3.digest(b""), Bytes::new()), 0));
        if wrong {
            requests[2].data = blobs[3].1.clone();
        }
        let sent = requests.len();
        let request = BatchUpdateBlobsRequest { requests, digest_function: 9, ..Default::default() };
        let answer = client.batch_update_blobs(request).await.unwrap().into_inner();
        assert_eq!(answer.responses.len(), sent);
        for response in answer.responses {
            let bad = wrong && response.digest == Some(wire::to_wire(&blobs[2].0));
            let expected = if bad { Code::InvalidArgument } else { Code::Ok };
            assert_eq!(response.status.unwrap().code, expected as i32, "{:?}", response.digest);
        }
        let digests: Vec<Digest> = blobs.iter().map(|(digest, _)| *digest).collect();
        let missing = if wrong { vec![digests[2]] } else { vec![] };
        assert_eq!(store.find_missing(&digests).await.unwrap(), missing);
        for (digest, bytes) in blobs.iter().filter(|(digest, _)| !missing.contains(digest)) {
            assert_eq!(store.get(digest).await.unwrap().into_bytes().unwrap(), bytes);
        }
    }
}
