//! Where blobs are that machines share.

use std::collections::BTreeMap;

use super::Env;

/// What the environment says of the shared store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreSettings {
    /// `CULLET_STORE`: a directory or `s3://BUCKET/PREFIX`.
    pub location: Option<String>,
    /// How to reach a bucket: the variables of [`AWS`] that are set.
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

impl StoreSettings {
    pub(super) fn of(env: &Env<'_>) -> Self {
        let set = AWS.iter().filter_map(|name| Some(((*name).to_owned(), env.text(name)?)));
        Self { location: env.text("CULLET_STORE"), variables: set.collect() }
    }
}
