//! Mistakes in keys and in the file itself.

use std::path::PathBuf;

use super::*;

#[test]
fn an_unknown_key_names_the_nearest() {
    let cases = [
        (
            "[server]\nlisten = '127.0.0.1:1'\nlisten_adr = 1",
            "server.listen_adr",
            3,
            "server.listen",
        ),
        ("[servre]\nlisten = 1", "servre.listen", 2, "server.listen"),
        (
            "graph.connect-timeout = '5s'",
            "graph.connect-timeout",
            1,
            "graph.connect_timeout",
        ),
        (
            "'server.listen' = 1",
            "\"server.listen\"",
            1,
            "server.listen",
        ),
        (
            "deadline = { defualt = '1s' }",
            "deadline.defualt",
            1,
            "deadline.default",
        ),
    ];
    for (text, key, line, nearest) in cases {
        let lines = mistakes(load_text(text));
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with(&format!("{key} (file ")), "{lines:?}");
        assert!(
            lines[0].ends_with(&format!(
                ", line {line}): unknown key; did you mean {nearest}?"
            )),
            "{lines:?}"
        );
    }
    for text in [
        "[telemetry]\nendpoint = 'x'",
        "[telemetry]",
        "color = 'red'",
    ] {
        let lines = mistakes(load_text(text));
        assert!(
            lines.len() == 1 && lines[0].ends_with(": unknown key"),
            "{lines:?}"
        );
    }
}

#[test]
fn an_unknown_variable_names_the_nearest() {
    let lines = mistakes(Config::load(Sources {
        environment: environment([
            ("INCIDENTGATE_GRAPH_URL", "hunter2"),
            ("INCIDENTGATE_SERVER__LISTNE", "hunter2"),
            ("INCIDENTGATE_VERBOSE", "hunter2"),
            ("INCIDENTGATE_server__listen", "hunter2"),
            ("OTEL_SERVICE_NAME", "not ours"),
            ("INCIDENTGATE_SERVICE_HOST", "made by Kubernetes"),
        ]),
        ..Sources::default()
    }));
    assert_eq!(
        lines,
        [
            "INCIDENTGATE_GRAPH_URL: unknown environment variable; did you mean INCIDENTGATE_GRAPH__URL?",
            "INCIDENTGATE_SERVER__LISTNE: unknown environment variable; did you mean INCIDENTGATE_SERVER__LISTEN?",
            "INCIDENTGATE_VERBOSE: unknown environment variable",
            "INCIDENTGATE_server__listen: unknown environment variable; did you mean INCIDENTGATE_SERVER__LISTEN?",
        ]
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let file = Some(PathBuf::from("/nowhere/gate.toml"));
    let lines = mistakes(Config::load(Sources {
        file,
        ..Sources::default()
    }));
    assert!(
        lines[0].starts_with("file /nowhere/gate.toml: cannot be read: "),
        "{lines:?}"
    );

    let file = TempFile::new(b"\xffhunter2");
    let lines = mistakes(Config::load(Sources {
        file: Some(file.0.clone()),
        ..Sources::default()
    }));
    assert!(
        lines[0].contains("cannot be read") && lines[0].contains("UTF-8"),
        "{lines:?}"
    );
}

#[test]
fn an_error_of_syntax_names_the_place_and_not_the_text() {
    for (text, place) in [
        ("[log]\nfilter = hunter2\n", "line 2, column 10"),
        ("[log]\nfilter = 'hunter2\n", "line 2, column "),
        (
            "[log]\nfilter = 'a'\nfilter = 'hunter2'\n",
            "line 3, column 1",
        ),
        ("log.ä = hunter2", "line 1, column "),
        ("hunter2", "line 1, column "),
        ("filter = \"\\hunter2\"", "line 1, column "),
        ("a = 1\na.b = 'hunter2'", "line 2, column "),
    ] {
        let lines = mistakes(load_text(text));
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains(place), "{lines:?}");
        assert!(!lines[0].contains("hunter2"), "{lines:?}");
    }
}
