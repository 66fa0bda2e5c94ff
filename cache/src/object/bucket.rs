//! The client of a bucket.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};

use super::ObjectOptions;
use super::answers::Connector;
use crate::StoreError;

/// A client that asks once: the place asks again, within a budget for all of its requests, which the library has not.
pub(super) fn open(
    bucket: &str,
    name: &str,
    options: &ObjectOptions,
) -> Result<Arc<dyn ObjectStore>, StoreError> {
    // TLS needs a provider of cryptography; an error only says that the process has one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = ClientOptions::new()
        .with_timeout(options.deadline)
        .with_connect_timeout(options.deadline.min(Duration::from_secs(5)))
        .with_allow_http(
            options.variables.get("AWS_ENDPOINT_URL").is_some_and(|url| url.starts_with("http://")),
        );
    let once =
        RetryConfig { backoff: BackoffConfig::default(), max_retries: 0, retry_timeout: options.deadline };
    let mut builder =
        AmazonS3Builder::new().with_client_options(client).with_retry(once).with_http_connector(Connector);
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
