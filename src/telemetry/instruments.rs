//! The instruments, as OpenTelemetry knows them.

use opentelemetry::metrics::{
    BoundCounter, BoundHistogram, BoundUpDownCounter, Counter, Histogram, Meter, UpDownCounter,
};

use super::bound::Bound;
use super::labels::Upstream;
use super::names;

#[derive(Debug)]
pub(super) struct Instruments {
    /// For what is asked at each export; the other instruments are told.
    pub(super) meter: Meter,
    pub(super) server_call_duration: Histogram<f64>,
    pub(super) client_request_duration: Histogram<f64>,
    pub(super) action_outcomes: Counter<u64>,
    pub(super) fetch_duration: Histogram<f64>,
    pub(super) attempt_resends: Counter<u64>,
    pub(super) reconciliations: Counter<u64>,
    pub(super) calls_in_flight: UpDownCounter<i64>,
    pub(super) calls_detached: BoundUpDownCounter<i64>,
    pub(super) watch_tasks: BoundUpDownCounter<i64>,
    pub(super) throttle_refused: Counter<u64>,
    pub(super) calls_waiting: BoundUpDownCounter<i64>,
    pub(super) calls_without_place: Counter<u64>,
    pub(super) audit_records: Counter<u64>,
    pub(super) audit_commit_duration: Histogram<f64>,
    pub(super) connections_refused: Counter<u64>,
    pub(super) tls_reloads: Counter<u64>,
    /// What every call measures.
    pub(super) of_calls: OfCalls,
}

/// The instruments of every call, by the attributes that there have been.
#[derive(Debug, Default)]
pub(super) struct OfCalls {
    pub(super) server_call_duration: Bound<ServerCall, BoundHistogram<f64>>,
    pub(super) client_request_duration: Bound<ClientCall, BoundHistogram<f64>>,
    pub(super) action_outcomes: Bound<(&'static str, &'static str), BoundCounter<u64>>,
    pub(super) calls_in_flight: Bound<&'static str, BoundUpDownCounter<i64>>,
}

/// What tells the calls of the server apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ServerCall {
    pub(super) method: &'static str,
    pub(super) status_code: &'static str,
    pub(super) error_type: Option<&'static str>,
}

/// What tells the requests to upstreams apart.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ClientCall {
    pub(super) status: Option<u16>,
    pub(super) method: &'static str,
    pub(super) error_type: Option<&'static str>,
    pub(super) protocol_version: Option<&'static str>,
    pub(super) upstream: Upstream,
}

impl Instruments {
    /// Builds them from `meter`; the global meter is never asked.
    #[expect(
        clippy::too_many_lines,
        reason = "a list of what is measured; it decides nothing"
    )]
    pub(super) fn new(meter: &Meter) -> Self {
        let seconds = |name, description| {
            meter
                .f64_histogram(name)
                .with_unit(names::UNIT_SECONDS)
                .with_description(description)
                .with_boundaries(names::DURATION_BOUNDARIES.to_vec())
                .build()
        };
        let counter = |name, unit, description| {
            meter
                .u64_counter(name)
                .with_unit(unit)
                .with_description(description)
                .build()
        };
        let level = |name, unit, description| {
            meter
                .i64_up_down_counter(name)
                .with_unit(unit)
                .with_description(description)
                .build()
        };
        Self {
            server_call_duration: seconds(
                names::RPC_SERVER_CALL_DURATION,
                "Duration of inbound remote procedure calls.",
            ),
            client_request_duration: seconds(
                names::HTTP_CLIENT_REQUEST_DURATION,
                "Duration of HTTP client requests.",
            ),
            action_outcomes: counter(
                names::ACTION_OUTCOMES,
                names::UNIT_CALL,
                "Action calls by whether the action was started.",
            ),
            fetch_duration: seconds(
                names::FETCH_DURATION,
                "Duration of fetching a token or signing keys from an identity provider.",
            ),
            attempt_resends: counter(
                names::ATTEMPT_RESENDS,
                names::UNIT_ATTEMPT,
                "POSTs that were sent again for the same call.",
            ),
            reconciliations: counter(
                names::RECONCILIATIONS,
                names::UNIT_READ,
                "Looks at the task because the outcome of a POST was not known.",
            ),
            calls_in_flight: level(
                names::CALLS_IN_FLIGHT,
                names::UNIT_CALL,
                "Calls that are being served.",
            ),
            calls_detached: level(
                names::CALLS_DETACHED,
                names::UNIT_CALL,
                "Attempts that go on after their caller left.",
            )
            .bind(&[]),
            watch_tasks: level(
                names::WATCH_TASKS,
                names::UNIT_TASK,
                "Tasks that are read for those who follow them.",
            )
            .bind(&[]),
            throttle_refused: counter(
                names::THROTTLE_REFUSED,
                names::UNIT_CALL,
                "Calls that were refused because Graph asked their credential to wait.",
            ),
            meter: meter.clone(),
            calls_waiting: level(
                names::CALLS_WAITING,
                names::UNIT_CALL,
                "Calls that wait for a place among those in flight.",
            )
            .bind(&[]),
            calls_without_place: counter(
                names::CALLS_WITHOUT_PLACE,
                names::UNIT_CALL,
                "Calls that got no place among those in flight, at once or in time.",
            ),
            audit_records: counter(
                names::AUDIT_RECORDS,
                names::UNIT_RECORD,
                "Audit records by whether they were written.",
            ),
            audit_commit_duration: seconds(
                names::AUDIT_COMMIT_DURATION,
                "Duration of writing a batch of audit records.",
            ),
            connections_refused: counter(
                names::CONNECTIONS_REFUSED,
                names::UNIT_CONNECTION,
                "Connections that ended before a call was possible.",
            ),
            tls_reloads: counter(
                names::TLS_RELOADS,
                names::UNIT_RELOAD,
                "Changes of certificates and keys by whether they could be used.",
            ),
            of_calls: OfCalls::default(),
        }
    }
}
