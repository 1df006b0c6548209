//! What a process prints, and what a configuration of no use is told to be.

use std::fs;

use incidentgate::config::{Config, Preset, Sources};

use super::Marks;
use crate::support::{
    TOKEN,
    program::{Ended, Program, Server, Simulator, TempFile, run},
    stub,
};

const MARK: &str = "marked-as-secret";

#[track_caller]
fn check(marks: &Marks, ended: &Ended) {
    marks.are_not_in("stdout", &ended.stdout);
    marks.are_not_in("stderr", &ended.stderr);
}

/// Every key of the configuration.
fn keys() -> Vec<&'static str> {
    let loaded = Config::load(Sources::default()).unwrap();
    loaded.effective.iter().map(|entry| entry.key).collect()
}

fn mistakes(sources: Sources) -> Option<String> {
    let mistakes = Config::load(sources).err()?;
    Some(format!("{mistakes} {mistakes:?}"))
}

#[test]
fn a_mistake_names_the_key_and_not_the_value() {
    let marks = Marks::of([MARK]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    let mut refused = 0;
    for key in keys() {
        let variable = format!("INCIDENTGATE_{}", key.replace('.', "__").to_uppercase());
        let (section, name) = key.split_once('.').unwrap();
        // Nothing takes text that begins with a control character.
        let value = format!("\u{1}{MARK}");
        for name in [variable.clone(), format!("{variable}X")] {
            let sources = Sources {
                environment: [(name.into(), value.clone().into())].into(),
                ..Sources::default()
            };
            if let Some(told) = mistakes(sources) {
                marks.are_not_in(key, &told);
                refused += 1;
            }
        }
        for line in [
            format!("{name} = \"{MARK}\\u0001\""),
            format!("{name} = [\"{MARK}\", 7]"),
            format!("{name} = {{ value = \"{MARK}\" }}"),
            format!("{name} = \"{MARK}"),
            format!("{name} = {MARK}"),
            format!("{name} = \"\"\"{MARK}"),
            format!("{name} = \"{MARK}\"\n{name} = \"{MARK}\""),
            format!("{name}x = \"{MARK}\""),
        ] {
            for preset in [Preset::Production, Preset::Sandbox] {
                fs::write(&file, format!("[{section}]\n{line}\n")).unwrap();
                let sources = Sources {
                    preset,
                    file: Some(file.clone()),
                    ..Sources::default()
                };
                if let Some(told) = mistakes(sources) {
                    marks.are_not_in(key, &told);
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 15 * keys().len(), "{refused}");
}

#[test]
fn check_and_serve_do_not_print_the_client_secret() {
    let marks = Marks::of([MARK]);
    let (_refusing, nobody) = stub::refusing();
    let nobody = format!("http://{nobody}");
    let usual = [
        ("INCIDENTGATE_CREDENTIALS__MODE", "application"),
        ("INCIDENTGATE_CREDENTIALS__TENANT", "contoso.example"),
        ("INCIDENTGATE_CREDENTIALS__CLIENT_ID", "gateway"),
        ("INCIDENTGATE_CREDENTIALS__CLIENT_SECRET", MARK),
        ("INCIDENTGATE_CREDENTIALS__AUTHORITY", &nobody),
        ("INCIDENTGATE_LOG__FILTER", super::LOUD),
        ("INCIDENTGATE_AUDIT__SINK", "stdout"),
    ];
    let ended = Program::start_with(&["check"], &usual, "").ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("********"), "{ended:?}");
    check(&marks, &ended);
    let both = ("INCIDENTGATE_CREDENTIALS__CLIENT_SECRET_FILE", "/nowhere");
    for command in ["check", "serve"] {
        let ended = Program::start_with(&[command], &[&usual[..], &[both]].concat(), "").ended();
        assert_eq!(ended.code, Some(64), "{ended:?}");
        check(&marks, &ended);
    }
    let server = Server::before_graph(&format!("{nobody}/beta"), &usual);
    server.execute(&["213213"]);
    server.program.signal("TERM");
    let ended = server.program.ended();
    assert!(ended.stderr.contains("drained"), "{ended:?}");
    check(&marks, &ended);
}

#[test]
fn commands_with_a_token_do_not_print_it() {
    let simulator = Simulator::start();
    let sandbox = format!("http://{}", simulator.addr);
    let minted = run(&["mint", "--sandbox", &sandbox, "--user", "u", "--scope", "s"]);
    let mut marks = Marks::of([TOKEN]);
    marks.add_token(minted.stdout.trim());
    marks.are_not_in("stderr", &minted.stderr);

    let variables = [("INCIDENTGATE_LOG__FILTER", super::LOUD)];
    let server = Server::before_graph(&format!("{sandbox}/beta"), &variables);
    for token in [
        minted.stdout.trim(),
        TOKEN,
        &format!("{TOKEN} {TOKEN}"),
        &format!("{TOKEN}\n\u{e9}"),
    ] {
        let file = TempFile::new(&uuid::Uuid::new_v4().to_string(), token);
        for json in [&["213213", "--json"][..], &["213213"]] {
            check(
                &marks,
                &server.execute(&[json, &["--token-file", file.path()]].concat()),
            );
        }
    }
    // The audit log goes to standard output.
    server.program.signal("TERM");
    let ended = server.program.ended();
    assert!(ended.stdout.contains("\"intent\""), "{ended:?}");
    check(&marks, &ended);
}

#[test]
fn a_gateway_with_its_own_sandbox_does_not_print_its_credential() {
    let server = Server::with_variables(&[("INCIDENTGATE_LOG__FILTER", super::LOUD)]);
    assert_eq!(server.execute(&["213213"]).code, Some(0));
    server.program.signal("TERM");
    let ended = server.program.ended();
    for text in ["Bearer ", "eyJ", "client_secret"] {
        assert!(!ended.stderr.contains(text), "{ended:?}");
        assert!(!ended.stdout.contains(text), "{ended:?}");
    }
}
