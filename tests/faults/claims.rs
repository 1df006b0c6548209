//! What the gateway's log says about each call, by its trace.

use std::{
    collections::HashMap,
    io,
    sync::{LazyLock, Mutex},
    time::Duration,
};

use incidentgate::telemetry::{self, LogFormat, LogOptions};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::sync::watch;
use tracing_subscriber::fmt::MakeWriter;

/// How long anything may take that must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Calls that failed, and calls whose callers have left, are logged at `info`; those that
/// were answered well only at `debug`.
const FILTER: &str = "info,incidentgate::server::observation=debug";

/// One line about one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Claim {
    /// The call's own end, with its outcome if it came so far.
    Ended(Option<String>),
    /// The caller left: whether anything had left for Graph by then.
    Left(String),
    /// The outcome, after the caller had left.
    Later(String),
    /// Nothing about the outcome.
    Aside,
}

/// The claims about all calls.
#[derive(Debug)]
pub(crate) struct Claims {
    /// With the lines that they were read from.
    by_trace: Mutex<HashMap<String, Vec<(Claim, String)>>>,
    grew: watch::Sender<()>,
}

static CLAIMS: LazyLock<Claims> = LazyLock::new(|| {
    let tracers = SdkTracerProvider::builder().build();
    let subscriber = telemetry::subscriber(
        tracers.tracer("incidentgate"),
        LogOptions::new(FILTER, LogFormat::Json),
        Lines,
    );
    tracing::subscriber::set_global_default(subscriber).unwrap();
    Claims {
        by_trace: Mutex::default(),
        grew: watch::Sender::new(()),
    }
});

/// The process's only log goes here. Asked for before the first gateway starts.
pub(crate) fn claims() -> &'static Claims {
    &CLAIMS
}

// === impl Claims ===

impl Claims {
    /// All about this trace so far.
    pub(crate) fn of(&self, trace: &str) -> Vec<Claim> {
        let by_trace = self.by_trace.lock().unwrap();
        let claims = by_trace.get(trace).into_iter().flatten();
        claims.map(|(claim, _)| claim.clone()).collect()
    }

    /// The same as it was written.
    pub(crate) fn lines(&self, trace: &str) -> Vec<String> {
        let by_trace = self.by_trace.lock().unwrap();
        let claims = by_trace.get(trace).into_iter().flatten();
        claims.map(|(_, line)| line.clone()).collect()
    }

    /// Waits for a claim about this trace; `false` when it does not come.
    pub(crate) async fn until(&self, trace: &str, is_it: impl Fn(&Claim) -> bool) -> bool {
        let mut grew = self.grew.subscribe();
        tokio::time::timeout(PATIENCE, async {
            while !self.of(trace).iter().any(&is_it) {
                grew.changed().await.unwrap();
            }
        })
        .await
        .is_ok()
    }

    fn read(&self, text: &str) {
        let line: serde_json::Value = serde_json::from_str(text).unwrap();
        let word = |key: &str| line[key].as_str().map(str::to_owned);
        let claim = match line["message"].as_str() {
            Some("call failed" | "call ended") => Claim::Ended(word("outcome")),
            Some("the caller left before the action was answered") => {
                Claim::Left(word("departed").unwrap())
            }
            Some("an action was answered after its caller had left") => {
                Claim::Later(word("outcome").unwrap())
            }
            _ => Claim::Aside,
        };
        let Some(trace) = word("trace_id") else {
            return;
        };
        let mut by_trace = self.by_trace.lock().unwrap();
        by_trace
            .entry(trace)
            .or_default()
            .push((claim, text.to_owned()));
        drop(by_trace);
        self.grew.send_replace(());
    }
}

/// Reads what is written to it.
#[derive(Debug, Clone, Copy)]
struct Lines;

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for line in std::str::from_utf8(bytes).unwrap().lines() {
            claims().read(line);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        *self
    }
}
