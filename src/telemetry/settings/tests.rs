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
            ..
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
fn only_a_plain_endpoint_goes_without_tls() {
    for (endpoint, want) in [
        ("http://c:4317", Way::Plain),
        ("HTTP://c:4317", Way::Plain),
        ("https://c:4317", Way::Secure),
        ("c:4317", Way::Secure),
    ] {
        let exporter = Exporter {
            endpoint: endpoint.to_owned(),
            protocol: Protocol::Grpc,
            timeout: DEFAULT_TIMEOUT,
        };
        assert_eq!(exporter.way(), want, "{endpoint}");
    }
}

#[test]
fn a_timeout_is_in_milliseconds_and_the_signals_own_wins() {
    let common = ("OTEL_EXPORTER_OTLP_TIMEOUT", "2000");
    let own = ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", " 300 ");
    let none = ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "0");
    for (variables, traces, metrics, warnings) in [
        (vec![COMMON], 10_000, 10_000, 0),
        (vec![COMMON, common], 2000, 2000, 0),
        (vec![COMMON, own], 300, 10_000, 0),
        (vec![COMMON, common, own], 300, 2000, 0),
        (vec![COMMON, common, none], 2000, 2000, 1),
    ] {
        let settings = settings(&variables);
        let timeout = |exporter: Option<Exporter>| exporter.unwrap().timeout.as_millis();
        assert_eq!(timeout(settings.traces), traces, "{variables:?}");
        assert_eq!(timeout(settings.metrics), metrics, "{variables:?}");
        assert_eq!(settings.warnings.len(), warnings, "{variables:?}");
    }
}

#[test]
fn a_bad_value_is_a_warning_without_the_value() {
    for (variable, value) in [
        ("OTEL_SDK_DISABLED", "maybe-secret"),
        ("OTEL_PROPAGATORS", "tracecontext,secret"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/secret"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "ftp://secret"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10secret"),
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
