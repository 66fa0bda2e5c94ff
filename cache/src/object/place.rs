//! An opened place: requests with a deadline, and the names of objects.

use std::future::Future;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use cullet_digest::Digest;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::files::Files;
use super::{Location, ObjectOptions};
use crate::receive::Patience;
use crate::spool::Spool;
use crate::{RecordName, StoreError};

/// Bytes in one request of a large blob: 8 MiB. A bucket wants at least 5 in every part but the last.
pub(super) const PART: u64 = 8 << 20;

/// Requests in flight to one place. A bucket serves hundreds at once; more only wait in our memory.
const IN_FLIGHT: usize = 64;

/// A place for objects, opened; shared by blobs and results.
#[derive(Debug)]
pub(crate) struct Place {
    pub(super) objects: Arc<dyn ObjectStore>,
    /// The same place as files, where it is a directory.
    pub(super) files: Option<Files>,
    pub(super) patience: Patience,
    name: String,
    prefix: String,
    /// For one operation with all its retries.
    whole: Duration,
    permits: Semaphore,
}

impl Place {
    /// Opens a place; makes the directory if it is one. A bucket is not asked before it is used.
    pub(crate) fn open(location: &Location, options: &ObjectOptions) -> Result<Arc<Self>, StoreError> {
        let whole = options.deadline.saturating_mul(options.retries.saturating_add(1));
        // Each part is a request that is retried by itself, within `whole`.
        let spool = Arc::new(Spool::open(&options.spool)?);
        let patience = Patience { deadline: whole, retries: 0, spool };
        let (objects, files, name, prefix): (Arc<dyn ObjectStore>, _, _, _) = match location {
            Location::Directory(dir) => {
                let (system, name) = (directory(dir)?, dir.display().to_string());
                let files = Files::new(dir.clone(), name.clone(), whole);
                (Arc::new(system), Some(files), name, String::new())
            }
            Location::S3 { bucket, prefix } => {
                let name = format!("s3://{bucket}/{prefix}").trim_end_matches('/').to_owned();
                let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
                (s3(bucket, &name, options)?, None, name, prefix)
            }
        };
        let permits = Semaphore::new(IN_FLIGHT);
        Ok(Arc::new(Self { objects, files, patience, name, prefix, whole, permits }))
    }

    /// What to call it in messages.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn blob(&self, digest: &Digest) -> Path {
        self.object("cas", digest)
    }

    pub(super) fn result(&self, action: &Digest) -> Path {
        self.object("ac", action)
    }

    /// The object of a record.
    pub(super) fn record(&self, name: &RecordName) -> Path {
        match name.scope {
            None => self.object(name.area.name(), &name.about),
            Some(scope) => {
                let scope = u64::from_be_bytes(scope);
                self.object(&format!("{}@{scope:016x}", name.area.name()), &name.about)
            }
        }
    }

    /// The object of data.
    pub(super) fn data(&self, digest: &Digest) -> Path {
        let (prefix, hash, size) = (&self.prefix, digest.hash_hex(), digest.size());
        Path::from(format!("{prefix}data/{}/{hash}-{size}", &hash[..2]))
    }

    fn object(&self, area: &str, digest: &Digest) -> Path {
        let hash = digest.hash_hex();
        let (prefix, function, size) = (&self.prefix, digest.function(), digest.size());
        Path::from(format!("{prefix}{area}/{function}/{}/{hash}-{size}", &hash[..2]))
    }

    /// The outcome of an operation, if it comes in time. Where the object is not there, that is none.
    pub(super) async fn request<T>(
        &self,
        action: &'static str,
        operation: impl Future<Output = object_store::Result<T>>,
    ) -> Result<Option<T>, StoreError> {
        let bounded = async {
            // Never closed, so the permit always comes.
            let _permit = self.permits.acquire().await;
            operation.await
        };
        match timeout(self.whole, bounded).await {
            Ok(Ok(outcome)) => Ok(Some(outcome)),
            Ok(Err(object_store::Error::NotFound { .. })) => Ok(None),
            Ok(Err(error)) => Err(StoreError::remote(action, &self.name, error)),
            Err(_) => Err(StoreError::deadline(&self.name, self.whole)),
        }
    }

    /// As [`Place::request`] where everything that must be there is.
    pub(super) async fn must<T>(
        &self,
        action: &'static str,
        operation: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, StoreError> {
        let gone = || StoreError::remote(action, &self.name, "it is not there");
        self.request(action, operation).await?.ok_or_else(gone)
    }
}

fn directory(dir: &FilePath) -> Result<LocalFileSystem, StoreError> {
    std::fs::create_dir_all(dir).map_err(|error| StoreError::io("make", dir, error))?;
    let opened = LocalFileSystem::new_with_prefix(dir);
    let failed = |error| StoreError::remote("open", &dir.display().to_string(), error);
    Ok(opened.map_err(failed)?.with_fsync(true))
}

fn s3(bucket: &str, name: &str, options: &ObjectOptions) -> Result<Arc<dyn ObjectStore>, StoreError> {
    // TLS needs a provider of cryptography; an error only says that the process has one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = ClientOptions::new()
        .with_timeout(options.deadline)
        .with_connect_timeout(options.deadline.min(Duration::from_secs(5)))
        .with_allow_http(
            options.variables.get("AWS_ENDPOINT_URL").is_some_and(|url| url.starts_with("http://")),
        );
    let retry = RetryConfig {
        backoff: BackoffConfig::default(),
        max_retries: options.retries as usize,
        retry_timeout: options.deadline.saturating_mul(options.retries.max(1)),
    };
    let mut builder = AmazonS3Builder::new().with_client_options(client).with_retry(retry);
    for (variable, value) in options.variables.iter().filter(|(variable, _)| variable.starts_with("AWS_")) {
        if let Ok(key) = variable.to_ascii_lowercase().parse::<AmazonS3ConfigKey>() {
            builder = builder.with_config(key, value);
        }
    }
    let unusable = |error: object_store::Error| StoreError::Location {
        location: name.to_owned(),
        reason: error.to_string(),
    };
    Ok(Arc::new(builder.with_bucket_name(bucket).build().map_err(unusable)?))
}
