//! How a worker is told to end.

use std::sync::Arc;

use cullet_worker::remote::Daemon;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::error::ExitStatus;

/// Listens for SIGTERM and SIGINT until the runtime ends. The first lets what runs finish, the second stops it, the third
/// ends the process: the launcher of the steps sees that and kills whatever is left.
pub(super) fn listen(drain: CancellationToken, daemon: Arc<Daemon>) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        for told in 1_u32.. {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            match told {
                1 => drain.cancel(),
                2 => daemon.stop(),
                _ => std::process::exit(i32::from(ExitStatus::Interrupted.code())),
            }
        }
    });
    Ok(())
}
