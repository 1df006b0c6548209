//! Mistakes in values and between them.

use super::*;

#[test]
fn a_bad_value_names_key_source_and_form_but_not_itself() {
    let cases = [
        (
            "server.listen",
            "localhost:4711",
            "an IP address and a port",
        ),
        ("server.listen", "4711", "an IP address and a port"),
        ("server.max_connections", "0", "from 1 to 1000000"),
        ("server.max_connections", "4711000", "from 1 to 1000000"),
        ("server.max_in_flight", "-4711", "a whole number"),
        ("server.max_header_list_size", "4711.5", "a whole number"),
        (
            "server.max_concurrent_streams",
            "99999999999999999999",
            "a whole number",
        ),
        ("server.reflection", "yes", "`true` or `false`"),
        ("server.idle_timeout", "4711", "a duration with a unit"),
        ("server.idle_timeout", "0", "a duration with a unit"),
        ("server.idle_timeout", "0s", "from 1ms to 1day"),
        ("server.idle_timeout", "47days", "from 1ms to 1day"),
        ("deadline.max", "-47s", "a duration"),
        ("deadline.max", "18446744073709551615s 1000ms", "a duration"),
        ("deadline.default", "47 parsecs", "a duration"),
        ("drain.delay", "", "a duration"),
        ("graph.url", "http://graph.example/beta", "an https URL"),
        ("graph.url", "https://graph.example/?key=47", "an https URL"),
        ("graph.url", "", "an https URL"),
        (
            "graph.ca_file",
            "a\0b",
            "the path of a file, or an empty text",
        ),
        (
            "credentials.mode",
            "hunter2",
            "one of `passthrough`, `application`, `on_behalf_of`",
        ),
        ("audit.sink", "syslog", "one of `off`, `stdout`, `file`"),
        ("audit.fsync", "never", "one of `always`, `interval`"),
        ("audit.on_failure", "ignore", "one of `refuse`, `proceed`"),
        (
            "audit.file",
            "/hunter2",
            "no value, or `file` in audit.sink (default)",
        ),
        ("log.format", "JSON", "one of `auto`, `human`, `json`"),
        ("log.filter", "incidentgate=loud", "log directives"),
        ("log.filter", "debgu", "log directives"),
        ("log.filter", "warning", "log directives"),
        ("log.filter", "info;x", "log directives"),
        ("log.filter", "info incidentgate=debug", "log directives"),
        ("log.filter", "info,h2=", "log directives"),
        ("log.filter", "info,=warn", "log directives"),
        ("log.filter", "info,h2", "log directives"),
        ("log.filter", "info,a b=warn", "log directives"),
        ("log.filter", "info,", "log directives"),
        ("log.filter", "4", "log directives"),
        (
            "credentials.tenant",
            "Common",
            "the id or domain of one tenant",
        ),
        ("callers.jwt_audience", "a,b c,d", "; entry 2 is not one"),
        ("policy.reflection", "*, *,47", "; entry 3 is not one"),
        ("log.filter", "", "log directives"),
        ("sandbox.listen", "0.0.0.0:8080", "a loopback address"),
    ];
    for (key, value, expected) in cases {
        let lines = mistakes(Config::load(flags([(key, value)])));
        let [line] = &lines[..] else {
            panic!("one mistake for {key}: {lines:?}")
        };
        assert!(
            line.starts_with(&format!("{key} (flag --test): expected ")),
            "{line}"
        );
        assert!(line.contains(expected), "{line}");
        let is_part_of_the_form = ["", "0", "0s", "sandbox"].contains(&value);
        assert!(is_part_of_the_form || !line.contains(value), "{line}");
    }
}

#[test]
fn a_log_filter_is_levels_and_targets_with_levels() {
    for (text, want) in [
        ("off", "off"),
        ("WARN", "WARN"),
        (
            "info, incidentgate::graph=Debug",
            "info,incidentgate::graph=Debug",
        ),
        ("h2=trace,info", "h2=trace,info"),
        ("my-target.x=error", "my-target.x=error"),
    ] {
        let loaded = Config::load(flags([("log.filter", text)])).unwrap();
        assert_eq!(loaded.config.log.filter, want);
    }
}

#[test]
fn each_word_for_many_tenants_is_refused() {
    for word in ["common", "organizations", "consumers"] {
        assert_eq!(
            mistakes(Config::load(flags([("credentials.tenant", word)]))).len(),
            1
        );
    }
    assert!(Config::load(flags([("credentials.tenant", "common.example")])).is_ok());
}

#[test]
fn a_toml_value_of_another_kind_is_refused() {
    for text in [
        "log.filter = 5",
        "log.filter = true",
        "graph.ca_file = 5",
        "drain.delay = 0",
        "server.max_connections = 1.0",
        "server.max_connections = true",
        "server.listen = ['127.0.0.1:1']",
        "server.listen = 1979-05-27",
        "[server.listen]",
        "server.listen.port = 1",
        "server.reflection = 1",
        "server = 5",
        "[[server]]\nlisten = '127.0.0.1:1'",
    ] {
        let lines = mistakes(load_text(text));
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains(", line 1): expected "), "{lines:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_unicode_is_a_mistake() {
    use std::os::unix::ffi::OsStringExt;

    let variable = (
        "INCIDENTGATE_LOG__FILTER".into(),
        OsString::from_vec(vec![0xff]),
    );
    let lines = mistakes(Config::load(Sources {
        environment: [variable].into(),
        ..Sources::default()
    }));
    assert!(
        lines[0]
            .starts_with("log.filter (environment variable INCIDENTGATE_LOG__FILTER): expected"),
        "{lines:?}"
    );
}

#[test]
fn all_mistakes_of_all_sources_come_at_once() {
    let file = TempFile::new(
        "[server]\nlisten = 'hunter2'\ncolor = 'hunter2'\n[deadline]\ndefault = '10m'\n",
    );
    let lines = mistakes(Config::load(Sources {
        file: Some(file.0.clone()),
        environment: environment([
            ("INCIDENTGATE_SERVER__LISTEN", "127.0.0.1:1"),
            ("INCIDENTGATE_COLOR", "hunter2"),
            ("INCIDENTGATE_LOG__FORMAT", "hunter2"),
        ]),
        ..flags([
            ("graph.url", "hunter2"),
            ("server.max_connection_age_grace", "1m"),
        ])
    }));
    let heads: Vec<_> = lines
        .iter()
        .map(|line| line.split([' ', ':']).next().unwrap())
        .collect();
    assert_eq!(
        heads,
        [
            "server.color",
            "INCIDENTGATE_COLOR",
            "server.listen",
            "graph.url",
            "log.format",
            "deadline.default",
            "server.max_connection_age_grace",
        ]
    );
    assert!(!lines.concat().contains("hunter2"));
}

#[test]
fn a_rule_names_both_keys_and_their_sources() {
    let cases = [
        (
            vec![("deadline.max", "10s")],
            "deadline.default (default): expected at most deadline.max (flag --test)",
        ),
        (
            vec![("deadline.max", "5m")],
            "server.max_connection_age_grace (default): expected at least deadline.max (flag --test)",
        ),
        (
            vec![("graph.http2_prior_knowledge", "true")],
            "graph.http2_prior_knowledge (flag --test): expected `false`, or plain http in graph.url (default)",
        ),
    ];
    for (set, line) in cases {
        let flags = set
            .into_iter()
            .map(|(key, value)| flag(key, value))
            .collect();
        assert_eq!(
            mistakes(Config::load(Sources {
                flags,
                ..Sources::default()
            })),
            [line]
        );
    }
    let plain = flags([
        ("graph.http2_prior_knowledge", "true"),
        ("graph.url", "http://[::1]:8080/beta"),
    ]);
    assert!(
        Config::load(plain)
            .unwrap()
            .config
            .graph
            .http2_prior_knowledge
    );
}

#[test]
fn a_rule_is_silent_about_keys_that_are_wrong_themselves() {
    let lines = mistakes(Config::load(flags([
        ("deadline.max", "a while"),
        ("deadline.default", "1h"),
    ])));
    assert_eq!(lines.len(), 1, "{lines:?}");

    // The file may hold a `deadline.max` that allows it, but nothing can allow a URL
    // under `--sandbox`.
    let sources = flags([
        ("deadline.default", "1h"),
        ("graph.url", "https://graph.microsoft.com/beta"),
    ]);
    let file = Some("/nowhere/gate.toml".into());
    let lines = mistakes(Config::load(Sources {
        file,
        preset: Preset::Sandbox,
        ..sources
    }));
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(
        lines[1],
        "graph.url (flag --test): expected no value, because --sandbox brings its own Graph"
    );
}
