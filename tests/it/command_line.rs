//! Input that nobody should send to the command line, and servers that are no gateways:
//! every end has its exit code, and no outcome is better known than it can be.

use std::{
    io::{self, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    thread,
};

use serde_json::Value;

use crate::support::program::{Ended, Program, Server, TempFile, run};

#[track_caller]
fn assert_usage(ended: &Ended, text: &str) {
    assert_eq!(ended.code, Some(64), "{ended:?}");
    assert_eq!(ended.stdout, "");
    assert!(ended.stderr.contains(text), "{text:?} is not in: {ended:?}");
}

/// Listens for ever, and does the same with every connection.
fn listen(serve: fn(TcpStream)) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || serve(stream.unwrap()));
        }
    });
    addr.to_string()
}

/// Reads until the peer has gone.
fn be_silent(mut stream: TcpStream) {
    io::copy(&mut stream, &mut io::sink()).ok();
}

#[test]
fn an_endpoint_that_a_call_would_not_follow_to_the_letter_is_refused() {
    for endpoint in [
        "",
        "127.0.0.1:50051",
        "localhost:50051",
        "http://",
        "http://:50051",
        "http://127.0.0.1:",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:50051/path",
        "http://127.0.0.1:50051?query",
        "http://user:word@127.0.0.1:50051",
        "http://a b",
        "ftp://127.0.0.1:50051",
        "unix:",
        "unix:/",
        "unix://run/gate",
        "unix:run/gate",
    ] {
        for command in [&["health"][..], &["execute", "1", "--json"]] {
            let ended = run(&[command, &["--endpoint", endpoint]].concat());
            let expected = "expected `http://HOST:PORT`, `https://HOST:PORT` or `unix:/PATH`";
            assert_usage(&ended, expected);
        }
    }
}

#[test]
fn a_time_without_a_unit_or_out_of_range_is_refused() {
    let longest = format!("{}s", u64::MAX);
    for time in ["", "0", "0s", "1ns", "10", "soon", "10years", &longest] {
        for command in [&["health"][..], &["execute", "1"]] {
            let ended = run(&[command, &["--timeout", time]].concat());
            assert_usage(&ended, "such as `10s`, from 1ms to 1h");
        }
    }
    assert_usage(&run(&["sandbox", "--step", "2days"]), "from 0s to 1day");
    assert_usage(
        &run(&["sandbox", "--listen", "x"]),
        "an IP address and a port",
    );
}

#[test]
fn a_file_that_is_no_token_is_refused_and_not_shown() {
    let large = "s3cret".repeat(20_000);
    for text in [
        "Bearer s3cret",
        "\u{feff}s3cret",
        "s3cret\0",
        "s3crét",
        &large,
    ] {
        let file = TempFile::new("no-token", text);
        let ended = run(&["execute", "1", "--json", "--token-file", file.path()]);
        assert_usage(&ended, "something else than one token");
        assert!(!ended.stderr.contains("s3c"), "{ended:?}");
    }
    let folder = env!("CARGO_MANIFEST_DIR");
    let ended = run(&["execute", "1", "--token-file", folder]);
    assert_usage(&ended, "cannot be read");
}

#[test]
fn a_bundle_without_a_certificate_ends_before_a_port_is_opened() {
    let broken = "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
    for text in ["", "-----BEGIN NOTHING-----\n", broken] {
        let file = TempFile::new("no-ca.pem", text);
        let variables = [("INCIDENTGATE_GRAPH__CA_FILE", file.path())];
        let ended = Program::start_with(&["serve", "--listen", "127.0.0.1:0"], &variables, "");
        let ended = ended.ended();
        assert_eq!(ended.code, Some(64), "{ended:?}");
        let wanted = format!(
            "incidentgate: the configuration has a mistake:\n  graph.ca_file {} holds no readable certificate in PEM form\n",
            file.path()
        );
        assert_eq!(ended.stderr, wanted);
    }
}

#[test]
fn what_answers_instead_of_a_gateway_is_sent_no_call() {
    let servers: [fn(TcpStream); 4] = [
        // HTTP/1.1.
        |mut stream| {
            stream.read_exact(&mut [0; 24]).unwrap();
            let answer = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(answer).ok();
            be_silent(stream);
        },
        // Another protocol, whose server speaks first.
        |mut stream| {
            stream.write_all(b"SSH-2.0-OpenSSH_9.9\r\n").ok();
            be_silent(stream);
        },
        drop,
        be_silent,
    ];
    for (index, server) in servers.into_iter().enumerate() {
        let endpoint = format!("http://{}", listen(server));
        let limits = ["--timeout", "500ms", "--endpoint", &endpoint];
        let ended = run(&[&["execute", "1", "--json"][..], &limits].concat());
        assert_eq!(ended.code, Some(1), "{index}: {ended:?}");
        let report: Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(report["outcome"], "NOT_STARTED", "{index}");
        assert_ne!(report["message"], "transport error", "{index}");
        assert_eq!(ended.stderr, "");
        let ended = run(&[&["health"][..], &limits].concat());
        assert_eq!(ended.code, Some(1), "{index}: {ended:?}");
    }
}

#[test]
fn a_server_that_never_answers_ends_no_later_than_the_timeout() {
    let begin_an_answer = |mut stream: TcpStream| {
        // Empty SETTINGS, then HEADERS of stream 1 that say 200, and that more follows.
        let frames = b"\0\0\0\x04\0\0\0\0\0\0\0\x01\x01\x04\0\0\0\x01\x88";
        stream.read_exact(&mut [0; 24]).unwrap();
        stream.write_all(frames).unwrap();
        be_silent(stream);
    };
    let (silent, begun) = (listen(be_silent), listen(begin_an_answer));
    // None has shown that it speaks gRPC, so the call has not been sent.
    for (endpoint, message) in [
        (format!("http://{silent}"), "no answer within 500ms"),
        (format!("http://{begun}"), "no answer within 500ms"),
        (format!("https://{silent}"), "no connection within 500ms"),
    ] {
        let limits = ["--timeout", "500ms", "--endpoint", &endpoint];
        let ended = run(&[&["execute", "1", "--json"][..], &limits].concat());
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let report: Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(report["outcome"], "NOT_STARTED");
        let text = report["message"].as_str().unwrap();
        assert!(text.contains(message), "{text}");
        let ended = run(&[&["health"][..], &limits].concat());
        assert_eq!(ended.code, Some(1));
        assert!(ended.stderr.contains(message), "{ended:?}");
    }
}

#[test]
fn an_id_of_any_shape_is_one_argument_and_one_answer() {
    let server = Server::with_sandbox();
    let long = "x".repeat(100_000);
    for (id, code) in [
        ("-x", "NOT_FOUND"),
        ("--json", "NOT_FOUND"),
        ("ünï/⚡?#%2e", "NOT_FOUND"),
        ("", "INVALID_ARGUMENT"),
        ("a\nb", "INVALID_ARGUMENT"),
        (&long, "INVALID_ARGUMENT"),
    ] {
        let ended = server.execute(&["--json", "--", id]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let report: Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(report["outcome"], "NOT_STARTED");
        assert_eq!(report["code"], code, "{report}");
        assert_eq!(ended.stdout.lines().count(), 1);
    }
}

#[test]
fn an_output_that_nobody_reads_changes_no_exit_code() {
    let server = Server::with_sandbox();
    let endpoint = server.endpoint();
    for (arguments, code) in [
        (&["check"][..], 0),
        (&["--help"], 0),
        (&["health", "--endpoint", &endpoint], 0),
        (&["execute", "213215", "--endpoint", &endpoint], 3),
        (&["check", "--listen", "x"], 64),
    ] {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let ended = Command::new(env!("CARGO_BIN_EXE_incidentgate"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(writer.try_clone().unwrap())
            .stderr(writer)
            .status();
        assert_eq!(ended.unwrap().code(), Some(code), "{arguments:?}");
    }
}
