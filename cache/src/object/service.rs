//! Who keeps a bucket, and what is different about each.

use std::collections::BTreeMap;

/// A service that keeps buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Amazon S3, and what speaks as it does.
    S3,
    /// Google Cloud Storage.
    Google,
    /// Azure Blob Storage, whose buckets are containers of one account.
    Azure,
}

impl Service {
    const ALL: [Self; 3] = [Self::S3, Self::Google, Self::Azure];

    /// What its URLs begin with.
    #[must_use]
    pub fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Google => "gs",
            Self::Azure => "az",
        }
    }

    /// The service of such URLs.
    pub(super) fn of_scheme(scheme: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.scheme() == scheme)
    }

    /// What the variables that reach it begin with.
    pub(super) fn variables(self) -> &'static str {
        match self {
            Self::S3 => "AWS_",
            Self::Google => "GOOGLE_",
            Self::Azure => "AZURE_",
        }
    }

    /// What gives it credentials, for somebody who wrote them elsewhere.
    pub(super) fn credentials(self) -> &'static str {
        match self {
            Self::S3 => "AWS_ACCESS_KEY_ID",
            Self::Google => "GOOGLE_APPLICATION_CREDENTIALS",
            Self::Azure => "AZURE_STORAGE_ACCOUNT_KEY",
        }
    }

    /// Whether the variables name an endpoint without TLS, which is then meant.
    pub(super) fn is_plain(self, variables: &BTreeMap<String, String>) -> bool {
        let endpoints: &[&str] = match self {
            Self::S3 => &["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"],
            Self::Google => &["GOOGLE_BASE_URL"],
            Self::Azure => &["AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"],
        };
        endpoints.iter().any(|name| variables.get(*name).is_some_and(|url| url.starts_with("http://")))
    }
}
