//! Somebody looks into a step. Its container has a first process that does nothing, so that it is there for as long as they
//! stay; the step's program, and theirs, are started in it.

mod terminal;

use std::time::{Instant, SystemTime};

use tokio_util::sync::CancellationToken;

use self::terminal::Terminal;
use super::container::Container;
use super::exec::{Exec, Seating};
use super::follow::{Bounds, Ended, FOLLOWING, until_ended};
use super::said::Listening;
use super::spec::command;
use crate::stopping::Stopping;
use crate::{ExecuteError, Exit, Launch, LogSink, Usage, Visit};
use tokio::io::AsyncWriteExt as _;

/// Runs what is to be run in a container that does nothing by itself: the step's program, unless the visit takes its place,
/// and the visit, if there is to be one.
pub(super) async fn receive(
    container: &Container,
    launch: &Launch,
    visit: &Visit,
    bounds: Bounds,
    log: Box<dyn LogSink>,
    cancel: &CancellationToken,
) -> Result<Ended, ExecuteError> {
    let started_at = SystemTime::now();
    container.start().await?;
    let clock = Instant::now();
    let exit = if visit.after_failure {
        let exit = program(container, launch, bounds, log, cancel).await?;
        if matches!(exit, Exit::Code(1..) | Exit::Signal(_)) {
            // How the step ended is known; how the visit ends changes nothing.
            if let Err(error) = sit_down(container, launch, visit, cancel).await {
                tracing::warn!(%error, "nobody could look into the step");
            }
        }
        exit
    } else {
        sit_down(container, launch, visit, cancel).await?
    };
    container.kill("SIGKILL").await;
    let (duration, usage) = (clock.elapsed(), Usage::default());
    Ok(Ended { exit, started_at, duration, usage, out_of_memory: 0 })
}

/// The step's own program, to its end or until it is stopped, and all in the container with it.
async fn program(
    container: &Container,
    launch: &Launch,
    bounds: Bounds,
    log: Box<dyn LogSink>,
    cancel: &CancellationToken,
) -> Result<Exit, ExecuteError> {
    let arguments = command(&launch.secrets, &launch.arguments);
    let running = container.engine.exec(&container.id, &arguments, Seating::Nowhere).await?;
    let Exec { program, output, mut input } = running;
    // As everywhere, there is nothing to read.
    let _ = input.shutdown().await;
    let mut listening = Listening::start(output, log);
    let mut stopping = Stopping::new(Instant::now(), bounds.timeout, bounds.grace);
    until_ended(container, &mut stopping, cancel, "end the step", listening.ended()).await?;
    if let Some(verdict) = stopping.verdict() {
        return Ok(verdict);
    }
    let code = program.exit_code().await?;
    let name = launch.arguments.first().map_or("", String::as_str);
    let exit = listening.finish(name, Exit::Code(code)).await;
    exit.map_err(|said| container.engine.broke_off(FOLLOWING, said).into())
}

/// The visitor's program at a terminal, to its end.
async fn sit_down(
    container: &Container,
    launch: &Launch,
    visit: &Visit,
    cancel: &CancellationToken,
) -> Result<Exit, ExecuteError> {
    let (terminal, master) =
        Terminal::open().map_err(|source| crate::sandbox::runner::setup("open a terminal", source))?;
    visit.host.attach(master);
    let arguments = command(&launch.secrets, &visit.arguments);
    let env: Vec<String> = visit.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let running = container.engine.exec(&container.id, &arguments, Seating::AtTerminal(env)).await?;
    let program = running.program.clone();
    tokio::select! {
        () = cancel.cancelled() => return Ok(Exit::Cancelled),
        () = terminal.serve(running) => {}
    }
    // One that is still there was left by its visitor.
    Ok(program.exit_code().await.map_or(Exit::Signal(libc::SIGHUP), Exit::Code))
}
