//! A gateway in front of a sandbox, both in this process, on ports of their own.

mod attacker;
mod collector;
mod crowd;
mod details;
pub(crate) mod frames;
mod gateway;
mod observed;
pub(crate) mod program;
mod raw;
pub(crate) mod source;
pub(crate) mod stub;
mod tls;
mod tree;
pub(crate) mod valve;
mod wire;

use std::{future::Future, time::Duration};

pub(crate) use crate::promises::{Contract, block_bytes};
pub(crate) use attacker::{Attacker, PREFACE, fields};
pub(crate) use collector::{Collector, Received};
pub(crate) use crowd::{Crowd, Hanging};
pub(crate) use details::{Answer, answer};
pub(crate) use gateway::{Gateway, GatewayBuilder, TOKEN, request, with_token};
pub(crate) use observed::{attributes, boundaries, points};
pub(crate) use raw::{RawCall, frame};
pub(crate) use stub::Stub;
pub(crate) use tls::{ANY_TLS, Authority, Issued, Keys, TLS_1_2, TLS_1_3, TlsFolder};
pub(crate) use tree::{CALLER, TRACE, TRACEPARENT, Tree};
pub(crate) use valve::Valve;
pub(crate) use wire::{EXECUTE, Sent, Wire, execute_message, head};

/// No promise of the gateway takes longer than this in a test.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for what must happen.
#[track_caller]
pub(crate) fn within<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let caller = std::panic::Location::caller();
    async move {
        let Ok(output) = tokio::time::timeout(PATIENCE, future).await else {
            panic!("{caller}: did not happen within {PATIENCE:?}");
        };
        output
    }
}
