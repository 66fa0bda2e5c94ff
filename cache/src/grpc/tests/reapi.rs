//! What clients of the Remote Execution API ask that ours do not.

use cullet_digest::{Directory, DirectoryNode, NodeName};
use cullet_proto::bytestream::service::byte_stream_client::ByteStreamClient;
use cullet_proto::bytestream::{QueryWriteStatusRequest, ReadRequest, WriteRequest};
use cullet_proto::reapi::storage::service::content_addressable_storage_client::ContentAddressableStorageClient;
use cullet_proto::reapi::storage::{
    BatchReadBlobsRequest, BatchUpdateBlobsRequest, BlobUpdate, GetTreeRequest,
};
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::*;
use crate::grpc::compression::{ZSTD, compressed, decompressed};

const BLAKE3: i32 = 9;

/// Both services of a server over a store in memory.
struct Api {
    storage: ContentAddressableStorageClient<Channel>,
    bytes: ByteStreamClient<Channel>,
    store: Arc<MemoryStore>,
    _server: Served,
    _dir: TempDir,
}

impl Api {
    async fn start() -> Self {
        let (dir, store) = (tempfile::tempdir().unwrap(), memory());
        let server = Served::start(store.clone(), &dir);
        let channel = Channel::from_shared(server.url()).unwrap().connect().await.unwrap();
        let storage = ContentAddressableStorageClient::new(channel.clone());
        Self { storage, bytes: ByteStreamClient::new(channel), store, _server: server, _dir: dir }
    }

    async fn update(&mut self, digest: &Digest, data: Bytes, compressor: i32) -> (i32, String) {
        let update = BlobUpdate { digest: Some(wire::to_wire(digest)), data, compressor };
        let request = BatchUpdateBlobsRequest {
            requests: vec![update],
            digest_function: BLAKE3,
            ..BatchUpdateBlobsRequest::default()
        };
        let answer = self.storage.batch_update_blobs(request).await.unwrap().into_inner();
        let status = answer.responses.into_iter().next().unwrap().status.unwrap();
        (status.code, status.message)
    }

    /// Sends pieces, the first of which begins at `offset`, and says how many bytes are there then.
    async fn write(
        &mut self,
        name: &str,
        offset: u64,
        pieces: &[&[u8]],
        finish: bool,
    ) -> Result<i64, Status> {
        let mut at = offset as i64;
        let mut requests = Vec::new();
        for (index, piece) in pieces.iter().enumerate() {
            requests.push(WriteRequest {
                resource_name: name.to_owned(),
                write_offset: at,
                finish_write: finish && index + 1 == pieces.len(),
                data: Bytes::copy_from_slice(piece),
            });
            at += piece.len() as i64;
        }
        let answer = self.bytes.write(futures_util::stream::iter(requests)).await?;
        Ok(answer.into_inner().committed_size)
    }

    async fn read(&mut self, name: &str, offset: i64, limit: i64) -> Result<Vec<u8>, Status> {
        let request = ReadRequest { resource_name: name.to_owned(), read_offset: offset, read_limit: limit };
        let mut stream = self.bytes.read(request).await?.into_inner();
        let mut all = Vec::new();
        while let Some(piece) = stream.message().await? {
            all.extend_from_slice(&piece.data);
        }
        Ok(all)
    }

    /// The directories of a tree from a token on, a page each.
    async fn tree(&mut self, root: &Digest, page_size: i32, token: &str) -> Result<Vec<Vec<Bytes>>, Status> {
        let request = GetTreeRequest {
            root_digest: Some(wire::to_wire(root)),
            page_size,
            page_token: token.to_owned(),
            digest_function: BLAKE3,
            ..GetTreeRequest::default()
        };
        let mut stream = self.storage.get_tree(request).await?.into_inner();
        let mut pages = Vec::new();
        while let Some(page) = stream.message().await? {
            pages.push(page.directories);
        }
        Ok(pages)
    }
}

/// REAPI: "BatchUpdateBlobsRequest.Request.compressor", "BatchReadBlobsRequest.acceptable_compressors".
#[tokio::test]
async fn blobs_of_batches_may_be_compressed() {
    let mut api = Api::start().await;
    let (digest, bytes) = blob(100_000);
    let frame = compressed(&bytes).unwrap();
    assert_eq!(
        api.update(&digest, frame.slice(..frame.len() - 5), ZSTD).await.0,
        Code::InvalidArgument as i32
    );
    assert_eq!(api.update(&digest, bytes.clone(), ZSTD).await.0, Code::InvalidArgument as i32);
    assert_eq!(api.update(&digest, frame.clone(), 0).await.0, Code::InvalidArgument as i32);
    let (code, why) = api.update(&digest, frame.clone(), 2).await;
    assert!(code == Code::InvalidArgument as i32 && why.contains("compressor 2"), "{why}");
    assert_eq!(api.store.find_missing(&[digest]).await.unwrap(), [digest], "nothing was stored");
    assert_eq!(api.update(&digest, frame, ZSTD).await.0, 0);
    for (acceptable, expected) in [(vec![], 0), (vec![2], 0), (vec![2, ZSTD], ZSTD)] {
        let request = BatchReadBlobsRequest {
            digests: vec![wire::to_wire(&digest)],
            acceptable_compressors: acceptable,
            digest_function: BLAKE3,
            ..BatchReadBlobsRequest::default()
        };
        let answer = api.storage.batch_read_blobs(request).await.unwrap().into_inner();
        let read = answer.responses.into_iter().next().unwrap();
        assert_eq!(read.compressor, expected);
        let plain = if expected == ZSTD { decompressed(&read.data, bytes.len()).unwrap() } else { read.data };
        assert_eq!(plain, bytes);
    }
}

/// REAPI, `ContentAddressableStorage`: "compressed-blobs".
#[tokio::test]
async fn streams_may_be_compressed() {
    let mut api = Api::start().await;
    let (digest, bytes) = blob(3 << 20);
    let frame = compressed(&bytes).unwrap();
    let name = format!("uploads/one/compressed-blobs/zstd/blake3/{digest}");
    // A first try breaks off. What arrived of it counts decompressed, and a new frame goes on from there.
    let half = compressed(&bytes[..1 << 20]).unwrap();
    let (front, back) = half.split_at(half.len() / 2);
    api.write(&name, 0, &[front, back], false).await.unwrap();
    let status = QueryWriteStatusRequest { resource_name: name.clone() };
    let there = api.bytes.query_write_status(status).await.unwrap().into_inner();
    assert_eq!((there.committed_size, there.complete), (1 << 20, false));
    let wrong = api.write(&name, half.len() as u64, &[&frame], true).await.unwrap_err();
    assert_eq!(wrong.code(), Code::FailedPrecondition, "{wrong}");
    let rest = compressed(&bytes[1 << 20..]).unwrap();
    let (front, back) = rest.split_at(rest.len() / 3);
    let committed = api.write(&name, 1 << 20, &[front, back], true).await.unwrap();
    assert_eq!(committed, (1 << 20) + rest.len() as i64);
    assert_eq!(api.write(&name, 0, &[&frame], true).await.unwrap(), -1, "it is there");

    let name = format!("compressed-blobs/zstd/blake3/{digest}");
    for offset in [0, 1, 2 << 20, 3 << 20] {
        let read = api.read(&name, offset as i64, 0).await.unwrap();
        assert!(read.len() < bytes.len() / 10);
        assert_eq!(decompressed(&read, bytes.len() - offset).unwrap(), bytes[offset..]);
    }
    assert_eq!(api.read(&name, 0, 1).await.unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(api.read(&name, (3 << 20) + 1, 0).await.unwrap_err().code(), Code::OutOfRange);
}

#[tokio::test]
async fn what_becomes_more_than_it_says_is_refused_and_forgotten() {
    let mut api = Api::start().await;
    let (digest, _) = blob(1000);
    let name = format!("uploads/two/compressed-blobs/zstd/blake3/{digest}");
    let bomb = compressed(&vec![0; 64 << 20]).unwrap();
    for sent in [&*bomb, b"no frame at all", &compressed(&vec![1; 1000]).unwrap()] {
        let refused = api.write(&name, 0, &[sent], true).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        let status = QueryWriteStatusRequest { resource_name: name.clone() };
        assert_eq!(api.bytes.query_write_status(status).await.unwrap_err().code(), Code::NotFound);
    }
    assert_eq!(api.store.find_missing(&[digest]).await.unwrap(), [digest]);
}

/// REAPI: `ContentAddressableStorage.GetTree`.
#[tokio::test]
async fn a_tree_comes_in_pages_each_directory_once() {
    let mut api = Api::start().await;
    let put = async |directory: Directory, store: &MemoryStore| {
        let bytes = Bytes::from(directory.encode());
        let digest = DigestFunction::Blake3.digest(&bytes);
        store.put(&digest, bytes.clone().into()).await.unwrap();
        (digest, bytes)
    };
    let child = |name: &str, digest| DirectoryNode { name: NodeName::new(name).unwrap(), digest };
    let (missing, _) = blob(77);
    let (empty, _) = put(Directory::default(), &api.store).await;
    let (leaf, _) = put(Directory::new(vec![], vec![child("x", empty)], vec![]).unwrap(), &api.store).await;
    let (lacking, _) =
        put(Directory::new(vec![], vec![child("gone", missing)], vec![]).unwrap(), &api.store).await;
    let children = vec![child("a", leaf), child("b", leaf), child("c", lacking)];
    let (root, encoded) = put(Directory::new(vec![], children, vec![]).unwrap(), &api.store).await;
    let pages = api.tree(&root, 0, "").await.unwrap();
    assert_eq!(pages.len(), 1);
    assert_eq!(pages[0].len(), 4, "what is missing is left out: {pages:?}");
    assert_eq!(pages[0][0], encoded, "parents come first");
    let pages = api.tree(&root, 1, "").await.unwrap();
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [1; 4]);
    assert_eq!(api.tree(&root, 2, "3").await.unwrap().concat(), pages[3..].concat());
    assert_eq!(api.tree(&missing, 0, "").await.unwrap_err().code(), Code::NotFound);
    for (size, token) in [(-1, ""), (0, "x")] {
        assert_eq!(api.tree(&root, size, token).await.unwrap_err().code(), Code::InvalidArgument);
    }
    let (file, bytes) = blob(99);
    api.store.put(&file, bytes.into()).await.unwrap();
    assert_eq!(api.tree(&file, 0, "").await.unwrap_err().code(), Code::FailedPrecondition);
}
