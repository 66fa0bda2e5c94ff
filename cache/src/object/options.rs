//! How to reach a place for objects.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// How to reach a place for objects, and how patient to be with it.
#[derive(Debug, Clone)]
pub struct ObjectOptions {
    /// The variables `AWS_*` as the AWS tools know them: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
    /// `AWS_SESSION_TOKEN`, `AWS_REGION`, `AWS_ENDPOINT_URL` and so on. For Google's buckets
    /// `GOOGLE_APPLICATION_CREDENTIALS` and its like, for Azure's containers `AZURE_STORAGE_ACCOUNT_NAME`,
    /// `AZURE_STORAGE_ACCOUNT_KEY` and so on. Others are ignored.
    pub variables: BTreeMap<String, String>,
    /// A directory for large blobs that are put together from their pieces.
    pub spool: PathBuf,
    /// How long one request may take, and how long an operation waits for the next answer. A request for data
    /// carries at most [`crate::objects::MOST_DATA`] bytes, so the default needs 0.3 MiB a second.
    pub deadline: Duration,
    /// How often a request that failed for a passing reason is sent again, within the budget of the whole place.
    pub retries: u32,
    /// Nothing is written, replaced or removed.
    pub read_only: bool,
    /// Small blobs of a directory are written into a log first, many at once: for whoever stores many for others. Who reads the
    /// directory finds them there either way.
    pub write_ahead: bool,
}

impl ObjectOptions {
    /// The usual: no variables, half a minute, three retries.
    pub fn new(spool: impl Into<PathBuf>) -> Self {
        Self {
            variables: BTreeMap::new(),
            spool: spool.into(),
            deadline: Duration::from_secs(30),
            retries: 3,
            read_only: false,
            write_ahead: false,
        }
    }
}
