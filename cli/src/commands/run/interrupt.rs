//! Ctrl-C: once cancels, twice kills.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::error::ExitStatus;

/// Listens for SIGINT and SIGTERM until the runtime ends. The first cancels the run, the second ends the
/// process at once: the launcher of the steps sees that and kills whatever is left.
pub(super) fn listen(cancel: CancellationToken) {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return;
    };
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if cancel.is_cancelled() {
                crate::ui::abandon();
                std::process::exit(i32::from(ExitStatus::Interrupted.code()));
            }
            cancel.cancel();
        }
    });
}
