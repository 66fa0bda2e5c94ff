//! What is asked and answered as JSON. Field names are an interface.

mod keys;
mod run;
mod status;
mod submission;

pub(super) use keys::StepKeys;
pub(super) use run::{Cancelled, ListQuery, RunDetail, RunPage};
pub(super) use status::ClusterStatus;
pub(super) use submission::{Submission, Submitted};

use cullet_proto::v1;

/// As in events: `hash/size`.
fn digest(digest: &v1::Digest) -> String {
    format!("{}/{}", digest.hash, digest.size_bytes)
}

/// Where the wire has no text there is none.
fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// Where the wire has the time 0 there is none.
fn time(ms: u64) -> Option<String> {
    (ms != 0).then(|| crate::event::rfc3339(ms))
}
