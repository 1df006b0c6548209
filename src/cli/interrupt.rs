//! SIGTERM and SIGINT: the first one drains, the second one stops at once.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

use crate::server::Shutdown;

/// Listens for signals from now on.
pub(super) fn shutdown_on_signals() -> io::Result<Shutdown> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let shutdown = Shutdown::default();
    let wishes = shutdown.clone();
    tokio::spawn(async move {
        for wish in [wishes.graceful, wishes.immediate] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            wish.cancel();
        }
    });
    Ok(shutdown)
}
