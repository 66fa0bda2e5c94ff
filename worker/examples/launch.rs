//! The time of a bare launch: a step that does nothing, from the call to the death of its last process.
//! `cargo run --release -p cullet-worker --example launch [COUNT [LAYER...]]` prints percentiles. With
//! layers of an image, the lowest first, it launches in turns with and without them.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it is for")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cullet_worker::host::HostTools;
use cullet_worker::sandbox::{LauncherCommand, Sandbox, SandboxConfig, launcher_main};
use cullet_worker::{Exit, ImageRoot, Launch, LogSink, StepExecutor, Stream};
use tokio_util::sync::CancellationToken;

struct Discard;

impl LogSink for Discard {
    fn write(&mut self, _: Stream, bytes: &[u8]) {
        // Nothing is expected; what comes is the reason of a failure.
        eprintln!("{}", String::from_utf8_lossy(bytes));
    }
}

fn launch(dir: &Path, image: Option<ImageRoot>) -> Launch {
    Launch {
        arguments: vec!["/bin/true".to_owned()],
        env: Vec::new(),
        working_directory: String::new(),
        inputs: dir.join("inputs"),
        scratch: dir.join("scratch"),
        network: false,
        timeout: Duration::from_secs(60),
        limits: cullet_worker::StepLimits::default(),
        image,
        keeps_root: false,
        keeps_workspace: true,
        visit: None,
        secrets: Vec::new(),
        caches: Vec::new(),
        services: Vec::new(),
    }
}

/// Of each of two ways, sorted.
type Times = [Vec<Duration>; 2];

async fn measure(
    sandbox: &Sandbox,
    base: &Path,
    count: usize,
    layers: &[PathBuf],
) -> Result<Times, Box<dyn Error>> {
    let mut times = Times::default();
    for index in 0..count {
        let owned = sandbox.takes_owned_layers();
        let image = || ImageRoot { layers: layers.to_vec(), owned, ..ImageRoot::default() };
        for (way, image) in [None, (!layers.is_empty()).then(image)].into_iter().enumerate() {
            if way > 0 && image.is_none() {
                continue;
            }
            let dir = base.join(index.to_string());
            let launch = launch(&dir, image);
            std::fs::create_dir_all(&launch.inputs)?;
            std::fs::create_dir_all(&launch.scratch)?;
            let start = Instant::now();
            let execution = sandbox.execute(launch, Box::new(Discard), CancellationToken::new()).await?;
            times[way].push(start.elapsed());
            if execution.exit != Exit::Code(0) {
                return Err(format!("{:?}", execution.exit).into());
            }
            std::fs::remove_dir_all(&dir)?;
        }
    }
    times.iter_mut().for_each(|times| times.sort());
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
    let layers: Vec<PathBuf> = std::env::args_os().skip(2).map(PathBuf::from).collect();
    let ways = runtime.block_on(measure(&sandbox, &base, count, &layers))?;
    std::fs::remove_dir_all(&base)?;
    for (way, times) in ["launches", "launches in the image"].into_iter().zip(ways) {
        if !times.is_empty() {
            println!(
                "{count} {way}: p10 {:?}, p50 {:?}, p90 {:?}",
                times[count / 10],
                times[count / 2],
                times[count * 9 / 10]
            );
        }
    }
    Ok(())
}
