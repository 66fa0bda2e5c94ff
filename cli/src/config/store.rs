//! Where blobs are that machines share.

use std::collections::BTreeMap;

use super::Env;

/// What the environment says of the shared store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreSettings {
    /// `CULLET_STORE`: a directory, a bucket or a registry.
    pub location: Option<String>,
    /// How to reach a bucket: the variables of [`AWS`], [`GOOGLE`] and [`AZURE`] that are set.
    pub variables: BTreeMap<String, String>,
}

/// The variables that reach a bucket, as the AWS tools know them. Not all that begin so: some of those mean other
/// programs.
const AWS: [&str; 18] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_ALLOW_HTTP",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_STS",
    "AWS_METADATA_ENDPOINT",
    "AWS_REGION",
    "AWS_REQUEST_PAYER",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_VIRTUAL_HOSTED_STYLE_REQUEST",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
];

/// Those for Google's buckets.
const GOOGLE: [&str; 7] = [
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_BASE_URL",
    "GOOGLE_BEARER_TOKEN",
    "GOOGLE_SERVICE_ACCOUNT",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
    "GOOGLE_SERVICE_ACCOUNT_PATH",
    "GOOGLE_SKIP_SIGNATURE",
];

/// Those for Azure's containers.
const AZURE: [&str; 16] = [
    "AZURE_ALLOW_HTTP",
    "AZURE_AUTHORITY_HOST",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_MSI_ENDPOINT",
    "AZURE_MSI_RESOURCE_ID",
    "AZURE_OBJECT_ID",
    "AZURE_SKIP_SIGNATURE",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCOUNT_NAME",
    "AZURE_STORAGE_ENDPOINT",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_TOKEN",
    "AZURE_TENANT_ID",
    "AZURE_USE_AZURE_CLI",
];

impl StoreSettings {
    pub(super) fn of(env: &Env<'_>) -> Self {
        let names = AWS.iter().chain(&GOOGLE).chain(&AZURE);
        let set = names.filter_map(|name| Some(((*name).to_owned(), env.text(name)?)));
        Self { location: env.text("CULLET_STORE"), variables: set.collect() }
    }
}
