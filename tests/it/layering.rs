//! Imports run one way, and each foreign protocol has one owner.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::source::{Source, crate_sources, read, rust_files};

/// Which module may use which others; only the order of the rows is free.
const MAY_USE: [(&str, &[&str]); 34] = [
    ("main", &["cli"]),
    ("lib", &[]),
    (
        "cli",
        &[
            "app",
            "audit",
            "authorization",
            "caller",
            "command",
            "config",
            "credentials",
            "failure",
            "graph",
            "listen_address",
            "outbound",
            "pb",
            "peer",
            "reload",
            "rpc",
            "sandbox",
            "scan",
            "secret",
            "server",
            "task",
            "telemetry",
            "tls",
        ],
    ),
    (
        "app",
        &[
            "audit",
            "call",
            "callers",
            "config",
            "credentials",
            "graph",
            "listen_address",
            "pb",
            "reload",
            "retry",
            "rpc",
            "server",
            "telemetry",
            "throttle",
            "tls",
        ],
    ),
    (
        "server",
        &[
            "caller",
            "callers",
            "cause",
            "deadline",
            "failure",
            "listen_address",
            "pb",
            "peer",
            "reload",
            "rpc",
            "telemetry",
            "tls",
        ],
    ),
    (
        "rpc",
        &[
            "call",
            "caller",
            "command",
            "credentials",
            "deadline",
            "failure",
            "graph",
            "pb",
            "peer",
            "task",
            "telemetry",
        ],
    ),
    (
        "call",
        &[
            "audit",
            "authorization",
            "caller",
            "command",
            "credentials",
            "deadline",
            "failure",
            "graph",
            "peer",
            "retry",
            "task",
            "telemetry",
            "throttle",
        ],
    ),
    (
        "graph",
        &[
            "authorization",
            "cause",
            "command",
            "failure",
            "outbound",
            "reload",
            "task",
            "telemetry",
            "tls",
        ],
    ),
    (
        "credentials",
        &[
            "authorization",
            "caller",
            "failure",
            "outbound",
            "renewable",
            "secret",
            "telemetry",
        ],
    ),
    (
        "callers",
        &[
            "authorization",
            "caller",
            "failure",
            "outbound",
            "peer",
            "renewable",
            "telemetry",
        ],
    ),
    ("tls", &["peer", "reload"]),
    ("reload", &["telemetry"]),
    (
        "audit",
        &[
            "authorization",
            "bell",
            "caller",
            "json",
            "pipe",
            "telemetry",
        ],
    ),
    ("retry", &["failure"]),
    ("throttle", &["authorization", "telemetry"]),
    (
        "telemetry",
        &["bell", "failure", "json", "outbound", "pipe", "scan"],
    ),
    ("renewable", &["failure", "telemetry"]),
    ("config", &["caller", "listen_address", "secret"]),
    ("listen_address", &[]),
    ("outbound", &["cause"]),
    ("cause", &[]),
    ("caller", &[]),
    ("bell", &[]),
    ("pipe", &[]),
    ("json", &["scan"]),
    ("scan", &[]),
    ("secret", &[]),
    ("sandbox", &[]),
    ("authorization", &["scan"]),
    ("peer", &["authorization"]),
    ("command", &["task"]),
    ("task", &[]),
    ("deadline", &[]),
    ("failure", &[]),
];

/// Which modules may name a crate. `lib` includes the generated code.
const OWNERS: [(&str, &[&str]); 12] = [
    ("tonic", &["rpc", "server", "app", "cli", "lib"]),
    ("tonic_types", &["rpc", "server", "app", "cli"]),
    ("prost", &["rpc", "server", "app", "cli"]),
    ("reqwest", &["graph", "outbound"]),
    ("azure_core", &["credentials"]),
    ("azure_identity", &["credentials"]),
    ("jsonwebtoken", &["callers"]),
    (
        "aws_lc_rs",
        &[
            "callers",
            "credentials",
            "outbound",
            "sandbox",
            "server",
            "tls",
        ],
    ),
    ("webpki", &["sandbox"]),
    ("h2", &["cause", "graph", "sandbox"]),
    ("tokio_rustls", &["outbound", "server", "tls"]),
    ("x509_parser", &["peer"]),
];

/// A file is one noun.
const MAX_LINES: usize = 500;

fn sources() -> Vec<Source> {
    crate_sources().0
}

fn rows() -> BTreeMap<&'static str, &'static [&'static str]> {
    BTreeMap::from(MAY_USE)
}

#[test]
fn imports_run_one_way() {
    let rows = rows();
    let mut wrong = Vec::new();
    for source in sources() {
        let module = source.module.as_str();
        let allowed = rows.get(module);
        if allowed.is_none() {
            wrong.push(format!("{}: give `{module}` a row in MAY_USE", source.file));
        }
        for mention in source.mentions.iter().filter(|mention| mention.inside) {
            let name = mention.name.as_str();
            if name != module && allowed.is_some_and(|allowed| !allowed.contains(&name)) {
                let (file, line) = (&source.file, mention.line);
                wrong.push(format!("{file}:{line}: `{module}` must not use `{name}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_allowed_imports_have_no_cycle() {
    let mut left = rows();
    left.insert("pb", &[]);
    // Whoever uses nobody that is left is below all others.
    while !left.is_empty() {
        let names: BTreeSet<_> = left.keys().copied().collect();
        left.retain(|_, uses| uses.iter().any(|name| names.contains(name)));
        assert!(left.len() < names.len(), "a cycle among {names:?}");
    }
}

#[test]
fn each_foreign_protocol_has_its_owners() {
    let mut wrong = Vec::new();
    for source in sources() {
        for mention in source.mentions.iter().filter(|mention| !mention.inside) {
            for (name, owners) in OWNERS {
                if mention.name == name && !owners.contains(&source.module.as_str()) {
                    let (file, line) = (&source.file, mention.line);
                    wrong.push(format!("{file}:{line}: only {owners:?} may name `{name}`"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_source_file_is_compiled() {
    let (_, reached) = crate_sources();
    let lost: Vec<_> = rust_files("src").difference(&reached).cloned().collect();
    assert!(lost.is_empty(), "no `mod` leads to {lost:?}");
}

#[test]
fn no_file_is_long() {
    let long: Vec<_> = ["src", "tests", "benches", "fuzz", "conformance"]
        .into_iter()
        .flat_map(rust_files)
        .map(|file| (read(&file).lines().count(), file))
        .filter(|(lines, _)| *lines > MAX_LINES)
        .map(|(lines, file)| format!("{file}:{lines}: more than {MAX_LINES} lines"))
        .collect();
    assert!(long.is_empty(), "\n{}", long.join("\n"));
}
