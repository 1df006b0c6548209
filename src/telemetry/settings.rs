//! What the `OTEL_*` variables say about export and propagation.
//!
//! Only variables that the SDK does not know, that decide whether an exporter is built at
//! all, or that its client has to know are read here. The SDK and the exporter read the
//! rest by themselves: `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_TRACES_SAMPLER`,
//! `OTEL_TRACES_SAMPLER_ARG`, `OTEL_BSP_*`, `OTEL_SPAN_*_LIMIT`,
//! `OTEL_METRIC_EXPORT_INTERVAL`, and of `OTEL_EXPORTER_OTLP_*` the `HEADERS`,
//! `COMPRESSION`, `INSECURE` and `METRICS_TEMPORALITY_PREFERENCE`.

use std::time::Duration;

use super::propagation::Propagator;
use crate::outbound::Way;

/// How OTLP travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Protobuf in HTTP requests.
    HttpProtobuf,
    /// gRPC.
    Grpc,
}

/// Where one signal goes.
#[derive(Clone, PartialEq, Eq)]
pub struct Exporter {
    /// The URL; for HTTP it includes the path of the signal.
    pub endpoint: String,
    /// How it is spoken to.
    pub protocol: Protocol,
    /// The most time for one request; after it no batch is sent again.
    pub timeout: Duration,
}

impl Exporter {
    /// The way there: an endpoint of gRPC may have no scheme, and then has TLS.
    pub(super) fn way(&self) -> Way {
        match self.endpoint.get(..7) {
            Some(scheme) if scheme.eq_ignore_ascii_case("http://") => Way::Plain,
            _ => Way::Secure,
        }
    }
}

// An endpoint may hold a password.
impl std::fmt::Debug for Exporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exporter")
            .field("protocol", &self.protocol)
            .finish_non_exhaustive()
    }
}

/// The telemetry that the environment asks for.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Where spans go; `None`: nowhere.
    pub traces: Option<Exporter>,
    /// Where metrics go; `None`: nowhere.
    pub metrics: Option<Exporter>,
    /// How trace context is read and written.
    pub propagator: Propagator,
    /// `OTEL_SERVICE_NAME`. The SDK would let `OTEL_RESOURCE_ATTRIBUTES` win over it.
    pub service_name: Option<String>,
    /// What was wrong with the variables; to be logged once logging works. Never a value.
    pub warnings: Vec<String>,
}

/// One signal's part of the variables' names, its path under a common endpoint, and its
/// exporter list.
struct Signal {
    name: &'static str,
    path: &'static str,
}

const TRACES: Signal = Signal {
    name: "TRACES",
    path: "v1/traces",
};
const METRICS: Signal = Signal {
    name: "METRICS",
    path: "v1/metrics",
};

/// <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// Variables that a user may set in good faith and that nothing here can obey.
const UNSUPPORTED: [&str; 3] = [
    "OTEL_EXPORTER_OTLP_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_CLIENT_KEY",
];

impl Settings {
    /// Reads the variables through `lookup`. A bad value gives a warning and counts as not set.
    pub fn from_environment(lookup: impl Fn(&str) -> Option<String>) -> Self {
        // The specification treats an empty variable as one that is not set.
        let lookup = |name: &str| lookup(name).filter(|value| !value.trim().is_empty());
        let mut reader = Reader {
            lookup: &lookup,
            warnings: Vec::new(),
        };
        let names = lookup("OTEL_PROPAGATORS");
        let names = names.as_deref().unwrap_or(Propagator::DEFAULT_NAMES);
        let (propagator, unknown) = Propagator::from_names(names);
        if !unknown.is_empty() {
            reader.warn(
                "OTEL_PROPAGATORS",
                "a list of tracecontext, baggage, b3, b3multi or none",
            );
        }
        // Disabling the SDK leaves propagation as it is.
        let disabled = reader.is_disabled();
        let (traces, metrics) = if disabled {
            (None, None)
        } else {
            (reader.exporter(&TRACES), reader.exporter(&METRICS))
        };
        if traces.is_some() || metrics.is_some() {
            reader.warn_of_unsupported();
        }
        let warnings = reader.warnings;
        Self {
            traces,
            metrics,
            propagator,
            service_name: lookup("OTEL_SERVICE_NAME"),
            warnings,
        }
    }
}

struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    warnings: Vec<String>,
}

impl Reader<'_> {
    fn warn(&mut self, name: &str, expected: &str) {
        let warning = format!("{name} is ignored: expected {expected}");
        // Both signals read the common variables.
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    fn is_disabled(&mut self) -> bool {
        let name = "OTEL_SDK_DISABLED";
        match (self.lookup)(name) {
            Some(value) if value.eq_ignore_ascii_case("true") => true,
            Some(value) if !value.eq_ignore_ascii_case("false") => {
                self.warn(name, "true or false");
                false
            }
            _ => false,
        }
    }

    fn exporter(&mut self, signal: &Signal) -> Option<Exporter> {
        if !self.wants_otlp(signal) {
            return None;
        }
        let protocol = self.protocol(signal);
        Some(Exporter {
            endpoint: self.endpoint(signal, protocol)?,
            protocol,
            timeout: self.timeout(signal),
        })
    }

    /// `OTEL_TRACES_EXPORTER`, `OTEL_METRICS_EXPORTER`: a list, `otlp` by default.
    fn wants_otlp(&mut self, signal: &Signal) -> bool {
        let name = format!("OTEL_{}_EXPORTER", signal.name);
        let Some(value) = (self.lookup)(&name) else {
            return true;
        };
        let (mut otlp, mut none) = (false, false);
        for word in value
            .split(',')
            .map(str::trim)
            .filter(|word| !word.is_empty())
        {
            match word.to_ascii_lowercase().as_str() {
                "otlp" => otlp = true,
                "none" => none = true,
                _ => self.warn(&name, "otlp or none"),
            }
        }
        otlp || !none
    }

    fn protocol(&mut self, signal: &Signal) -> Protocol {
        let known = |word: &str| match word {
            "grpc" => Some(Protocol::Grpc),
            "http/protobuf" => Some(Protocol::HttpProtobuf),
            _ => None,
        };
        self.first(signal, "PROTOCOL", "grpc or http/protobuf", known)
            .unwrap_or(Protocol::HttpProtobuf)
    }

    fn timeout(&mut self, signal: &Signal) -> Duration {
        let known = |word: &str| word.parse().ok().filter(|ms| *ms > 0);
        self.first(signal, "TIMEOUT", "milliseconds, such as 10000", known)
            .map_or(DEFAULT_TIMEOUT, Duration::from_millis)
    }

    /// What the signal's own variable says, or else the common one.
    fn first<T>(
        &mut self,
        signal: &Signal,
        what: &str,
        expected: &str,
        known: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let own = format!("OTEL_EXPORTER_OTLP_{}_{what}", signal.name);
        for name in [own, format!("OTEL_EXPORTER_OTLP_{what}")] {
            let Some(value) = (self.lookup)(&name) else {
                continue;
            };
            if let Some(found) = known(value.trim()) {
                return Some(found);
            }
            self.warn(&name, expected);
        }
        None
    }

    /// The signal's own endpoint is taken as it is; to the common one HTTP adds the signal's path.
    fn endpoint(&mut self, signal: &Signal, protocol: Protocol) -> Option<String> {
        let specific = format!("OTEL_EXPORTER_OTLP_{}_ENDPOINT", signal.name);
        if let Some(endpoint) = self.url(&specific, protocol) {
            return Some(endpoint);
        }
        let base = self.url("OTEL_EXPORTER_OTLP_ENDPOINT", protocol)?;
        Some(match protocol {
            Protocol::Grpc => base,
            Protocol::HttpProtobuf => format!("{}/{}", base.trim_end_matches('/'), signal.path),
        })
    }

    fn url(&mut self, name: &str, protocol: Protocol) -> Option<String> {
        let value = (self.lookup)(name)?;
        let value = value.trim();
        let is_usable = value
            .parse::<http::Uri>()
            .is_ok_and(|uri| match uri.scheme_str() {
                Some("http" | "https") => uri.authority().is_some(),
                // gRPC endpoints may leave the scheme to OTEL_EXPORTER_OTLP_INSECURE.
                None => protocol == Protocol::Grpc && uri.authority().is_some(),
                Some(_) => false,
            });
        if is_usable {
            return Some(value.to_owned());
        }
        let expected = match protocol {
            Protocol::Grpc => "a URL such as http://collector:4317",
            Protocol::HttpProtobuf => "a URL such as http://collector:4318",
        };
        self.warn(name, expected);
        None
    }

    fn warn_of_unsupported(&mut self) {
        for name in UNSUPPORTED {
            if (self.lookup)(name).is_some() {
                self.warnings.push(format!(
                    "{name} is not supported: a private CA belongs into SSL_CERT_FILE"
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests;
