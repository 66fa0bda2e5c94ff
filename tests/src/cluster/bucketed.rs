//! Clusters whose store is a bucket.

use std::path::Path;

use super::Cluster;
use crate::bucket::{self, Bucket};

impl Cluster {
    /// Keeps blobs and results in a bucket, below a prefix.
    #[must_use]
    pub fn storing_in(self, bucket: &Bucket, prefix: &str) -> Self {
        let this = self.storing(Path::new(&format!("s3://{}/{prefix}", bucket::NAME)));
        bucket.variables().into_iter().fold(this, |this, (name, value)| this.with_variable(name, &value))
    }
}
