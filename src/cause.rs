//! What was behind a broken connection, in words that are safe to log.
//!
//! Libraries quote what the other side has said: `h2` the debug data of GOAWAY (RFC 9113,
//! section 6.8: opaque, for diagnosis), in which a server may repeat the token that it was
//! sent. So the texts are made here, once, and the library's error is not kept.

use std::{error::Error, fmt, io};

/// One error of a chain as a text, and the one behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    text: String,
    behind: Option<Box<Self>>,
}

// === impl Cause ===

impl Cause {
    /// The error and all that is behind it, without what the other side has said. What
    /// holds a URL is to be rid of it before.
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        Self {
            text: text(error),
            behind: error.source().map(|behind| Box::new(Self::of(behind))),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Cause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.behind
            .as_deref()
            .map(|behind| behind as &(dyn Error + 'static))
    }
}

fn text(error: &(dyn Error + 'static)) -> String {
    if let Some(error) = error.downcast_ref::<h2::Error>() {
        return http2(error);
    }
    // It shows what it wraps in place of itself.
    let wrapped = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref);
    wrapped.map_or_else(|| error.to_string(), |wrapped| text(wrapped))
}

/// As `h2` says it, but without debug data.
fn http2(error: &h2::Error) -> String {
    let Some(reason) = error.reason() else {
        // Of the operating system, or a wrong use of the library.
        return match error.get_io() {
            Some(error) => text(error),
            None => error.to_string(),
        };
    };
    let what = if error.is_go_away() {
        "connection"
    } else {
        "stream"
    };
    let whose = if error.is_remote() {
        "received"
    } else {
        "detected"
    };
    format!("{what} error {whose}: {reason}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] io::Error);

    fn texts(error: &(dyn Error + 'static)) -> Vec<String> {
        let cause = Cause::of(error);
        let chain = std::iter::successors(Some(&cause), |cause| cause.behind.as_deref());
        chain.map(ToString::to_string).collect()
    }

    #[test]
    fn the_chain_is_kept() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(texts(&Outer(refused)), ["outer", "connection refused"]);
        let other = Outer(io::Error::other("inner"));
        assert_eq!(texts(&other), ["outer", "inner"]);
    }

    /// The debug data comes back by the real library only.
    #[tokio::test]
    async fn what_a_server_says_as_it_goes_away_is_not_told() {
        let (client, mut server) = tokio::io::duplex(4096);
        let serving = tokio::spawn(async move {
            use tokio::io::AsyncWriteExt as _;
            // Empty SETTINGS; GOAWAY with the last stream 0, ENHANCE_YOUR_CALM (11).
            let mut bytes = vec![0, 0, 0, 4, 0, 0, 0, 0, 0];
            bytes.extend([0, 0, 14, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11]);
            bytes.extend(b"s3cret");
            server.write_all(&bytes).await.unwrap();
            server
        });
        let (_client, connection) = h2::client::handshake(client).await.unwrap();
        let error = connection.await.unwrap_err();
        drop(serving.await);
        assert!(error.to_string().contains("s3cret"), "{error}");
        let wrapped = Outer(io::Error::other(error));
        let texts = texts(&wrapped);
        assert!(!format!("{texts:?}").contains("s3cret"), "{texts:?}");
        assert!(
            texts[1].starts_with("connection error received: "),
            "{texts:?}"
        );
    }
}
