//! The time of a bare launch: a step that does nothing, from the call to the death of its last process.
//! `cargo run --release -p cullet-worker --example launch [COUNT]` prints the median and the 90th percentile.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it is for")]

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use cullet_worker::host::HostTools;
use cullet_worker::sandbox::{LauncherCommand, Sandbox, SandboxConfig, launcher_main};
use cullet_worker::{Exit, Launch, LogSink, StepExecutor, Stream};
use tokio_util::sync::CancellationToken;

struct Discard;

impl LogSink for Discard {
    fn write(&mut self, _: Stream, bytes: &[u8]) {
        // Nothing is expected; what comes is the reason of a failure.
        eprintln!("{}", String::from_utf8_lossy(bytes));
    }
}

fn launch(dir: &Path) -> Launch {
    Launch {
        arguments: vec!["/bin/true".to_owned()],
        env: Vec::new(),
        working_directory: String::new(),
        inputs: dir.join("inputs"),
        scratch: dir.join("scratch"),
        network: false,
        timeout: Duration::from_secs(60),
        limits: cullet_worker::StepLimits::default(),
        image: None,
    }
}

async fn measure(sandbox: &Sandbox, base: &Path, count: usize) -> Result<Vec<Duration>, Box<dyn Error>> {
    let mut times = Vec::with_capacity(count);
    for index in 0..count {
        let dir = base.join(index.to_string());
        let launch = launch(&dir);
        std::fs::create_dir_all(&launch.inputs)?;
        std::fs::create_dir_all(&launch.scratch)?;
        let start = Instant::now();
        let execution = sandbox.execute(launch, Box::new(Discard), CancellationToken::new()).await?;
        times.push(start.elapsed());
        if execution.exit != Exit::Code(0) {
            return Err(format!("{:?}", execution.exit).into());
        }
        std::fs::remove_dir_all(&dir)?;
    }
    times.sort();
    Ok(times)
}

fn main() -> Result<(), Box<dyn Error>> {
    let argument = std::env::args().nth(1);
    if argument.as_deref() == Some(LauncherCommand::ARGUMENT) {
        launcher_main();
    }
    let count: usize = argument.map_or(Ok(500), |text| text.parse())?.max(1);
    let base = std::env::temp_dir().join(format!("cullet-launch-{}", std::process::id()));
    std::fs::create_dir_all(&base)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let config = SandboxConfig::new(HostTools::default(), Vec::new());
    let sandbox = Sandbox::start(LauncherCommand::this_program(), config)?;
    let times = runtime.block_on(measure(&sandbox, &base, count))?;
    std::fs::remove_dir_all(&base)?;
    println!("{count} launches: p50 {:?}, p90 {:?}", times[count / 2], times[count * 9 / 10]);
    Ok(())
}
