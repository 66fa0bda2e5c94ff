//! Submissions.

use std::collections::BTreeMap;

use cullet_proto::v1;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::error::ApiError;

/// A pipeline and how to run it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Submission {
    /// The pipeline's text: YAML, or JSON as a text.
    pipeline: String,
    /// What its file is called in messages; `cullet.yaml` by default.
    #[serde(default)]
    file: String,
    /// Chosen by the submitter, at most 128 bytes: the same again gives the same run. Drawn where there is none.
    #[serde(default)]
    request_id: String,
    /// Who pays for it; `default` by default.
    #[serde(default)]
    tenant: String,
    /// From -100 to 100. Higher ones go first within a tenant.
    #[serde(default)]
    priority: i32,
    /// Values of the pipeline's parameters.
    #[serde(default)]
    params: BTreeMap<String, String>,
    /// Steps to run with what they need; all where there are none.
    #[serde(default)]
    targets: Vec<String>,
    /// The root directory of each source of the pipeline, as `hash/size`. It has to be in the store already.
    #[serde(default)]
    sources: BTreeMap<String, String>,
    /// Steps that do not depend on a failed one still start.
    #[serde(default)]
    keep_going: bool,
    /// Nothing is looked up in the action cache; results are written all the same.
    #[serde(default)]
    no_cache: bool,
    /// The W3C trace context of the submitter; by default that of the header of the same name.
    #[serde(default)]
    traceparent: String,
    /// The fingerprint of the submitter's own machine, for pipelines with the image `host`.
    #[serde(default)]
    host_image: String,
    /// The digest of the manifest of each image that the steps have, by its reference as written: `sha256:` and 64
    /// lower-case hexadecimal digits.
    #[serde(default)]
    images: BTreeMap<String, String>,
    /// The platform that these digests are for, as `linux/arm64`: all steps run on workers of it. By default what the
    /// pipeline says, or any.
    #[serde(default)]
    platform: String,
    /// Whose results the run reads and writes: `protected`, `branch/NAME` or `user/NAME`. By default what the cluster says.
    #[serde(default)]
    scope: String,
}

/// Which run it is.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct Submitted {
    /// 32 hexadecimal digits.
    pub(in crate::http) run: String,
    /// Whether this `request_id` had been submitted before.
    pub(in crate::http) existed: bool,
}

impl Submission {
    /// As the service takes it, which checks the rest.
    pub(in crate::http) fn into_wire(self) -> Result<v1::SubmitRequest, ApiError> {
        let sources = self.sources.into_iter().map(|(name, text)| match parse(&text) {
            Some(digest) => Ok((name, digest)),
            None => Err(ApiError::bad(format!("source '{name}': '{text}' is no digest: expected hash/size"))),
        });
        Ok(v1::SubmitRequest {
            request_id: self.request_id,
            tenant: self.tenant,
            priority: self.priority,
            pipeline: self.pipeline.into_bytes().into(),
            file: self.file,
            params: self.params.into_iter().collect(),
            targets: self.targets,
            sources: sources.collect::<Result<_, _>>()?,
            keep_going: self.keep_going,
            no_cache: self.no_cache,
            traceparent: self.traceparent,
            host_image: self.host_image,
            images: self.images.into_iter().collect(),
            platform: self.platform,
            scope: self.scope,
        })
    }
}

fn parse(text: &str) -> Option<v1::Digest> {
    let (hash, size) = text.split_once('/')?;
    Some(v1::Digest { hash: hash.to_owned(), size_bytes: size.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_refused_and_named() {
        let refused = serde_json::from_str::<Submission>(r#"{"pipeline": "", "targest": []}"#).unwrap_err();
        assert!(refused.to_string().starts_with("unknown field `targest`, expected one of"), "{refused}");
        let refused = serde_json::from_str::<Submission>("{}").unwrap_err();
        assert!(refused.to_string().contains("missing field `pipeline`"), "{refused}");
    }

    #[test]
    fn everything_that_is_said_arrives() {
        let text = r#"{"pipeline": "p", "file": "f", "request_id": "i", "tenant": "t", "priority": -3,
            "params": {"a": "b"}, "targets": ["x"], "sources": {"src": "00ff/7"}, "keep_going": true,
            "no_cache": true, "traceparent": "tp", "host_image": "h", "images": {"a/b": "c"},
            "platform": "linux/arm64", "scope": "branch/x"}"#;
        let wire = serde_json::from_str::<Submission>(text).unwrap().into_wire().unwrap();
        let digest = v1::Digest { hash: "00ff".to_owned(), size_bytes: 7 };
        let expected = v1::SubmitRequest {
            request_id: "i".to_owned(),
            tenant: "t".to_owned(),
            priority: -3,
            pipeline: b"p".to_vec().into(),
            file: "f".to_owned(),
            params: [("a".to_owned(), "b".to_owned())].into(),
            targets: vec!["x".to_owned()],
            sources: [("src".to_owned(), digest)].into(),
            keep_going: true,
            no_cache: true,
            traceparent: "tp".to_owned(),
            host_image: "h".to_owned(),
            images: [("a/b".to_owned(), "c".to_owned())].into(),
            platform: "linux/arm64".to_owned(),
            scope: "branch/x".to_owned(),
        };
        assert_eq!(wire, expected);
        let wrong = r#"{"pipeline": "p", "sources": {"src": "00ff"}}"#;
        assert!(serde_json::from_str::<Submission>(wrong).unwrap().into_wire().is_err());
    }
}
