//! A Graph that answers 204.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{Router, http::StatusCode, routing};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, time::sleep};
use tonic::{
    service::Routes,
    transport::{self, Server, ServerTlsConfig, server::TcpIncoming},
};

/// By HTTP/1.1 and HTTP/2 without TLS, after so long; never without a delay.
pub(crate) async fn serve(
    listener: TcpListener,
    delay: Option<Duration>,
    max_concurrent_streams: Option<u32>,
) -> anyhow::Result<()> {
    let waiting = Arc::new(AtomicU64::new(0));
    let requests = Arc::clone(&waiting);
    let act = move || async move {
        waiting.fetch_add(1, Ordering::Relaxed);
        match delay {
            Some(delay) => sleep(delay).await,
            None => pending().await,
        }
        waiting.fetch_sub(1, Ordering::Relaxed);
        StatusCode::NO_CONTENT
    };
    let app = Router::new()
        .route(
            "/requests",
            routing::get(move || async move { requests.load(Ordering::Relaxed).to_string() }),
        )
        .fallback(act);
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http2()
            .max_concurrent_streams(max_concurrent_streams);
        let app = TowerToHyperService::new(app.clone());
        tokio::spawn(async move {
            // A client that breaks off is no concern of this one's.
            let connection = builder.serve_connection(TokioIo::new(socket), app);
            connection.await.ok();
        });
    }
}

/// By HTTP/2 and TLS, at once.
pub(crate) async fn serve_by_tls(
    listener: TcpListener,
    tls: ServerTlsConfig,
) -> Result<(), transport::Error> {
    let app = Router::new().fallback(async || StatusCode::NO_CONTENT);
    Server::builder()
        .tls_config(tls)?
        .add_routes(Routes::from(app))
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)))
        .await
}
