//! The bare launch of a sandbox, through the worker's interface.

use std::path::Path;
use std::time::{Duration, Instant};

use cullet_worker::sandbox::Sandbox;
use cullet_worker::{Exit, ImageRoot, Launch, LogSink, StepExecutor as _, Stream};
use tokio_util::sync::CancellationToken;

use crate::Result;

struct Discard;

impl LogSink for Discard {
    fn write(&mut self, _: Stream, bytes: &[u8]) {
        // Nothing is expected; what comes is the reason of a failure.
        eprintln!("{}", String::from_utf8_lossy(bytes));
    }
}

/// Seconds from the call to the death of the last process of a step that does nothing, in a directory that is made for it.
pub(crate) async fn launch(sandbox: &Sandbox, dir: &Path, image: Option<ImageRoot>) -> Result<f64> {
    let launch = Launch {
        arguments: vec!["/bin/true".to_owned()],
        env: Vec::new(),
        working_directory: String::new(),
        inputs: dir.join("inputs"),
        scratch: dir.join("scratch"),
        network: false,
        timeout: Duration::from_secs(60),
        limits: cullet_worker::StepLimits::default(),
        image,
        secrets: Vec::new(),
        visit: None,
        caches: Vec::new(),
        services: Vec::new(),
        keeps_root: false,
        keeps_workspace: true,
    };
    std::fs::create_dir_all(&launch.inputs)?;
    std::fs::create_dir_all(&launch.scratch)?;
    let start = Instant::now();
    let execution = sandbox.execute(launch, Box::new(Discard), CancellationToken::new()).await?;
    let took = start.elapsed().as_secs_f64();
    if execution.exit != Exit::Code(0) {
        return Err(format!("a launch ended with {:?}", execution.exit).into());
    }
    std::fs::remove_dir_all(dir)?;
    Ok(took)
}
