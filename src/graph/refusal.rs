//! Requests that were on the wire and that HTTP/2 promises were not processed.
//!
//! RFC 9113, section 8.7 names the two ways in which a server promises that: it resets
//! the stream with `REFUSED_STREAM`, or it sends a GOAWAY (section 6.8) whose last stream
//! id is below the stream's, whatever error code that GOAWAY carries.
//!
//! `h2` gives a stream the error of a received GOAWAY only when its id is above the last
//! one (`Streams::recv_go_away`). A stream at or below it is left to go on; when the
//! connection ends before its answer, it gets an I/O error of its own, and so does every
//! stream of a connection that ends without a GOAWAY. So a *received* GOAWAY in an error's
//! chain tells where the stream stood. What `h2` itself or the gateway has ended carries
//! the same reasons, but was not received, and proves nothing about the server.
//!
//! All this holds for a stream's own error. Until hyper leaves a request to its stream, it
//! gives it the connection's, which is any GOAWAY that came, whichever streams that leaves
//! out; the request's [`Departure`](super::departure::Departure) knows.
//!
//! Three cases stay unknown though they may have been harmless: a GOAWAY that comes to
//! light in that moment; a request that waits for one of the server's
//! `MAX_CONCURRENT_STREAMS` when the connection goes away, and ends with hyper's "dispatch
//! task is gone", which does not say whether its HEADERS were written just before; and a
//! refusal that follows the beginning of an answer, and contradicts it.

use std::{error::Error, iter};

use h2::Reason;

/// Whether the server promised that it has not processed the request, and never will.
///
/// `error` is what came in place of an answer, with its chain of causes. Where it `is_own`
/// it is sure to be the stream's; else only a reset counts, which connections do not have.
pub(super) fn is_refusal(error: &(dyn Error + 'static), is_own: bool) -> bool {
    iter::successors(Some(error), |&error| error.source())
        .find_map(|error| error.downcast_ref::<h2::Error>())
        .is_some_and(|error| {
            let leaves_it_out = error.is_go_away() && is_own;
            let refuses_it = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
            error.is_remote() && (leaves_it_out || refuses_it)
        })
}

#[cfg(test)]
mod tests {
    use std::io;

    use bytes::Bytes;
    use futures_util::future::join;
    use http::Request;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    /// How a library in between hands on a cause.
    #[derive(Debug, thiserror::Error)]
    #[error("wrapped")]
    struct Wrapped(#[source] h2::Error);

    const HEADERS: u8 = 1;
    const RST_STREAM: u8 = 3;
    const SETTINGS: u8 = 4;
    const PUSH_PROMISE: u8 = 5;
    const GOAWAY: u8 = 7;
    const END_HEADERS: u8 = 4;

    fn frame(kind: u8, stream: u32, payload: &[u32]) -> Vec<u8> {
        let length = u8::try_from(4 * payload.len()).unwrap();
        let mut bytes = vec![0, 0, length, kind, 0];
        bytes.extend(stream.to_be_bytes());
        bytes.extend(payload.iter().flat_map(|word| word.to_be_bytes()));
        bytes
    }

    async fn serve(mut server: DuplexStream, words: &[Vec<u8>]) {
        server.write_all(&frame(SETTINGS, 0, &[])).await.unwrap();
        let mut received = Vec::new();
        // The HEADERS of stream 3 are the client's last word for now.
        while !received
            .windows(6)
            .any(|part| part == [HEADERS, 5, 0, 0, 0, 3])
        {
            server.read_buf(&mut received).await.unwrap();
        }
        server.write_all(&words.concat()).await.unwrap();
        server.shutdown().await.unwrap();
        server.read_to_end(&mut received).await.unwrap();
    }

    /// Two requests, streams 1 and 3, to a server that says `words` and then ends the
    /// connection: whether each was refused.
    async fn refused(words: &[Vec<u8>]) -> [bool; 2] {
        let (client, server) = duplex(64 * 1024);
        let asking = async {
            // As hyper sets it up.
            let mut builder = h2::client::Builder::new();
            let (requests, connection) = builder
                .enable_push(false)
                .handshake::<_, Bytes>(client)
                .await
                .unwrap();
            let connection = tokio::spawn(connection);
            let mut requests = requests.ready().await.unwrap();
            let request = || Request::post("http://graph/").body(()).unwrap();
            let (first, _) = requests.send_request(request(), true).unwrap();
            let (second, _) = requests.send_request(request(), true).unwrap();
            drop(requests);
            let (first, second) = join(first, second).await;
            // How it ended is told by the streams.
            connection.await.unwrap().ok();
            [first.unwrap_err(), second.unwrap_err()]
        };
        let (errors, ()) = join(asking, serve(server, words)).await;
        errors.map(|error| {
            let refused = is_refusal(&error, true);
            // What may be the connection's word leaves nothing out.
            assert_eq!(is_refusal(&error, false), refused && error.is_reset());
            assert_eq!(is_refusal(&Wrapped(error), true), refused);
            refused
        })
    }

    #[tokio::test]
    async fn only_what_the_server_says_it_left_out_is_refused() {
        let reset = |stream, reason: Reason| frame(RST_STREAM, stream, &[reason.into()]);
        let goaway = |last, reason: Reason| frame(GOAWAY, 0, &[last, reason.into()]);
        let mut push = frame(PUSH_PROMISE, 3, &[2]);
        push[4] = END_HEADERS;
        let (refuse, calm) = (Reason::REFUSED_STREAM, Reason::ENHANCE_YOUR_CALM);
        let cases = [
            (vec![], [false, false]),
            (vec![reset(1, refuse)], [true, false]),
            (
                vec![reset(1, Reason::CANCEL), reset(3, refuse)],
                [false, true],
            ),
            (
                vec![reset(1, calm), reset(3, Reason::NO_ERROR)],
                [false, false],
            ),
            (vec![goaway(0, Reason::NO_ERROR)], [true, true]),
            (vec![goaway(1, Reason::NO_ERROR)], [false, true]),
            (vec![goaway(3, Reason::NO_ERROR)], [false, false]),
            (vec![goaway(0, calm)], [true, true]),
            (vec![goaway(1, calm)], [false, true]),
            (vec![goaway(3, calm)], [false, false]),
            // The code is not the stream's.
            (vec![goaway(3, refuse)], [false, false]),
            (
                vec![goaway(0x7fff_ffff, Reason::NO_ERROR), goaway(1, calm)],
                [false, true],
            ),
            // Raised again, which is an error that `h2` finds by itself.
            (vec![goaway(1, calm), goaway(3, calm)], [false, true]),
            // No frame of a connection: `h2` ends it.
            (vec![frame(GOAWAY, 1, &[0, 0])], [false, false]),
            (vec![frame(RST_STREAM, 0, &[refuse.into()])], [false, false]),
            // The same, behind a GOAWAY that leaves one stream out.
            (vec![goaway(1, calm), push], [false, true]),
        ];
        for (words, want) in cases {
            assert_eq!(refused(&words).await, want, "{words:?}");
        }
    }

    #[test]
    fn a_reason_that_nobody_sent_refuses_nothing() {
        for error in [
            h2::Error::from(Reason::REFUSED_STREAM),
            h2::Error::from(Reason::NO_ERROR),
        ] {
            assert!(!is_refusal(&error, true));
        }
        assert!(!is_refusal(
            &io::Error::from(io::ErrorKind::ConnectionReset),
            true
        ));
    }
}
