//! What can be wrong with a submission.

use cullet_cache::v1::TreeError;
use cullet_cache::{Scope, ScopeError};
use cullet_digest::ParseDigestError;
use cullet_pipeline::plan::{Platform, PlatformError};

use crate::images::ImagesError;

/// Why something submitted cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum BadRequest {
    /// A field is larger than it may be.
    #[error("{field} has {len} bytes, more than the {limit} that it may have")]
    TooLong {
        /// Which.
        field: &'static str,
        /// How large it is.
        len: usize,
        /// How large it may be.
        limit: usize,
    },
    /// A priority beyond what there is.
    #[error("the priority {0} is not between -100 and 100")]
    Priority(i32),
    /// A pipeline that is no text.
    #[error("the pipeline is not UTF-8")]
    Utf8,
    /// A source without a usable digest.
    #[error("source '{name}' has no usable digest: {source}")]
    Source {
        /// Which.
        name: String,
        /// What is wrong.
        source: ParseDigestError,
    },
    /// An input of a step that is to be executed again.
    #[error("an input of a step that is audited is no tree: {0}")]
    Audit(#[from] TreeError),
    /// A source that the pipeline uses was not sent.
    #[error("source '{0}' of the pipeline was not submitted")]
    NoSource(String),
    /// A part of a source that is not there.
    #[error("source '{name}' has no '{subpath}'")]
    NoSubpath {
        /// Which source.
        name: String,
        /// Which part.
        subpath: String,
    },
    /// An image of the pipeline without a usable digest.
    #[error(transparent)]
    Images(#[from] ImagesError),
    /// The platform of the images is none.
    #[error("the platform of the images cannot be used: {0}")]
    Platform(#[from] PlatformError),
    /// The images are not those that the pipeline wants.
    #[error(
        "the pipeline is for {pipeline}, and the digests of its images are for {images}: submit those for {pipeline}"
    )]
    OtherPlatform {
        /// What it says.
        pipeline: Platform,
        /// What the submitter says.
        images: Platform,
    },
    /// It is to belong to nothing that there is.
    #[error(transparent)]
    Scope(#[from] ScopeError),
    /// A scope for those that run without the cluster.
    #[error("'{0}' is for runs that were made without the cluster")]
    Quarantined(Scope),
    /// The pipeline is wrong; all its problems, for people.
    #[error("{0}")]
    Pipeline(String),
    /// Nobody could read, write or list it.
    #[error("the tenant's name has control characters: give it one without, such as 'team-a'")]
    Tenant,
    /// What was stored is not what it should be.
    #[error("it is not a submission")]
    Decode(#[from] prost::DecodeError),
}
