//! What the `OTEL_*` variables say about export and propagation.
//!
//! Only variables that the SDK does not know, or that decide whether an exporter is built
//! at all, are read here. The SDK and the exporter read the rest by themselves:
//! `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG`,
//! `OTEL_BSP_*`, `OTEL_SPAN_*_LIMIT`, `OTEL_METRIC_EXPORT_INTERVAL`, and of
//! `OTEL_EXPORTER_OTLP_*` the `HEADERS`, `TIMEOUT`, `COMPRESSION`, `INSECURE` and
//! `METRICS_TEMPORALITY_PREFERENCE`.

use super::propagation::Propagator;

/// How OTLP travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Protobuf in HTTP/1.1 requests.
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
        let endpoint = self.endpoint(signal, protocol)?;
        Some(Exporter { endpoint, protocol })
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
        let specific = format!("OTEL_EXPORTER_OTLP_{}_PROTOCOL", signal.name);
        for name in [specific.as_str(), "OTEL_EXPORTER_OTLP_PROTOCOL"] {
            match (self.lookup)(name).as_deref().map(str::trim) {
                Some("grpc") => return Protocol::Grpc,
                Some("http/protobuf") => return Protocol::HttpProtobuf,
                Some(_) => self.warn(name, "grpc or http/protobuf"),
                None => {}
            }
        }
        Protocol::HttpProtobuf
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
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> Settings {
        Settings::from_environment(|name| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    /// The two endpoints; the protocol stands before each.
    fn endpoints(variables: &[(&str, &str)]) -> (String, String) {
        let settings = settings(variables);
        let text = |exporter: Option<Exporter>| match exporter {
            None => String::from("none"),
            Some(Exporter {
                endpoint,
                protocol: Protocol::Grpc,
            }) => format!("grpc {endpoint}"),
            Some(Exporter { endpoint, .. }) => format!("http {endpoint}"),
        };
        (text(settings.traces), text(settings.metrics))
    }

    const COMMON: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/");
    const TRACES: (&str, &str) = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t:1/own");

    #[test]
    fn nothing_is_exported_unless_an_endpoint_is_set() {
        let none = ("none".to_owned(), "none".to_owned());
        assert_eq!(endpoints(&[]), none);
        assert_eq!(endpoints(&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]), none);
        assert_eq!(endpoints(&[("OTEL_TRACES_EXPORTER", "otlp")]), none);
        assert_eq!(endpoints(&[COMMON, ("OTEL_SDK_DISABLED", "TRUE")]), none);
    }

    #[test]
    fn endpoints_follow_the_specification() {
        let http = |traces: &str, metrics: &str| (traces.to_owned(), metrics.to_owned());
        for (variables, expected) in [
            (
                vec![COMMON],
                http(
                    "http http://c:4318/v1/traces",
                    "http http://c:4318/v1/metrics",
                ),
            ),
            (vec![TRACES], http("http http://t:1/own", "none")),
            (
                vec![COMMON, TRACES],
                http("http http://t:1/own", "http http://c:4318/v1/metrics"),
            ),
            (
                vec![COMMON, ("OTEL_METRICS_EXPORTER", "none")],
                http("http http://c:4318/v1/traces", "none"),
            ),
            (
                vec![COMMON, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")],
                http("grpc http://c:4318/", "grpc http://c:4318/"),
            ),
            (
                vec![
                    COMMON,
                    ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
                    ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
                ],
                http("http http://c:4318/v1/traces", "grpc http://c:4318/"),
            ),
            (
                vec![
                    ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
                    ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
                ],
                http("grpc collector:4317", "grpc collector:4317"),
            ),
        ] {
            assert_eq!(endpoints(&variables), expected, "{variables:?}");
            assert_eq!(settings(&variables).warnings, [""; 0], "{variables:?}");
        }
    }

    #[test]
    fn a_bad_value_is_a_warning_without_the_value() {
        for (variable, value) in [
            ("OTEL_SDK_DISABLED", "maybe-secret"),
            ("OTEL_PROPAGATORS", "tracecontext,secret"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/secret"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "ftp://secret"),
            ("OTEL_TRACES_EXPORTER", "secret"),
        ] {
            let settings = settings(&[COMMON, (variable, value)]);
            assert_eq!(
                settings.warnings.len(),
                1,
                "{variable}: {:?}",
                settings.warnings
            );
            assert!(
                settings.warnings[0].starts_with(variable),
                "{:?}",
                settings.warnings
            );
            assert!(
                !settings.warnings[0].contains("secret"),
                "{:?}",
                settings.warnings
            );
            let traces = settings
                .traces
                .expect("a bad value does not turn export off");
            assert_eq!(traces.endpoint, "http://c:4318/v1/traces");
        }
    }

    #[test]
    fn what_cannot_be_obeyed_is_said() {
        let ca = ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem");
        assert_eq!(settings(&[COMMON, ca]).warnings.len(), 1);
        assert!(settings(&[ca]).warnings.is_empty());
    }

    #[test]
    fn debug_output_shows_no_endpoint() {
        let settings = settings(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:secret@c:1")]);
        assert!(settings.traces.is_some());
        assert!(!format!("{settings:?}").contains("secret"));
    }

    #[test]
    fn propagation_stays_when_the_sdk_is_off() {
        let variables = [("OTEL_SDK_DISABLED", "true"), ("OTEL_PROPAGATORS", "b3")];
        let propagator = settings(&variables).propagator;
        assert_eq!(propagator, Propagator::from_names("b3").0);
    }
}
