//! Microsoft Graph: the only place that speaks HTTP to it, and the only one that
//! knows what its answers mean.
//!
//! [`GraphClient::attempt`] sends one POST, and [`GraphClient::ask`] makes an [`Inquiry`],
//! which may be made again. [`classify`] and `inquiry` turn whatever came back into
//! [`Accepted`], [`Answered`] or a [`Failure`]; nothing behind them looks at an HTTP status
//! again.

mod body;
mod challenge;
pub mod classify;
mod client;
mod clients;
mod departure;
mod echo;
mod error_body;
mod error_kind;
mod exchange;
mod inquiry;
mod lanes;
mod refusal;
mod request;
mod retry_after;
mod span;
mod task;
mod text;
mod warning;

use std::time::Duration;

use opentelemetry::KeyValue;

use self::exchange::Answer;
use crate::{
    failure::Failure,
    telemetry::{Outcome, names},
};

pub use client::{Ask, Attempt, GraphClient, GraphOptions};
pub use clients::{BuildError, GraphTls};
pub use departure::{Departed, Departure};
pub use echo::{
    remove_from_headers as remove_token_from_headers, removed_from_body as remove_token_from_body,
};
pub use inquiry::{Found, Inquiry};
pub use retry_after::{MAX_RETRY_AFTER, parse as parse_retry_after};
pub use task::{Page, read_page, read_task};
pub use warning::parse as parse_warnings;

/// Graph started the action.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accepted {
    /// The HTTP status, 204 as documented or another 2xx.
    pub status: u16,
    /// Graph's `request-id`.
    pub graph_request_id: Option<String>,
    /// Providers behind Graph that reported trouble all the same.
    pub provider_warnings: Vec<ProviderWarning>,
}

impl Answer for Accepted {
    fn status(&self) -> u16 {
        self.status
    }

    fn graph_request_id(&self) -> Option<&str> {
        self.graph_request_id.as_deref()
    }

    fn finding(result: &Result<Self, Failure>) -> Option<KeyValue> {
        let outcome = match result {
            Ok(_) => Outcome::Started,
            Err(failure) => failure.outcome().into(),
        };
        Some(KeyValue::new(names::ACTION_OUTCOME, outcome.as_str()))
    }
}

/// What an [`Inquiry`] has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered<T> {
    /// What was found.
    pub found: T,
    /// The HTTP status.
    pub status: u16,
    /// Graph's `request-id`.
    pub graph_request_id: Option<String>,
}

impl<T: Found> Answer for Answered<T> {
    fn status(&self) -> u16 {
        self.status
    }

    fn graph_request_id(&self) -> Option<&str> {
        self.graph_request_id.as_deref()
    }

    fn finding(result: &Result<Self, Failure>) -> Option<KeyValue> {
        let status = result.as_ref().ok()?.found.action_status()?;
        Some(KeyValue::new(names::ACTION_STATUS, status))
    }
}

/// One item of `Warning: 199 - "Vendor/Provider/StatusCode/LatencyInMs"` (Graph
/// page "Microsoft Graph Security API error responses").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderWarning {
    /// The vendor.
    pub vendor: String,
    /// The vendor's product.
    pub provider: String,
    /// The HTTP status with which the provider answered Graph.
    pub status_code: u16,
    /// How long it took.
    pub latency: Option<Duration>,
}
