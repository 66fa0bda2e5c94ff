//! The client of a bucket.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};

use super::answers::Connector;
use super::{ObjectOptions, Service};
use crate::StoreError;

/// A client that asks once: the place asks again, within a budget for all of its requests, which the library has not.
pub(super) fn open(
    service: Service,
    bucket: &str,
    name: &str,
    options: &ObjectOptions,
) -> Result<Arc<dyn ObjectStore>, StoreError> {
    // TLS needs a provider of cryptography; an error only says that the process has one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = ClientOptions::new()
        .with_timeout(options.deadline)
        .with_connect_timeout(options.deadline.min(Duration::from_secs(5)))
        .with_allow_http(service.is_plain(&options.variables));
    let once =
        RetryConfig { backoff: BackoffConfig::default(), max_retries: 0, retry_timeout: options.deadline };
    match service {
        Service::S3 => {
            let new = AmazonS3Builder::new().with_client_options(client).with_retry(once);
            let set = settings(service, options).fold(new, |new, (key, value)| new.with_config(key, value));
            built(name, set.with_http_connector(Connector).with_bucket_name(bucket).build())
        }
        Service::Google => {
            let new = GoogleCloudStorageBuilder::new().with_client_options(client).with_retry(once);
            let set = settings(service, options).fold(new, |new, (key, value)| new.with_config(key, value));
            built(name, set.with_http_connector(Connector).with_bucket_name(bucket).build())
        }
        Service::Azure => {
            let new = MicrosoftAzureBuilder::new().with_client_options(client).with_retry(once);
            let set = settings(service, options).fold(new, |new, (key, value)| new.with_config(key, value));
            built(name, set.with_http_connector(Connector).with_container_name(bucket).build())
        }
    }
}

/// What the variables of a service say, as far as its client knows them.
fn settings<K: FromStr>(service: Service, options: &ObjectOptions) -> impl Iterator<Item = (K, &String)> {
    let of_service = move |(variable, _): &(&String, _)| variable.starts_with(service.variables());
    let known = |(variable, value): (&String, _)| Some((variable.to_ascii_lowercase().parse().ok()?, value));
    options.variables.iter().filter(of_service).filter_map(known)
}

fn built(
    name: &str,
    client: object_store::Result<impl ObjectStore>,
) -> Result<Arc<dyn ObjectStore>, StoreError> {
    match client {
        Ok(client) => Ok(Arc::new(client)),
        Err(error) => Err(StoreError::Location { location: name.to_owned(), reason: error.to_string() }),
    }
}
