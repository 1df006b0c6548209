//! The faults of HTTP/2's streams, as a client tells them by the errors that it gets.

use std::error::Error;

use super::fixture::{Caller, Http, ID, raw, raw_post, scripted, within};
use super::*;

const BEFORE: LastStream = LastStream::Before;
const THIS: LastStream = LastStream::This;

/// What HTTP/2 itself says about the end of a request.
fn h2_error(error: &reqwest::Error) -> Option<&h2::Error> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref() {
            return Some(error);
        }
        cause = error.source();
    }
    None
}

fn answers(sandbox: &Sandbox) -> Vec<Option<Answer>> {
    sandbox.journal().iter().map(|entry| entry.answer).collect()
}

#[tokio::test]
async fn a_refused_stream_leaves_its_connection_alone() {
    let sandbox = scripted([Fault::refuse_stream()]).await;
    let caller = Caller::new(&sandbox, Http::Two);
    let error = caller.execute(ID).await.unwrap_err();
    let said = h2_error(&error).unwrap();
    assert!(said.is_remote() && said.is_reset(), "{said}");
    assert_eq!(said.reason(), Some(h2::Reason::REFUSED_STREAM));
    assert_eq!(sandbox.commits(ID), 0);

    assert_eq!(caller.execute(ID).await.unwrap().status(), 204);
    assert_eq!(
        answers(&sandbox),
        [Some(Answer::Refused), Some(Answer::Status(204))]
    );
    assert!(
        sandbox
            .journal()
            .iter()
            .all(|entry| entry.finished && entry.connection == 1)
    );
}

#[tokio::test]
async fn a_goaway_names_the_request_or_leaves_it_out() {
    for (fault, left_out) in [
        (Fault::go_away(BEFORE), true),
        (Fault::go_away(THIS), false),
        (Fault::go_away(THIS).committed(), false),
    ] {
        let sandbox = scripted([fault.clone()]).await;
        let caller = Caller::new(&sandbox, Http::Two);
        // Stream 1, which is over.
        assert_eq!(caller.execute("1").await.unwrap().status(), 404);
        let error = caller.execute(ID).await.unwrap_err();
        let by_goaway = h2_error(&error).is_some_and(|said| said.is_remote() && said.is_go_away());
        assert_eq!(by_goaway, left_out, "{fault:?} {error:?}");
        assert_eq!(sandbox.commits(ID), usize::from(fault.commit));
        assert_eq!(answers(&sandbox)[1], Some(Answer::GoAway));

        // The next request has a connection of its own.
        caller.execute(ID).await.unwrap();
        let connections = sandbox.journal().into_iter().map(|entry| entry.connection);
        assert_eq!(connections.collect::<Vec<_>>(), [1, 1, 2]);
    }
}

#[tokio::test]
async fn a_goaway_carries_the_scripted_code() {
    let act = Act::GoAway {
        last_stream: BEFORE,
        code: 11,
    };
    let sandbox = scripted([Fault {
        act,
        ..Fault::default()
    }])
    .await;
    let error = Caller::new(&sandbox, Http::Two)
        .execute(ID)
        .await
        .unwrap_err();
    let said = h2_error(&error).unwrap();
    assert_eq!(said.reason(), Some(h2::Reason::ENHANCE_YOUR_CALM));
}

#[tokio::test]
async fn a_goaway_never_leaves_out_what_was_started() {
    let started_later = Fault::hang().committed();
    let sandbox = scripted([Fault::go_away(BEFORE).held(), started_later]).await;
    let caller = Caller::new(&sandbox, Http::Two);
    let (gone, hanging, ()) = tokio::join!(
        caller.execute(ID),
        async {
            within(sandbox.wait_for_posts(ID, 1)).await;
            caller.execute(ID).await
        },
        async {
            within(sandbox.wait_for_commits(ID, 1)).await;
            sandbox.release(ID);
        }
    );
    for error in [gone.unwrap_err(), hanging.unwrap_err()] {
        assert!(
            !h2_error(&error).is_some_and(h2::Error::is_go_away),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn over_http_1_a_refusal_is_a_close_in_good_order() {
    for fault in [
        Fault::refuse_stream(),
        Fault::go_away(BEFORE),
        Fault::go_away(THIS),
    ] {
        let sandbox = scripted([fault]).await;
        let (received, end) = raw(&sandbox, &raw_post(ID)).await;
        assert!(received.is_empty() && end.is_ok());
        assert_eq!(answers(&sandbox), [Some(Answer::Close)]);
        assert_eq!(sandbox.commits(ID), 0);
    }
}

#[tokio::test]
async fn a_refusal_that_commits_is_a_lie_and_not_told() {
    for fault in [Fault::refuse_stream(), Fault::go_away(BEFORE)] {
        let sandbox = scripted([fault.committed()]).await;
        let response = Caller::new(&sandbox, Http::Two).execute(ID).await.unwrap();
        assert_eq!(response.status(), 500);
        let body = within(response.text()).await.unwrap();
        assert!(body.contains("commit: a refused request"), "{body}");
        assert_eq!(sandbox.commits(ID), 0);
    }
}
