//! What unit tests share.

use cullet_core::spec::StepSpec;
use cullet_digest::DigestFunction;

/// A step that needs nothing.
pub(crate) fn lone_step() -> StepSpec {
    StepSpec {
        name: "s".into(),
        command: DigestFunction::Blake3.digest(b""),
        inputs: Box::default(),
        after: Box::default(),
        outputs: 0,
        requires: 0,
        cpu_millis: 1,
        memory_bytes: 0,
        timeout_ms: 1,
        limits: 0,
        retry_failure: 0,
        retry_infra: 0,
        effects: false,
        allow_failure: false,
        bypass_cache: false,
        skip: None,
    }
}
