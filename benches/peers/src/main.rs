//! What the benchmarks and the profile-guided build need beside the gateway.
//!
//! ```text
//! peers collector                 takes OTLP by gRPC and by HTTP; GET /spans says how many
//! peers graph                     a Graph that never answers, or later; GET /requests says how many it owes an answer
//! peers echo                      tonic's own server, answering by itself
//! peers forward --graph-url URL   the same, and one POST with the caller's token by a bare reqwest client
//! peers train GATEWAY             makes that gateway do what it is to be quick at
//! ```

use std::{
    io::{self, Write as _},
    net::Ipv4Addr,
    path::PathBuf,
    time::Duration,
};

use clap::Parser;
use tokio::net::TcpListener;

mod calls;
mod certificates;
mod collector;
mod floor;
mod graph;
mod process;
mod training;

/// The gateway's own service.
mod pb {
    #![allow(
        clippy::all,
        clippy::pedantic,
        clippy::allow_attributes_without_reason,
        missing_docs,
        unreachable_pub,
        reason = "generated code"
    )]

    tonic::include_proto!("incidentgate.v1");
}

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
enum Peer {
    Collector,
    Graph {
        /// Milliseconds until an answer; never without it.
        #[arg(long)]
        delay: Option<u64>,
        #[arg(long)]
        max_concurrent_streams: Option<u32>,
    },
    Echo,
    Forward {
        #[arg(long)]
        graph_url: String,
        #[arg(long)]
        http2_prior_knowledge: bool,
    },
    Train {
        /// The binary; it is started several times, and ends by itself each time.
        gateway: PathBuf,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Peer::parse() {
        Peer::Collector => collector::serve(announced().await?).await,
        Peer::Graph {
            delay,
            max_concurrent_streams,
        } => {
            let delay = delay.map(Duration::from_millis);
            graph::serve(announced().await?, delay, max_concurrent_streams).await
        }
        Peer::Echo => floor::serve(announced().await?, None).await,
        Peer::Forward {
            graph_url,
            http2_prior_knowledge,
        } => {
            let upstream = floor::Upstream::new(graph_url, http2_prior_knowledge)?;
            floor::serve(announced().await?, Some(upstream)).await
        }
        Peer::Train { gateway } => training::train(&gateway).await,
    }
}

/// Whoever has started this process reads where it listens.
async fn announced() -> io::Result<TcpListener> {
    let listener = any_port().await?;
    writeln!(io::stdout(), "listening on {}", listener.local_addr()?)?;
    Ok(listener)
}

async fn any_port() -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await
}
