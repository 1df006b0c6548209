//! The accept loop.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::sleep,
};

use super::{connection::Connections, front::Front, lifecycle::Lifecycle};

/// After a failed accept (no file descriptors left) a moment passes, so that the
/// loop does not spin until a connection has closed.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(50);

/// Accepts connections until the lifecycle closes, each in a task of its own.
pub async fn serve(listener: TcpListener, front: Arc<Front>, lifecycle: Lifecycle) {
    let slots = Arc::new(Semaphore::new(front.limits().max_connections));
    let connections = Connections::new(front, lifecycle.clone());
    let accept_all = async {
        loop {
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
                return;
            };
            match accept(&listener).await {
                Ok(stream) => {
                    let connection = connections.clone().run(stream);
                    lifecycle.connections().spawn(async move {
                        connection.await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "no connection could be accepted"
                    );
                    sleep(PAUSE_AFTER_ERROR).await;
                }
            }
        }
    };
    tokio::select! {
        () = accept_all => {}
        () = lifecycle.closing().cancelled() => {}
    }
}

async fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    let (stream, _) = listener.accept().await?;
    // Answers are small and must not wait for more.
    stream.set_nodelay(true)?;
    Ok(stream)
}
