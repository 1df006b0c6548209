//! What a caller reads from a status.

use std::collections::HashMap;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// A status with its details, decoded as any client would.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) code: Code,
    pub(crate) message: String,
    pub(crate) reason: String,
    pub(crate) domain: String,
    pub(crate) outcome: String,
    /// `ErrorInfo.metadata`.
    pub(crate) metadata: HashMap<String, String>,
    /// `grpc-retry-pushback-ms`.
    pub(crate) pushback: Option<String>,
    pub(crate) details: ErrorDetails,
}

/// Decodes an error of the gateway's; every one of them has an `ErrorInfo`.
#[track_caller]
pub(crate) fn answer(status: &Status) -> Answer {
    let details = status.get_error_details();
    let Some(info) = details.error_info().cloned() else {
        panic!("no ErrorInfo in {status:?}");
    };
    let pushback = status.metadata().get("grpc-retry-pushback-ms");
    Answer {
        code: status.code(),
        message: status.message().to_owned(),
        reason: info.reason,
        domain: info.domain,
        outcome: info.metadata["actionOutcome"].clone(),
        metadata: info.metadata,
        pushback: pushback.map(|value| value.to_str().unwrap().to_owned()),
        details,
    }
}
