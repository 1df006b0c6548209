//! The faults of connections and of time as a caller sees them, byte by byte over
//! HTTP/1.1 and through a client over HTTP/2.

use std::io::ErrorKind;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::fixture::{Caller, Http, ID, raw, raw_post, scripted, within};
use super::*;

fn last_answer(sandbox: &Sandbox) -> Option<Answer> {
    sandbox.journal().last().and_then(|entry| entry.answer)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn a_reset_is_a_reset_before_and_after_the_start() {
    let sandbox = scripted([Fault::reset(), Fault::reset().committed()]).await;
    for commits in [0, 1] {
        let (received, end) = raw(&sandbox, &raw_post(ID)).await;
        assert!(received.is_empty());
        assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(sandbox.commits(ID), commits);
        assert_eq!(last_answer(&sandbox), Some(Answer::Reset));
        assert!(sandbox.journal().iter().all(|entry| entry.finished));
    }
}

#[tokio::test]
async fn a_reset_does_not_wait_for_the_body() {
    let sandbox = scripted([Fault::reset()]).await;
    let head = raw_post(ID).replace("Content-Length: 0", "Content-Length: 9");
    let (_, end) = raw(&sandbox, &head).await;
    assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn over_http2_a_reset_takes_every_stream_with_it() {
    let sandbox = scripted([Fault::hang(), Fault::reset().committed()]).await;
    let caller = Caller::new(&sandbox, Http::Two);
    let (hanging, reset) = tokio::join!(caller.execute(ID), async {
        within(sandbox.wait_for_posts(ID, 1)).await;
        caller.execute(ID).await
    });
    assert!(hanging.is_err() && reset.is_err());
    within(sandbox.wait_for_finished(ID, 2)).await;
    assert_eq!(
        sandbox.journal()[0].connection,
        sandbox.journal()[1].connection
    );
    assert_eq!(sandbox.commits(ID), 1);
}

#[tokio::test]
async fn a_close_is_in_good_order() {
    let sandbox = scripted([Fault::close(), Fault::close().committed()]).await;
    let (received, end) = raw(&sandbox, &raw_post(ID)).await;
    assert!(received.is_empty() && end.is_ok());

    assert!(Caller::new(&sandbox, Http::Two).execute(ID).await.is_err());
    assert_eq!(
        (last_answer(&sandbox), sandbox.commits(ID)),
        (Some(Answer::Close), 1)
    );
}

#[tokio::test]
async fn garbage_arrives_as_it_was_scripted() {
    let bytes = [0x15, 0x03, 0x01, 0xff, b'\n'];
    let sandbox = scripted([Fault::garbage(bytes), Fault::garbage(bytes).committed()]).await;
    let (received, end) = raw(&sandbox, &raw_post(ID)).await;
    assert_eq!(received, bytes);
    assert!(end.is_ok());

    assert!(Caller::new(&sandbox, Http::Two).execute(ID).await.is_err());
    assert_eq!(
        (last_answer(&sandbox), sandbox.commits(ID)),
        (Some(Answer::Garbage), 1)
    );
}

#[tokio::test]
async fn a_hang_lasts_until_the_caller_leaves() {
    for http in [Http::One, Http::Two] {
        let sandbox = scripted([Fault::hang().committed()]).await;
        let caller = Caller::new(&sandbox, http);
        let call = tokio::spawn(caller.post(ID).send());
        within(sandbox.wait_for_commits(ID, 1)).await;
        assert!(!sandbox.journal()[0].finished);

        call.abort();
        within(sandbox.wait_for_finished(ID, 1)).await;
        assert_eq!(last_answer(&sandbox), Some(Answer::Hang));
    }
}

#[tokio::test]
async fn a_held_request_goes_on_when_it_is_released() {
    for (fault, before, status) in [
        (Fault::hold(), 0, 204),
        (Fault::hold().committed(), 1, 204),
        (
            Fault::error(504, "UnknownError", "").committed().held(),
            1,
            504,
        ),
    ] {
        let sandbox = scripted([fault]).await;
        let caller = Caller::new(&sandbox, Http::Two);
        let (response, ()) = tokio::join!(caller.execute(ID), async {
            within(sandbox.wait_for_posts(ID, 1)).await;
            within(sandbox.wait_for_commits(ID, before)).await;
            assert_eq!(sandbox.commits(ID), before);
            assert_eq!(sandbox.journal()[0].answer, None);
            sandbox.release(ID);
        });
        assert_eq!(response.unwrap().status(), status);
        assert_eq!(sandbox.commits(ID), 1);
    }
}

#[tokio::test]
async fn a_caller_who_leaves_a_held_request_starts_nothing() {
    for http in [Http::One, Http::Two] {
        let sandbox = scripted([Fault::hold()]).await;
        let caller = Caller::new(&sandbox, http);
        let call = tokio::spawn(caller.post(ID).send());
        within(sandbox.wait_for_posts(ID, 1)).await;
        call.abort();
        within(sandbox.wait_for_finished(ID, 1)).await;
        sandbox.release("*");
        assert_eq!(
            (last_answer(&sandbox), sandbox.commits(ID)),
            (Some(Answer::Abandoned), 0)
        );
    }
}

#[tokio::test]
async fn a_delay_delays() {
    let delay = Duration::from_millis(30);
    let sandbox = scripted([Fault::delay(delay)]).await;
    let start = Instant::now();
    assert_eq!(
        Caller::new(&sandbox, Http::One)
            .execute(ID)
            .await
            .unwrap()
            .status(),
        204
    );
    assert!(start.elapsed() >= delay);
}

#[tokio::test]
async fn a_truncated_body_breaks_off() {
    let truncated = || Fault::truncate(200, 100, "{\"a").committed();
    let sandbox = scripted([truncated(), truncated()]).await;
    let (received, _) = raw(&sandbox, &raw_post(ID)).await;
    let received = text(&received).to_lowercase();
    assert!(
        received.starts_with("http/1.1 200 ok\r\n") && received.contains("content-length: 100\r\n"),
        "{received}"
    );
    assert!(received.ends_with("\r\n\r\n{\"a"), "{received}");

    let mut response = Caller::new(&sandbox, Http::Two).execute(ID).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(within(response.chunk()).await.unwrap().unwrap(), "{\"a");
    assert!(within(response.chunk()).await.is_err());
    assert_eq!(sandbox.commits(ID), 1);
}

#[tokio::test]
async fn a_content_length_may_lie() {
    let lie = Fault::reply(200, "abc").header("Content-Length", "2");
    let sandbox = scripted([lie.clone(), lie]).await;
    let (received, _) = raw(&sandbox, &raw_post(ID)).await;
    assert!(
        text(&received).contains("\r\n\r\nab"),
        "{}",
        text(&received)
    );

    let response = Caller::new(&sandbox, Http::Two).execute(ID).await;
    let body = match response {
        Ok(response) => within(response.bytes()).await,
        Err(error) => Err(error),
    };
    assert!(body.is_err(), "HTTP/2 checks it");
}

#[tokio::test]
async fn a_body_drips() {
    for http in [Http::One, Http::Two] {
        let pace = Pace {
            chunk: 1,
            every: Duration::from_millis(2),
            then: End::Complete,
        };
        let sandbox = scripted([Fault::drip(200, "slow", pace)]).await;
        let start = Instant::now();
        let response = Caller::new(&sandbox, http).execute(ID).await.unwrap();
        assert_eq!(within(response.bytes()).await.unwrap(), "slow");
        assert!(start.elapsed() >= 3 * pace.every);
        within(sandbox.wait_for_finished(ID, 1)).await;
    }
}

#[tokio::test]
async fn a_body_may_never_end() {
    for http in [Http::One, Http::Two] {
        let endless = |then| {
            Fault::drip(
                200,
                "abc",
                Pace {
                    chunk: 2,
                    every: Duration::ZERO,
                    then,
                },
            )
        };
        let sandbox = scripted([endless(End::Repeat), endless(End::Hang)]).await;
        let caller = Caller::new(&sandbox, http);

        let mut repeating = caller.execute(ID).await.unwrap();
        let mut received = Vec::new();
        while received.len() < 300 {
            received.extend(within(repeating.chunk()).await.unwrap().unwrap());
        }
        assert!(received.starts_with(b"abcabcabc"));

        let mut hanging = caller.execute(ID).await.unwrap();
        let mut received = Vec::new();
        while received.len() < 3 {
            received.extend(within(hanging.chunk()).await.unwrap().unwrap());
        }
        assert!(!sandbox.journal()[1].finished);
        drop((repeating, hanging));
        within(sandbox.wait_for_finished(ID, 2)).await;
    }
}

#[tokio::test]
async fn a_connection_survives_the_faults_that_leave_it_alone() {
    let sandbox = scripted([Fault::reply(502, "x"), Fault::error(503, "", "")]).await;
    let mut stream = within(TcpStream::connect(sandbox.addr())).await.unwrap();
    let request = raw_post(ID).replace("Connection: close\r\n", "");
    let mut received = String::new();
    for status in ["HTTP/1.1 502", "HTTP/1.1 503", "HTTP/1.1 204"] {
        within(stream.write_all(request.as_bytes())).await.unwrap();
        while !received.contains(status) {
            let mut chunk = [0; 4096];
            let length = within(stream.read(&mut chunk)).await.unwrap();
            assert!(length > 0, "closed after {received}");
            received.push_str(&text(&chunk[..length]));
        }
    }
    assert!(sandbox.journal().iter().all(|entry| entry.connection == 1));
}
