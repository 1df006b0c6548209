//! The real binary: exit codes, output, signals.

use std::net::TcpListener;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::Value;

use crate::support::program::{Ended, Program, Server, Simulator, TempFile, run};

#[track_caller]
fn assert_ended(ended: &Ended, code: i32, texts: &[&str]) {
    let all = format!("{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.code, Some(code), "{all}");
    for text in texts {
        assert!(all.contains(text), "{text:?} is not in: {all}");
    }
}

#[test]
fn bad_configuration_ends_before_a_port_is_opened_and_names_every_mistake() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let file = TempFile::new("bad.toml", "[deadline]\nmax = \"s3cret-max\"\nmx = 1\n");
    for command in ["serve", "check"] {
        let ended = Program::start_with(
            &[
                command,
                "--config",
                file.path(),
                "--listen",
                &taken.local_addr().unwrap().to_string(),
                "--graph-url",
                "http://s3cret.example/beta",
            ],
            &[
                ("INCIDENTGATE_LOG__FORMAT", "s3cret-format"),
                ("INCIDENTGATE_SERVR__LISTEN", "s3cret-listen"),
            ],
            "",
        )
        .ended();
        // A port in use would be exit code 1.
        assert_ended(
            &ended,
            64,
            &[
                "the configuration has 5 mistakes",
                "deadline.max (file ",
                "bad.toml, line 2): expected a duration",
                "deadline.mx",
                "line 3): unknown key; did you mean deadline.max?",
                "log.format (environment variable INCIDENTGATE_LOG__FORMAT): expected one of",
                "did you mean INCIDENTGATE_SERVER__LISTEN?",
                "graph.url (flag --graph-url): expected an https URL",
            ],
        );
        assert!(!ended.stderr.contains("s3cret"), "{}", ended.stderr);
        assert_eq!(ended.stdout, "");
    }
}

#[test]
fn a_mistake_on_the_command_line_has_the_same_exit_code() {
    assert_ended(&run(&["serve", "--lisen", "x"]), 64, &["--listen"]);
    assert_ended(&run(&["execute"]), 64, &["<ID>"]);
    assert_ended(&run(&[]), 64, &["Usage"]);
    assert_ended(
        &run(&["execute", "--help"]),
        0,
        &["Exits 0", "--token-file"],
    );
    assert_ended(&run(&["--version"]), 0, &[env!("CARGO_PKG_VERSION")]);
}

#[test]
fn check_prints_a_file_that_loads_again() {
    let first = Program::start_with(
        &["check", "--listen", "[::1]:1"],
        &[("INCIDENTGATE_DEADLINE__MAX", "90s")],
        "",
    )
    .ended();
    assert_ended(
        &first,
        0,
        &[
            "flag --listen",
            "# environment variable INCIDENTGATE_DEADLINE__MAX",
            "# default",
        ],
    );
    let file = TempFile::new("checked.toml", &first.stdout);
    let second = run(&["check", "--config", file.path()]);
    assert_ended(
        &second,
        0,
        &["\"[::1]:1\"", "\"90s\"", "checked.toml, line 1"],
    );
}

#[test]
fn execute_tells_the_outcome_by_text_and_exit_code() {
    let server = Server::with_sandbox();
    assert_ended(
        &server.execute(&["213213"]),
        0,
        &["STARTED: the action was started", "ACCEPTED"],
    );
    assert_ended(
        &server.execute(&["213213"]),
        3,
        &[
            "ALREADY_STARTED: ",
            "ACTION_ALREADY_IN_PROGRESS (graph.microsoft.com)",
        ],
    );
    assert_ended(
        &server.execute(&["213214"]),
        1,
        &[
            "NOT_STARTED: ",
            "UNSUPPORTED_ACTION_TYPE (graph.microsoft.com)",
        ],
    );
    assert_ended(
        &server.execute(&[".."]),
        1,
        &["NOT_STARTED: ", "INVALID_REQUEST (incidentgate)"],
    );
}

#[test]
fn the_sandbox_brings_all_that_its_entra_needs() {
    // What a production configuration may set for the real one.
    let server = Server::with_variables(&[
        ("INCIDENTGATE_CREDENTIALS__TENANT", "contoso.example"),
        ("INCIDENTGATE_CREDENTIALS__CLIENT_ID", "gateway"),
        (
            "INCIDENTGATE_CREDENTIALS__CLIENT_AUTHENTICATION",
            "certificate",
        ),
        (
            "INCIDENTGATE_CREDENTIALS__CERTIFICATE_FILE",
            "/nowhere/gateway.pem",
        ),
        (
            "INCIDENTGATE_CREDENTIALS__AUTHORITY",
            "https://login.example",
        ),
        (
            "INCIDENTGATE_CREDENTIALS__SCOPE",
            "https://graph.example/.default",
        ),
        ("INCIDENTGATE_CREDENTIALS__CA_FILE", "/nowhere/ca.pem"),
    ]);
    assert_ended(&server.execute(&["213213"]), 0, &["ACCEPTED"]);
}

#[test]
fn execute_prints_one_json_object() {
    let server = Server::with_sandbox();
    let guid = "a2f0b4a6-7d3c-4c5e-9a52-0f6f2f6d9d11";
    let ended = server.execute(&["213213", "--json", "--client-request-id", guid]);
    assert_ended(&ended, 0, &[]);
    let started: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(started["outcome"], "STARTED");
    assert_eq!(started["confirmation"], "ACCEPTED");
    assert_eq!(started["clientRequestId"], guid);

    let ended = server.execute(&["999", "--json"]);
    assert_ended(&ended, 1, &[]);
    let refused: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(refused["outcome"], "NOT_STARTED");
    assert_eq!(refused["code"], "NOT_FOUND");
    assert_eq!(refused["metadata"]["httpStatus"], "404");
}

#[test]
fn health_exits_0_only_when_the_gateway_serves() {
    let server = Server::with_sandbox();
    let endpoint = server.endpoint();
    let health = |more: &[&str]| run(&[&["health", "--endpoint", &endpoint], more].concat());
    assert_ended(&health(&[]), 0, &["SERVING"]);
    let service = "incidentgate.v1.IncidentTaskService";
    assert_ended(&health(&["--service", service]), 0, &["SERVING"]);
    assert_ended(
        &health(&["--service", "x"]),
        1,
        &["NOT_FOUND: no such service"],
    );
    drop(server);
    assert_ended(&health(&[]), 1, &["cannot reach the gateway", &endpoint]);
}

#[test]
fn without_a_gateway_nothing_was_started() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let execute = ["execute", "213213", "--endpoint", &endpoint];
    assert_ended(
        &run(&execute),
        1,
        &["the action was not started", &endpoint],
    );
    let ended = run(&[&execute[..], &["--json"]].concat());
    assert_ended(&ended, 1, &["\"outcome\":\"NOT_STARTED\"", &endpoint]);
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for arguments in [
        &[
            "serve",
            "--listen",
            &address,
            "--graph-url",
            "http://127.0.0.1:1/beta",
        ][..],
        &["serve", "--sandbox", "--listen", &address],
        &["sandbox", "--listen", &address],
    ] {
        let wanted = format!("cannot listen on {address}");
        assert_ended(&run(arguments), 1, &[&wanted, "in use"]);
    }
}

#[test]
fn the_token_comes_from_a_file_or_from_stdin() {
    let sandbox = Simulator::start();
    let server = Server::before(&sandbox);
    assert_ended(
        &server.execute(&["213213"]),
        1,
        &["UNAUTHENTICATED", "CALLER_UNAUTHENTICATED (incidentgate)"],
    );
    assert_eq!(sandbox.journal().len(), 0);

    let token = TempFile::new("token", "s3cret-token\n");
    let ended = server.execute(&["213213", "--token-file", token.path()]);
    assert_ended(&ended, 0, &["STARTED"]);
    let endpoint = server.endpoint();
    let by_stdin = [
        "execute",
        "213216",
        "--token-file",
        "-",
        "--endpoint",
        &endpoint,
    ];
    let ended = Program::start_with(&by_stdin, &[], "s3cret-token\n").ended();
    assert_ended(&ended, 0, &["STARTED"]);

    assert_ended(&Program::start(&by_stdin).ended(), 64, &["is empty"]);
    let missing = "/nonexistent/incidentgate-token";
    assert_ended(
        &server.execute(&["213213", "--token-file", missing]),
        64,
        &[missing, "cannot be read"],
    );
    let empty = TempFile::new("empty", " \n");
    let ended = server.execute(&["213213", "--token-file", empty.path()]);
    assert_ended(&ended, 64, &["is empty"]);
    let split = TempFile::new("split", "s3cret\ntoken");
    let ended = server.execute(&["213213", "--token-file", split.path()]);
    assert_ended(&ended, 64, &["something else than one token"]);
    assert!(!ended.stderr.contains("s3cret"), "{}", ended.stderr);
    assert_eq!(sandbox.journal().len(), 2);

    server.program.signal("TERM");
    let ended = server.program.ended();
    assert_ended(&ended, 0, &["drained"]);
    assert!(!ended.stderr.contains("s3cret"), "{}", ended.stderr);
}

/// A gateway with one call that Graph does not answer, and its caller.
fn held_call() -> (Simulator, Server, Program) {
    let sandbox = Simulator::start();
    let server = Server::before(&sandbox);
    sandbox.hold("213213");
    let caller = Program::start_with(
        &[
            "execute",
            "213213",
            "--endpoint",
            &server.endpoint(),
            "--token-file",
            "-",
        ],
        &[],
        "token",
    );
    sandbox.wait_for_a_request();
    (sandbox, server, caller)
}

fn draining(server: &Server) {
    server.program.signal("TERM");
    server
        .program
        .log_line(|line| line.contains("draining").then_some(()));
}

#[test]
fn sigterm_lets_the_calls_in_flight_finish() {
    let (sandbox, server, caller) = held_call();
    draining(&server);
    sandbox.release("213213");
    assert_ended(&caller.ended(), 0, &["STARTED"]);
    assert_ended(&server.program.ended(), 0, &["drained"]);
    assert_eq!(sandbox.journal().len(), 1);
}

#[test]
fn a_second_signal_ends_the_gateway_at_once() {
    let (_sandbox, server, caller) = held_call();
    draining(&server);
    server.program.signal("INT");
    let ended = server.program.ended();
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("drain cut short"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("drained"), "{}", ended.stderr);
    assert_ended(
        &caller.ended(),
        4,
        &["UNKNOWN: the action may have been started"],
    );
}

#[test]
fn a_gateway_that_dies_leaves_an_unknown_outcome() {
    let (sandbox, server, caller) = held_call();
    server.program.signal("KILL");
    assert_ended(
        &caller.ended(),
        4,
        &[
            "UNKNOWN: the action may have been started",
            "look at the task's actionStatus before you send the call again",
        ],
    );
    assert_eq!(sandbox.journal().len(), 1);
}

#[test]
fn the_sandbox_ends_with_a_signal() {
    let sandbox = Program::start(&["sandbox", "--listen", "127.0.0.1:0"]);
    sandbox.output_line(|line| line.contains("213213 isolateDevice").then_some(()));
    sandbox.signal("INT");
    assert_ended(&sandbox.ended(), 0, &[]);
}

#[test]
fn a_token_of_the_sandbox_is_minted_and_accepted_by_its_graph() {
    let program = Program::start(&["sandbox", "--listen", "127.0.0.1:0", "--tokens", "issued"]);
    let entra = program.output_line(|line| line.strip_prefix("Entra: ").map(str::to_owned));
    let facts: Vec<_> = entra.split(", ").collect();
    let base = facts[0].strip_prefix("authority ").unwrap();
    let graph = format!("{base}/beta");
    let mint = |arguments: &[&str]| run(&[&["mint", "--sandbox", base], arguments].concat());

    let caller = mint(&["--user", "u", "--scope", "A", "--scope", "B", "--app", "a"]);
    assert_ended(&caller, 0, &[]);
    let client = facts[2].strip_prefix("client id ").unwrap();
    let claims = claims(caller.stdout.trim());
    for (claim, want) in [
        ("aud", client),
        ("azp", "a"),
        ("oid", "u"),
        ("scp", "A B"),
        (
            "iss",
            &format!("{base}/{}/v2.0", facts[1].strip_prefix("tenant ").unwrap()),
        ),
    ] {
        assert_eq!(claims[claim], want, "{claim}");
    }

    let gateway = Server::before_graph(&graph, &[]);
    let resource = "https://graph.microsoft.com";
    for (lifetime, code, text) in [
        ("1h", 0, "STARTED: "),
        ("-1m", 1, "Lifetime validation failed"),
    ] {
        let minted = mint(&[
            "--audience",
            resource,
            "--role",
            "R",
            "--expires-in",
            lifetime,
        ]);
        let token = TempFile::new("minted", &minted.stdout);
        let ended = gateway.execute(&["213213", "--token-file", token.path()]);
        assert_ended(&ended, code, &[text]);
    }
}

#[test]
fn minting_without_a_sandbox_says_so() {
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let ended = run(&["mint", "--sandbox", &format!("http://{nobody}")]);
    assert_ended(&ended, 1, &["no sandbox answers at http://127.0.0.1:"]);
    for wrong in [
        &["mint", "--sandbox", "https://x"],
        &["mint", "--expires-in", "1"],
    ] {
        assert_ended(&run(wrong), 64, &["expected"]);
    }
}

/// What stands in a token, which nobody checks here.
fn claims(token: &str) -> Value {
    let claims = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}
