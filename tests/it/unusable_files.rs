//! Files that the configuration names: `check` opens those that `serve` would use, and
//! both tell of all that are of no use at once, before a port is open.

use std::{fs, path::Path};

use tempfile::TempDir;

use crate::support::{
    Authority,
    program::{Ended, Program},
};

/// What no message may repeat.
const CONTENT: &str = "hunter2";

const BUNDLE: &str = "holds no readable certificate in PEM form";
const MISSING: &str = "cannot be read: No such file or directory (os error 2)";

/// Keys and the files in a folder that they name.
type Files<'a> = &'a [(&'a str, &'a str)];

fn end(command: &[&str], keys: Files<'_>, folder: &Path, files: Files<'_>) -> Ended {
    let variable = |key: &str| format!("INCIDENTGATE_{}", key.to_uppercase().replace('.', "__"));
    let named = files.iter().map(|(key, file)| {
        let path = folder.join(file).display().to_string();
        (variable(key), path)
    });
    let plain = keys
        .iter()
        .map(|(key, value)| (variable(key), (*value).to_owned()));
    let variables: Vec<_> = plain.chain(named).collect();
    let variables: Vec<_> = variables
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    Program::start_with(command, &variables, "").ended()
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let (one, other) = (authority.issue(&["a"]), authority.issue(&["a"]));
    let broken = format!("-----BEGIN CERTIFICATE-----\n{CONTENT}\n-----END CERTIFICATE-----\n");
    for (name, text) in [
        ("ca", authority.pem()),
        ("certificate", &one.certificate),
        ("key", &one.key),
        ("other-key", &other.key),
        ("text", &format!("{CONTENT}\n")),
        ("two-lines", &format!("{CONTENT}\n{CONTENT}\n")),
        ("broken", &broken),
        ("empty", ""),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

const APPLICATION: Files<'_> = &[
    ("credentials.mode", "application"),
    ("credentials.tenant", "contoso.example"),
    ("credentials.client_id", "gateway"),
];
const CALLERS: Files<'_> = &[
    ("callers.jwt_issuer", "https://sts.example"),
    ("callers.jwt_audience", "gateway"),
    ("policy.execute_response_action", "*"),
];

#[test]
fn check_and_serve_tell_of_all_of_them_at_once() {
    let folder = folder();
    let files = [
        ("tls.certificate_file", "broken"),
        ("tls.key_file", "text"),
        ("tls.client_ca_file", "empty"),
        ("graph.ca_file", "broken"),
        ("graph.client_certificate_file", "certificate"),
        ("graph.client_key_file", "other-key"),
        ("credentials.client_secret_file", "two-lines"),
        ("credentials.ca_file", "text"),
        ("callers.jwt_ca_file", "missing"),
    ];
    let path = folder.path().display();
    let expected = [
        format!("tls.certificate_file {path}/broken {BUNDLE}"),
        format!("tls.key_file {path}/text holds no private key in PEM form"),
        format!("tls.client_ca_file {path}/empty {BUNDLE}"),
        format!("graph.ca_file {path}/broken {BUNDLE}"),
        format!(
            "graph.client_key_file {path}/other-key is not the key of the certificate in graph.client_certificate_file {path}/certificate"
        ),
        format!(
            "credentials.client_secret_file {path}/two-lines cannot be used: it holds something else than one line of text"
        ),
        format!("credentials.ca_file {path}/text {BUNDLE}"),
        format!("callers.jwt_ca_file {path}/missing {MISSING}"),
    ];
    let expected = format!(
        "incidentgate: the configuration has 8 mistakes:\n  {}\n",
        expected.join("\n  ")
    );
    let keys = [APPLICATION, CALLERS].concat();
    for command in [&["check"][..], &["serve", "--listen", "127.0.0.1:0"]] {
        let ended = end(command, &keys, folder.path(), &files);
        assert_eq!(ended.code, Some(64), "{ended:?}");
        assert_eq!(ended.stderr, expected);
        assert_eq!(ended.stdout, "");
        assert!(!ended.stderr.contains(CONTENT));
    }
}

#[test]
fn each_way_to_prove_the_application_is_tried() {
    let folder = folder();
    let path = folder.path().display();
    for (way, key, file, problem) in [
        (
            "certificate",
            "certificate_file",
            "text",
            "no certificate in PEM",
        ),
        (
            "certificate",
            "certificate_file",
            "certificate",
            "no RSA private key",
        ),
        (
            "workload_identity",
            "federated_token_file",
            "two-lines",
            "one line",
        ),
        ("secret", "client_secret_file", "missing", "No such file"),
    ] {
        let key = format!("credentials.{key}");
        let keys = [APPLICATION, &[("credentials.client_authentication", way)]].concat();
        let ended = end(&["check"], &keys, folder.path(), &[(&key, file)]);
        assert_eq!(ended.code, Some(64), "{ended:?}");
        let expected = format!("has a mistake:\n  {key} {path}/{file} cannot be used: ");
        assert!(ended.stderr.contains(&expected), "{ended:?}");
        assert!(ended.stderr.contains(problem), "{ended:?}");
        assert!(!ended.stderr.contains(CONTENT));
    }
}

#[test]
fn files_that_are_right_or_not_used_are_no_mistake() {
    let folder = folder();
    let right: Files<'_> = &[
        ("tls.certificate_file", "certificate"),
        ("tls.key_file", "key"),
        ("tls.client_ca_file", "ca"),
        ("graph.ca_file", "ca"),
        ("graph.client_certificate_file", "certificate"),
        ("graph.client_key_file", "key"),
        ("credentials.client_secret_file", "text"),
        ("credentials.ca_file", "ca"),
        ("callers.jwt_ca_file", "ca"),
    ];
    let keys = [APPLICATION, CALLERS].concat();
    let ended = end(&["check"], &keys, folder.path(), right);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!ended.stdout.contains(CONTENT));

    // Nobody reads them: callers bring their own tokens, or the sandbox its own secret.
    let unused: Files<'_> = &[
        ("credentials.ca_file", "missing"),
        ("callers.jwt_ca_file", "missing"),
    ];
    let ended = end(&["check"], &[], folder.path(), unused);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let brought = [
        ("credentials.client_secret_file", "missing"),
        ("credentials.ca_file", "missing"),
    ];
    let ended = end(&["check", "--sandbox"], &[], folder.path(), &brought);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    // What the sandbox does not bring is opened.
    let ended = end(
        &["serve", "--sandbox", "--listen", "127.0.0.1:0"],
        &[],
        folder.path(),
        &[("graph.ca_file", "empty")],
    );
    assert_eq!(ended.code, Some(64), "{ended:?}");
    assert!(ended.stderr.contains("graph.ca_file"), "{ended:?}");
}
