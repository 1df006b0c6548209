//! The metadata service of a virtual machine, whose address no test can listen on.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
};

use azure_core::http::{AsyncRawResponse, Request};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;
use crate::failure::Kind;

const IDENTITY: &str = "http://169.254.169.254/metadata/identity/oauth2/token";

/// Sends to another address what is meant for the metadata service.
#[derive(Debug)]
struct Redirected {
    transport: Arc<Transport>,
    to: SocketAddr,
    requests: AtomicUsize,
}

#[async_trait::async_trait]
impl HttpClient for Redirected {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let url = request.url().as_str();
        let query = url.strip_prefix(IDENTITY).expect(url);
        let mut request = request.clone();
        *request.url_mut() = format!("http://{}/{query}", self.to).parse().unwrap();
        self.transport.execute_request(&request).await
    }
}

/// A service that answers everything so; `None`: never.
async fn service(answer: Option<String>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut silent = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let Some(answer) = &answer else {
                silent.push(stream);
                continue;
            };
            assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    addr
}

async fn asked(answer: Option<String>) -> (Result<Fetched<Authorization>, Failure>, usize) {
    let timeout = if answer.is_some() { 10_000 } else { 50 };
    let documents = Documents::new(Way::Plain, None, Duration::from_millis(timeout)).unwrap();
    let transport = Arc::new(Transport::to_platform(documents));
    let redirected = Arc::new(Redirected {
        transport: Arc::clone(&transport),
        to: service(answer).await,
        requests: AtomicUsize::new(0),
    });
    let credential = ManagedIdentityCredential::new(Some(ManagedIdentityCredentialOptions {
        user_assigned_id: None,
        client_options: client_options(redirected.clone(), None),
    }));
    let credential = credential.map(|credential| credential as Arc<dyn TokenCredential>);
    let token = token(
        credential,
        &transport,
        "https://graph.microsoft.com/.default",
    )
    .await;
    (token, redirected.requests.load(Ordering::Relaxed))
}

fn answer(head: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {head}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
}

#[tokio::test]
async fn the_metadata_service_is_asked_once_whatever_it_answers() {
    let rejected = Kind::GatewayCredentialRejected;
    let for_now = Kind::CredentialUnavailable;
    for (answer, want, words) in [
        (
            Some(answer("400 Bad", r#"{"error":"invalid_request"}"#)),
            rejected,
            "invalid_request",
        ),
        (Some(answer("403 No", "")), rejected, "HTTP 403"),
        (Some(answer("404 Away", "")), for_now, "HTTP 404"),
        (Some(answer("410 Away", "")), for_now, "HTTP 410"),
        (
            Some(answer("429 Slow\r\nretry-after: 7", "")),
            for_now,
            "HTTP 429",
        ),
        (Some(answer("500 Ill", "<html>")), for_now, "HTTP 500"),
        (Some(answer("503 Ill", "")), for_now, "HTTP 503"),
        (Some(answer("200 OK", "<html>")), for_now, "HTTP 200"),
        (
            Some(answer("200 OK", r#"{"access_token":"a"}"#)),
            for_now,
            "",
        ),
        (None, for_now, ""),
    ] {
        let shown = format!("{answer:?}");
        let (token, requests) = asked(answer).await;
        let failure = token.unwrap_err();
        assert_eq!(failure.kind, want, "{shown}");
        assert!(failure.message.contains(words), "{shown}: {failure}");
        assert_eq!(requests, 1, "{shown}");
        let named = shown
            .contains("retry-after")
            .then_some(Duration::from_secs(7));
        assert_eq!(failure.named_delay(), named, "{shown}");
    }
}

#[tokio::test]
async fn the_metadata_service_gives_a_token() {
    let expires = OffsetDateTime::now_utc().unix_timestamp() + 3600;
    let body = format!(
        r#"{{"access_token":"platform-token","expires_on":"{expires}","resource":"r","token_type":"Bearer"}}"#
    );
    let (token, requests) = asked(Some(answer("200 OK", &body))).await;
    let token = token.unwrap();
    assert_eq!(token.value.header(), "Bearer platform-token");
    assert_eq!(token.value.owner(), TokenOwner::Gateway);
    assert_eq!(requests, 1);
}

#[test]
fn a_fetched_token_has_to_be_one_that_lives() {
    let hour = Duration::from_secs(3600);
    for (token, lifetime, is_one) in [
        ("token", hour, true),
        ("", hour, false),
        ("token\n", hour, false),
        ("token", Duration::ZERO, false),
        ("token", Duration::MAX, true),
    ] {
        let granted = granted(token, TokenOwner::Gateway, lifetime);
        assert_eq!(granted.is_ok(), is_one, "{token:?} {lifetime:?}");
    }
}
