//! Services for steps.

use std::sync::Arc;
use std::time::Duration;

use cullet_cache::services::{Check, Ready};
use cullet_worker::ServiceLaunch;

use super::image::Image;

/// A script in an image.
pub(crate) fn service(name: &str, image: &Image, script: &str) -> ServiceLaunch {
    ServiceLaunch {
        name: name.to_owned(),
        arguments: ["sh", "-c", script].map(str::to_owned).into(),
        env: Vec::new(),
        working_directory: "/".to_owned(),
        image: image.root.clone(),
        ready: None,
        secrets: Vec::new(),
        masker: Arc::default(),
    }
}

/// With a check of ten seconds.
pub(crate) fn ready(service: ServiceLaunch, check: Check) -> ServiceLaunch {
    within(Duration::from_secs(10), service, check)
}

/// With a check that has to succeed within this time.
pub(crate) fn within(timeout: Duration, service: ServiceLaunch, check: Check) -> ServiceLaunch {
    let timeout_ms = u64::try_from(timeout.as_millis()).unwrap();
    ServiceLaunch { ready: Some(Ready { check, timeout_ms, interval_ms: 20 }), ..service }
}

/// A check that is a script.
pub(crate) fn exec(script: &str) -> Check {
    Check::Exec { command: ["sh", "-c", script].map(str::to_owned).into() }
}

/// Answers every connection with what the script prints.
pub(crate) fn serving(port: u16, script: &str) -> String {
    format!(
        "printf '#!/bin/sh\\n%s\\n' '{script}' > /tmp/answer; chmod +x /tmp/answer; exec busybox nc -ll -p {port} -e /tmp/answer"
    )
}
