//! `cullet dev-cluster`: a cluster of processes on this machine.

mod bound;
mod child;
mod home;
mod members;
mod ports;
mod ready;

use std::io::Write;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

pub(crate) use bound::{BOUND, bind};

use crate::args::DevClusterArgs;
use crate::config::Config;
use crate::diagnostics;
use crate::error::{CliError, ExitStatus};
use crate::runtime;
use child::Child;
use home::Home;
use members::Plan;

/// Between two looks at the processes.
const LOOK: Duration = Duration::from_millis(200);

/// How long a process may take to end that was told to; workers stop what runs after half of it.
const ENDING: Duration = Duration::from_secs(10);

/// Runs a cluster until a signal ends it.
pub(super) fn dev_cluster(
    args: &DevClusterArgs,
    config: &Config,
    out: &mut dyn Write,
) -> Result<ExitStatus, CliError> {
    // One thread: the processes are bound to the one that starts them, which has to be there until the end.
    let runtime = runtime::of_one_thread()?;
    let home = Home::make(args.dir.as_deref())?;
    let plan = Plan::new(args, config, home.dir(), home.ports().as_deref())?;
    let ended = runtime.block_on(run(&plan, &home, out));
    home.close();
    ended
}

async fn run(plan: &Plan, home: &Home, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    let mut told = signals().map_err(|error| CliError::infra("cannot listen for signals").because(error))?;
    let mut children = Vec::new();
    let lived = tokio::select! {
        lived = live(plan, home, &mut children, out) => lived.map(|never| match never {}),
        _ = told.recv() => Ok(ExitStatus::Success),
    };
    end(&mut children, &mut told).await;
    lived
}

/// Starts everything, says so, and watches it for ever.
async fn live(
    plan: &Plan,
    home: &Home,
    children: &mut Vec<Child>,
    out: &mut dyn Write,
) -> Result<std::convert::Infallible, CliError> {
    for member in plan.members() {
        children.push(Child::start(member, home)?);
    }
    ready::wait(plan, children).await?;
    write!(out, "{}", plan.describe(home)).and_then(|()| out.flush()).map_err(CliError::output)?;
    loop {
        tokio::time::sleep(LOOK).await;
        for child in children.iter_mut() {
            if let Some(how) = child.ended() {
                diagnostics::report(&format!("{how}\nThe rest of the cluster goes on.\n"));
            }
        }
    }
}

/// Workers first, so that coordinators still hear from them; a second signal kills what is left.
async fn end(children: &mut [Child], told: &mut mpsc::Receiver<()>) {
    let ending = async {
        for are_workers in [true, false] {
            for child in children.iter().filter(|child| child.is_worker() == are_workers) {
                child.terminate();
            }
            let deadline = tokio::time::Instant::now() + ENDING;
            let mut left =
                || children.iter_mut().any(|child| child.is_worker() == are_workers && child.lives());
            while left() && tokio::time::Instant::now() < deadline {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    };
    tokio::select! {
        () = ending => {}
        _ = told.recv() => {}
    }
    for child in children {
        child.kill();
    }
}

/// One message for each signal that says to end.
fn signals() -> std::io::Result<mpsc::Receiver<()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    // Two are acted on; more change nothing.
    let (sender, told) = mpsc::channel(2);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
            let _ = sender.try_send(());
        }
    });
    Ok(told)
}
