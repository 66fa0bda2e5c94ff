//! Sends the sources of a run, as far as the cluster does not have them.

use std::collections::HashSet;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::Arc;

use async_trait::async_trait;
use cullet_cache::{Blob, BlobStore, GrpcStore, StoreError};
use cullet_digest::Digest;
use cullet_source::SourceTree;
use rustix::fs::OFlags;

use super::ClusterError;

/// Without `NONBLOCK`, a FIFO that took the place of a file would block us for ever.
const FLAGS: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK);

/// Sends every directory and file of these trees that the cluster lacks, many at once. A file that it has is not read.
///
/// # Errors
/// [`ClusterError::Changed`] where a file is no longer what it was when it was scanned.
pub(crate) async fn upload(store: &GrpcStore, trees: &Arc<Vec<SourceTree>>) -> Result<(), ClusterError> {
    let blobs = Scanned { trees: Arc::clone(trees) };
    let digests = digests(trees);
    let uploaded = store.upload(&blobs, &digests).await.map_err(|error| blobs.explained(error))?;
    tracing::debug!(blobs = uploaded.blobs, bytes = uploaded.bytes, of = digests.len(), "sources uploaded");
    Ok(())
}

/// Everything in the trees, each blob once.
fn digests(trees: &[SourceTree]) -> Vec<Digest> {
    let mut seen = HashSet::new();
    let all = trees.iter().flat_map(SourceTree::digests);
    all.filter(|digest| seen.insert(*digest)).collect()
}

/// The blobs of scanned trees, read when they are asked for. Whoever takes them checks them.
#[derive(Debug)]
struct Scanned {
    trees: Arc<Vec<SourceTree>>,
}

impl Scanned {
    fn read(&self, digest: &Digest) -> Result<Blob, StoreError> {
        if let Some(bytes) = self.trees.iter().find_map(|tree| tree.directory_bytes(digest)) {
            return Ok(Blob::from(bytes));
        }
        let gone = StoreError::NotFound { digest: *digest };
        let path = self.trees.iter().find_map(|tree| tree.file(digest)).ok_or_else(|| gone.clone())?;
        let opened = OpenOptions::new().read(true).custom_flags(FLAGS.bits() as i32).open(&path);
        let file = opened.map_err(|error| match error.kind() {
            std::io::ErrorKind::PermissionDenied => StoreError::io("read", &path, error),
            _ => gone.clone(),
        })?;
        let status = file.metadata().map_err(|error| StoreError::io("read", &path, error))?;
        if !status.is_file() || status.len() != digest.size() {
            return Err(gone);
        }
        Ok(Blob::File { file, path, len: digest.size() })
    }

    /// A blob that is not there or not right is a file that changed.
    fn explained(&self, error: StoreError) -> ClusterError {
        let (StoreError::NotFound { digest } | StoreError::Mismatch { expected: digest, .. }) = &error else {
            return error.into();
        };
        match self.trees.iter().find_map(|tree| tree.file(digest)) {
            Some(path) => ClusterError::Changed { path: path.display().to_string() },
            None => error.into(),
        }
    }
}

#[async_trait]
impl BlobStore for Scanned {
    async fn find_missing(&self, digests: &[Digest]) -> Result<Vec<Digest>, StoreError> {
        let here = |digest: &Digest| {
            self.trees
                .iter()
                .any(|tree| tree.file(digest).is_some() || tree.directory_bytes(digest).is_some())
        };
        Ok(digests.iter().filter(|digest| !here(digest)).copied().collect())
    }

    async fn get(&self, digest: &Digest) -> Result<Blob, StoreError> {
        self.read(digest)
    }

    /// Nothing can be stored in a source.
    async fn put(&self, _: &Digest, _: Blob) -> Result<(), StoreError> {
        let path = self.trees.first().map(|tree| tree.path().to_owned()).unwrap_or_default();
        Err(StoreError::ReadOnly { path })
    }
}

#[cfg(test)]
mod tests {
    use cullet_cache::{MemoryStore, StorageLimits, StorageServices};
    use cullet_digest::DigestFunction;
    use cullet_source::{Scanner, SourceSpec};
    use tokio::net::TcpListener;
    use tonic::transport::Server;
    use tonic::transport::server::TcpIncoming;

    use super::*;
    use crate::cluster::testing::cluster;

    fn scan(root: &std::path::Path) -> SourceTree {
        Scanner::new(DigestFunction::Blake3, None).scan(&SourceSpec::new(root)).unwrap()
    }

    #[tokio::test]
    async fn every_blob_of_all_trees_is_named_once_and_can_be_read() {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in
            [("a/x", "same"), ("a/y", "other"), ("b/x", "same"), ("c/x", "same"), ("c/y", "other")]
        {
            std::fs::create_dir_all(dir.path().join(path).parent().unwrap()).unwrap();
            std::fs::write(dir.path().join(path), text).unwrap();
        }
        let trees = vec![scan(dir.path()), scan(&dir.path().join("b"))];
        let digests = digests(&trees);
        // The root, `a` (as `c`), `b`, and two contents.
        assert_eq!(digests.len(), 5);
        let blobs = Scanned { trees: Arc::new(trees) };
        for digest in digests {
            let bytes = blobs.get(&digest).await.unwrap().into_bytes().unwrap();
            assert_eq!(DigestFunction::Blake3.digest(&bytes), digest);
        }
    }

    #[tokio::test]
    async fn what_the_cluster_has_is_not_read_again() {
        let (dir, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let large = vec![7; 6 << 20];
        for (path, bytes) in [("small", &b"s"[..]), ("large", &large), ("empty", b"")] {
            std::fs::write(dir.path().join(path), bytes).unwrap();
        }
        let held = Arc::new(MemoryStore::new(64 << 20));
        let services =
            StorageServices::read_write(held.clone(), home.path(), StorageLimits::default()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = Server::builder()
            .add_service(services.storage())
            .add_service(services.byte_stream())
            .serve_with_incoming(TcpIncoming::from(listener));
        let server = tokio::spawn(server);
        let store = cluster(&[&url]).store(home.path()).unwrap();

        let trees = Arc::new(vec![scan(dir.path())]);
        upload(&store, &trees).await.unwrap();
        assert_eq!(held.find_missing(&digests(&trees)).await.unwrap(), []);
        std::fs::remove_file(dir.path().join("large")).unwrap();
        upload(&store, &trees).await.unwrap();

        std::fs::write(dir.path().join("new"), "1").unwrap();
        let trees = Arc::new(vec![scan(dir.path())]);
        std::fs::write(dir.path().join("new"), "2").unwrap();
        let error = upload(&store, &trees).await.unwrap_err();
        assert!(matches!(&error, ClusterError::Changed { path } if path.ends_with("/new")), "{error}");
        server.abort();
    }

    #[tokio::test]
    async fn a_file_that_changed_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "old").unwrap();
        let blobs = Scanned { trees: Arc::new(vec![scan(dir.path())]) };
        let digest = DigestFunction::Blake3.digest(b"old");
        std::fs::write(&path, "longer").unwrap();
        let error = blobs.explained(blobs.get(&digest).await.unwrap_err());
        assert!(matches!(&error, ClusterError::Changed { path } if path.ends_with("/file")), "{error}");
        std::fs::remove_file(&path).unwrap();
        let error = blobs.explained(blobs.get(&digest).await.unwrap_err());
        assert!(matches!(error, ClusterError::Changed { .. }), "{error}");
    }
}
