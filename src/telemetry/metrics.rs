//! One typed method per thing that is measured.
//!
//! No method takes an id, a token or a message: what could become an attribute is a static word, a
//! number from a small set, or the address of an upstream that the configuration fixes.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{BoundUpDownCounter, Meter};

use super::instruments::{ClientCall, Instruments, ServerCall};
use super::labels::{
    Attributes, AuditResult, ClientRequest, FetchOf, Outcome, Reconciled, Reloaded, ResendCause,
};
use super::names;
use crate::failure::Kind;

/// All instruments of the program. A clone shares them.
#[derive(Debug, Clone)]
pub struct Metrics {
    instruments: Arc<Instruments>,
}

impl Metrics {
    /// Builds the instruments from `meter`; the global meter is never asked.
    pub fn new(meter: &Meter) -> Self {
        Self {
            instruments: Arc::new(Instruments::new(meter)),
        }
    }

    /// Instruments that measure nothing.
    pub fn disabled() -> Self {
        use opentelemetry::metrics::{MeterProvider as _, NoopMeterProvider};
        Self::new(&NoopMeterProvider::new().meter(names::SCOPE))
    }

    /// One gRPC call has ended; `status_code` is its upper-case name.
    ///
    /// `error_type` belongs there only for the server's own errors: see [`names::is_server_error`].
    pub fn server_call(
        &self,
        method: &'static str,
        status_code: &'static str,
        error_type: Option<&'static str>,
        duration: Duration,
    ) {
        let call = ServerCall {
            method,
            status_code,
            error_type,
        };
        let bind = || {
            let mut attributes = Attributes::default();
            attributes.push(names::RPC_SYSTEM_NAME, names::RPC_SYSTEM_GRPC);
            attributes.push(names::RPC_METHOD, method);
            attributes.push(names::RPC_STATUS_CODE, status_code);
            if let Some(error_type) = error_type {
                attributes.push(names::ERROR_TYPE, error_type);
            }
            let instrument = &self.instruments.server_call_duration;
            instrument.bind(attributes.as_slice())
        };
        let bound = &self.instruments.of_calls.server_call_duration;
        bound.get(&call, bind).record(duration.as_secs_f64());
    }

    /// One HTTP request has ended, with or without an answer.
    ///
    /// Without an explicit `error_type` a status from 400 on becomes it.
    pub fn client_request(&self, request: ClientRequest<'_>, duration: Duration) {
        let call = ClientCall {
            status: request.status,
            method: request.method,
            error_type: request.error_type,
            protocol_version: request.protocol_version,
            upstream: request.upstream.clone(),
        };
        let bind = || {
            let mut attributes = Attributes::default();
            attributes.push(names::HTTP_REQUEST_METHOD, request.method);
            attributes.push(names::SERVER_ADDRESS, request.upstream.address());
            attributes.push(names::SERVER_PORT, request.upstream.port());
            if let Some(status) = request.status {
                attributes.push(names::HTTP_RESPONSE_STATUS_CODE, i64::from(status));
            }
            let error_type = request
                .error_type
                .map(Cow::Borrowed)
                .or_else(|| request.status.and_then(names::error_type_of_status));
            if let Some(error_type) = error_type {
                attributes.push(names::ERROR_TYPE, error_type);
            }
            if let Some(version) = request.protocol_version {
                attributes.push(names::NETWORK_PROTOCOL_VERSION, version);
            }
            let instrument = &self.instruments.client_request_duration;
            instrument.bind(attributes.as_slice())
        };
        let bound = &self.instruments.of_calls.client_request_duration;
        bound.get(&call, bind).record(duration.as_secs_f64());
    }

    /// It is known, or known to be unknown, what became of an action call. Once per call:
    /// when it is answered, or, if its caller left, when its attempt ends.
    pub fn action_outcome(&self, outcome: Outcome, status_code: &'static str) {
        let outcome = outcome.as_str();
        let bind = || {
            self.instruments.action_outcomes.bind(&[
                KeyValue::new(names::ACTION_OUTCOME, outcome),
                KeyValue::new(names::RPC_STATUS_CODE, status_code),
            ])
        };
        let bound = &self.instruments.of_calls.action_outcomes;
        bound.get(&(outcome, status_code), bind).add(1);
    }

    /// A POST is sent again for the same call.
    pub fn resend(&self, cause: ResendCause) {
        let cause = KeyValue::new(names::RESEND_CAUSE, cause.as_str());
        self.instruments.attempt_resends.add(1, &[cause]);
    }

    /// A token or keys were fetched from an identity provider, or `failed` to be.
    pub fn fetch(&self, of: FetchOf, failed: Option<Kind>, duration: Duration) {
        let mut attributes = Attributes::default();
        attributes.push(names::FETCH_OF, of.as_str());
        if let Some(kind) = failed {
            attributes.push(names::ERROR_TYPE, names::error_type_of_fetch(kind));
        }
        self.instruments
            .fetch_duration
            .record(duration.as_secs_f64(), attributes.as_slice());
    }

    /// The task was looked at because the outcome of a POST was not known.
    pub fn reconciliation(&self, result: Reconciled) {
        let result = KeyValue::new(names::RECONCILED, result.as_str());
        self.instruments.reconciliations.add(1, &[result]);
    }

    /// It is known what became of `count` audit records; `event` is `intent` or `outcome`.
    pub fn audit_records(&self, event: &'static str, result: AuditResult, count: u64) {
        self.instruments.audit_records.add(
            count,
            &[
                KeyValue::new(names::AUDIT_EVENT, event),
                KeyValue::new(names::AUDIT_RESULT, result.as_str()),
            ],
        );
    }

    /// A batch of audit records was written, or could not be.
    pub fn audit_commit(&self, duration: Duration) {
        self.instruments
            .audit_commit_duration
            .record(duration.as_secs_f64(), &[]);
    }

    /// Certificates or keys have changed on disk; `ok` says whether they are in use now.
    pub fn tls_reload(&self, what: Reloaded, ok: bool) {
        let result = if ok {
            names::RELOAD_OK
        } else {
            names::RELOAD_FAILED
        };
        self.instruments.tls_reloads.add(
            1,
            &[
                KeyValue::new(names::RELOAD_WHAT, what.as_str()),
                KeyValue::new(names::RELOAD_RESULT, result),
            ],
        );
    }

    /// A connection has ended before a call was possible; `reason` is one of a closed set
    /// of words.
    pub fn connection_refused(&self, reason: &'static str) {
        let reason = KeyValue::new(names::REFUSED_REASON, reason);
        self.instruments.connections_refused.add(1, &[reason]);
    }

    /// Counts a call as in flight until the guard is dropped.
    #[must_use = "the call counts as in flight only while the guard lives"]
    pub fn call_in_flight(&self, method: &'static str) -> LevelGuard {
        let bind = || {
            let method = KeyValue::new(names::RPC_METHOD, method);
            self.instruments.calls_in_flight.bind(&[method])
        };
        let bound = &self.instruments.of_calls.calls_in_flight;
        LevelGuard::raise(bound.get(&method, bind))
    }

    /// Counts a task as read for those who follow it until the guard is dropped.
    #[must_use = "the task counts as watched only while the guard lives"]
    pub fn task_watched(&self) -> LevelGuard {
        LevelGuard::raise(self.instruments.watch_tasks.clone())
    }

    /// Counts an attempt as detached until the guard is dropped.
    #[must_use = "the attempt counts as detached only while the guard lives"]
    pub fn call_detached(&self) -> LevelGuard {
        LevelGuard::raise(self.instruments.calls_detached.clone())
    }

    /// A call was refused because Graph has asked its credential to wait.
    pub fn call_throttled(&self) {
        self.instruments.throttle_refused.add(1, &[]);
    }

    /// From now on each export asks how many credentials Graph has asked to wait.
    ///
    /// `count` is kept as long as the exporter lives, and is called on its thread.
    pub fn observe_closed_gates(&self, count: impl Fn() -> usize + Send + Sync + 'static) {
        self.instruments
            .meter
            .i64_observable_up_down_counter(names::THROTTLE_CLOSED)
            .with_unit(names::UNIT_CREDENTIAL)
            .with_description("Credentials that Graph has asked to wait.")
            .with_callback(move |observer| {
                observer.observe(i64::try_from(count()).unwrap_or(i64::MAX), &[]);
            })
            .build();
    }

    /// Counts a call as waiting for its place until the guard is dropped.
    #[must_use = "the call counts as waiting only while the guard lives"]
    pub fn call_waiting(&self) -> LevelGuard {
        LevelGuard::raise(self.instruments.calls_waiting.clone())
    }

    /// A call got no place: the queue was full, or its wait or its deadline ended.
    pub fn call_without_place(&self) {
        self.instruments.calls_without_place.add(1, &[]);
    }
}

/// One unit of an up-down counter; dropping it takes the unit back, on every path out of a call.
#[derive(Debug)]
pub struct LevelGuard(BoundUpDownCounter<i64>);

impl LevelGuard {
    fn raise(level: BoundUpDownCounter<i64>) -> Self {
        level.add(1);
        Self(level)
    }
}

impl Drop for LevelGuard {
    fn drop(&mut self) {
        self.0.add(-1);
    }
}

#[cfg(test)]
mod tests;
