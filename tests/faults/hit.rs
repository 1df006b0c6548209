//! What Graph makes of a request, and what whoever gets that back can know.

use std::time::Duration;

use incidentgate::sandbox::{End, Fault, LastStream, Pace};

/// What becomes of one POST.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hit {
    Usual,
    ResetAtHead,
    Reset,
    Close,
    Hang,
    InternalError,
    BadGateway,
    Unavailable,
    UnavailableRetryAfter,
    GatewayTimeout,
    Throttled,
    Truncated,
    Garbled,
    Page,
    /// A body that comes in pieces, to its end.
    Drip,
    /// A body that comes in pieces and stops.
    Stall,
    GoAwayBefore,
    GoAwayThis,
    RefusedStream,
}

/// What an answer tells about the action, if it arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Says {
    /// Somebody has started it.
    Started,
    /// This POST has not started it and never will.
    NotStarted,
    Nothing,
}

/// What becomes of a look at the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    Works,
    /// It shows the task as it was before its action was started.
    Stale,
    /// The n-th way to show nothing.
    Fails(usize),
}

/// How the gateway reaches Graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Http {
    One,
    Two,
}

// === impl Hit ===

impl Hit {
    pub(crate) const ALL: [Self; 19] = [
        Self::Usual,
        Self::ResetAtHead,
        Self::Reset,
        Self::Close,
        Self::Hang,
        Self::InternalError,
        Self::BadGateway,
        Self::Unavailable,
        Self::UnavailableRetryAfter,
        Self::GatewayTimeout,
        Self::Throttled,
        Self::Truncated,
        Self::Garbled,
        Self::Page,
        Self::Drip,
        Self::Stall,
        Self::GoAwayBefore,
        Self::GoAwayThis,
        Self::RefusedStream,
    ];

    /// By the documents alone: Graph's page, and RFC 9113 for HTTP/2's promises.
    pub(crate) fn says(self) -> Says {
        match self {
            Self::Usual | Self::Drip => Says::Started,
            Self::UnavailableRetryAfter
            | Self::Throttled
            | Self::GoAwayBefore
            | Self::RefusedStream => Says::NotStarted,
            Self::ResetAtHead
            | Self::Reset
            | Self::Close
            | Self::Hang
            | Self::InternalError
            | Self::BadGateway
            | Self::Unavailable
            | Self::GatewayTimeout
            | Self::Truncated
            | Self::Garbled
            | Self::Page
            | Self::Stall
            | Self::GoAwayThis => Says::Nothing,
        }
    }

    /// Whether the action can be started, or not, before this happens: what says which
    /// it was must not lie, and a reset at the head comes before anything.
    pub(crate) fn starts(self) -> &'static [bool] {
        if self == Self::ResetAtHead || self.says() == Says::NotStarted {
            &[false]
        } else if self == Self::Drip {
            &[true]
        } else {
            &[false, true]
        }
    }

    /// Whether it exists in this version of HTTP.
    pub(crate) fn is_of(self, http: Http) -> bool {
        let of_two = [Self::GoAwayBefore, Self::GoAwayThis, Self::RefusedStream];
        http == Http::Two || !of_two.contains(&self)
    }

    /// Whether it ends the connection, over HTTP/2 under all that is on it.
    pub(crate) fn ends_the_connection(self) -> bool {
        matches!(
            self,
            Self::ResetAtHead
                | Self::Reset
                | Self::Close
                | Self::Garbled
                | Self::GoAwayBefore
                | Self::GoAwayThis
        )
    }

    /// Whether nothing ends it but the attempt's own timeout.
    pub(crate) fn takes_forever(self) -> bool {
        matches!(self, Self::Hang | Self::Stall)
    }

    /// As the sandbox is told; `starts`: after the action was started.
    pub(crate) fn fault(self, starts: bool) -> Fault {
        let json = |then| {
            let pace = Pace {
                chunk: 4,
                every: Duration::from_millis(2),
                then,
            };
            let body = r#"{"id": "7"}"#;
            Fault::drip(200, body, pace).header("Content-Type", "application/json")
        };
        let fault = match self {
            Self::Usual => Fault::default(),
            Self::ResetAtHead => return Fault::reset(),
            // With a delay it waits for the whole request first.
            Self::Reset => Fault::reset().delayed(Duration::from_millis(1)),
            Self::Close => Fault::close(),
            Self::Hang => Fault::hang(),
            Self::InternalError => Fault::error(500, "generalException", ""),
            Self::BadGateway => Fault::reply(502, "<html>Bad Gateway</html>"),
            Self::Unavailable => Fault::error(503, "serviceNotAvailable", ""),
            Self::UnavailableRetryAfter => {
                Fault::error(503, "serviceNotAvailable", "").header("Retry-After", "0")
            }
            Self::GatewayTimeout => Fault::error(504, "UnknownError", ""),
            Self::Throttled => Fault::error(429, "TooManyRequests", "").header("Retry-After", "0"),
            Self::Truncated => Fault::truncate(200, 100, r#"{"id": "#),
            Self::Garbled => Fault::garbage("\u{15}\u{3}\u{1}not HTTP\r\n\r\n"),
            Self::Page => Fault::captive_page(),
            Self::Drip => json(End::Complete),
            Self::Stall => json(End::Hang),
            Self::GoAwayBefore => Fault::go_away(LastStream::Before),
            Self::GoAwayThis => Fault::go_away(LastStream::This),
            Self::RefusedStream => Fault::refuse_stream(),
        };
        Fault {
            commit: starts,
            ..fault
        }
    }
}

// === impl Look ===

impl Look {
    /// How many ways there are to show nothing; the first of them leave the connection alone.
    pub(crate) const FAILURES: usize = 9;
    pub(crate) const CALM_FAILURES: usize = 6;

    pub(crate) fn fault(self) -> Fault {
        let fault = match self {
            Self::Works => Fault::default(),
            Self::Stale => Fault::stale_read(),
            Self::Fails(0) => Fault::error(500, "generalException", ""),
            Self::Fails(1) => Fault::captive_page(),
            Self::Fails(2) => Fault::error(404, "itemNotFound", ""),
            Self::Fails(3) => Fault::truncate(200, 100, r#"{"actionStatus":"completed""#),
            Self::Fails(4) => Fault::reply(200, r#"{"actionStatus":"unknownFutureValue"}"#),
            Self::Fails(5) => Fault::error(429, "TooManyRequests", ""),
            Self::Fails(6) => Fault::reset(),
            Self::Fails(7) => Fault::close(),
            Self::Fails(_) => Fault::garbage("?"),
        };
        fault.on_read()
    }
}
