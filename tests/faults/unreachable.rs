//! A Graph that no request can reach: nothing is started, and everybody is told so.

use std::{net::SocketAddr, time::Duration};

use incidentgate::sandbox::{Options, Sandbox};
use socket2::{Domain, Socket, Type};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::watch,
    task::AbortHandle,
};

use crate::{
    claims::{Claim, claims},
    gateway::{Caller, Gateway, in_time, listener, turn},
    hit::Http,
    told::{Counts, Told},
    truth::Real,
};

/// Enough for all attempts.
const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(300);

/// Why no connection comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    Refused,
    /// A TLS alert in answer to the hello.
    Alert,
    NotTls,
    Closed,
    /// The handshake is never answered.
    Silent,
}

const TROUBLES: [(Trouble, &str, Http); 7] = [
    (Trouble::Refused, "http", Http::One),
    (Trouble::Refused, "http", Http::Two),
    (Trouble::Refused, "https", Http::One),
    (Trouble::Alert, "https", Http::One),
    (Trouble::NotTls, "https", Http::One),
    (Trouble::Closed, "https", Http::One),
    (Trouble::Silent, "https", Http::One),
];

/// What is in Graph's place, and how many connections it has had.
struct Peer {
    addr: SocketAddr,
    heard: watch::Receiver<usize>,
    accepting: Option<AbortHandle>,
    _taken: Option<Socket>,
}

// === impl Peer ===

impl Peer {
    async fn start(trouble: Trouble) -> Self {
        let (count, heard) = watch::channel(0);
        if trouble == Trouble::Refused {
            // Bound, so that nobody else gets the port, but not listening.
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
            socket.bind(&any.into()).unwrap();
            return Self {
                addr: socket.local_addr().unwrap().as_socket().unwrap(),
                heard,
                accepting: None,
                _taken: Some(socket),
            };
        }
        let listener = listener().await;
        let addr = listener.local_addr().unwrap();
        let accepting = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let count = count.clone();
                tokio::spawn(async move {
                    let mut hello = [0; 4096];
                    let Ok(1..) = stream.read(&mut hello).await else {
                        return;
                    };
                    count.send_modify(|count| *count += 1);
                    let words: &[u8] = match trouble {
                        // Fatal, handshake_failure (RFC 8446, section 6).
                        Trouble::Alert => &[21, 3, 3, 0, 2, 2, 40],
                        Trouble::NotTls => b"HTTP/1.1 204 \r\n\r\n",
                        Trouble::Silent => std::future::pending().await,
                        Trouble::Closed | Trouble::Refused => b"",
                    };
                    // The gateway may have gone.
                    stream.write_all(words).await.ok();
                });
            }
        });
        Self {
            addr,
            heard,
            accepting: Some(accepting.abort_handle()),
            _taken: None,
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Some(accepting) = &self.accepting {
            accepting.abort();
        }
    }
}

/// What the caller does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Patience {
    Waits,
    /// Leaves as soon as the connection was tried.
    Cancels,
    Short,
}

async fn run(n: u64, trouble: Trouble, scheme: &str, http: Http, patience: Patience) -> Told {
    let mut peer = Peer::start(trouble).await;
    let url = format!("{scheme}://{}/beta", peer.addr);
    let settings = [
        ("graph.connect_timeout", "1s"),
        ("retry.initial_backoff", "20ms"),
    ];
    let sandbox = Sandbox::start(listener().await, Options::default())
        .await
        .unwrap();
    let gateway = Gateway::start_before(sandbox, &url, http, &settings).await;
    let caller = Caller::new(1, n);
    let client = gateway.client.clone();
    let told = match patience {
        Patience::Waits => Told::of(&in_time(caller.call(client, LONG)).await).unwrap(),
        Patience::Short => Told::of(&in_time(caller.call(client, SHORT)).await).unwrap(),
        Patience::Cancels => {
            tokio::select! {
                answer = caller.call(client, LONG) => Told::of(&answer).unwrap(),
                heard = in_time(peer.heard.wait_for(|count| *count > 0)) => {
                    heard.unwrap();
                    Told::Nothing
                }
            }
        }
    };
    let context = format!("{trouble:?} {scheme} {http:?} {patience:?}");
    if told == Told::Nothing {
        let left = Claim::Left("never".to_owned());
        let came = claims().until(&caller.trace, |claim| *claim == left).await;
        assert!(came, "{context}: {:?}", claims().of(&caller.trace));
    } else {
        assert_eq!(told, Told::No, "{context}");
    }
    gateway.stop().await;
    let real = Real {
        posts: 0,
        commits: 0,
    };
    let claims = claims().of(&caller.trace);
    assert_eq!(real.contradiction(told, &claims), None, "{context}");
    let later = claims.iter().any(|claim| matches!(claim, Claim::Later(_)));
    assert!(!later, "{context}: nothing was left behind: {claims:?}");
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn what_reaches_nobody_starts_nothing() {
    let _turn = turn().await;
    let mut counts = Counts::default();
    let mut running = Vec::new();
    for (trouble, scheme, http) in TROUBLES {
        for patience in [Patience::Waits, Patience::Cancels, Patience::Short] {
            // A refusal is too short to leave in it; others are, but for the silence.
            if patience == Patience::Cancels && trouble != Trouble::Silent {
                continue;
            }
            let n = running.len() as u64;
            running.push(tokio::spawn(run(n, trouble, scheme, http, patience)));
        }
    }
    for row in running {
        counts.count(Some(row.await.unwrap()));
    }
    println!("unreachable: rows: {}  {counts}", counts.rows);
}
