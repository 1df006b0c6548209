//! Which source wins, and what the defaults are.

use std::{path::PathBuf, time::Duration};

use super::*;

fn default_of(preset: Preset) -> Loaded {
    Config::load(Sources {
        preset,
        ..Sources::default()
    })
    .unwrap()
}

#[test]
fn every_default_is_valid() {
    let Loaded { config, .. } = default_of(Preset::Production);
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:50051");
    assert_eq!(
        config.server.max_connection_age_grace,
        Duration::from_secs(130)
    );
    assert_eq!(
        config.graph.url.unwrap().as_str(),
        "https://graph.microsoft.com/beta"
    );
    assert_eq!(config.graph.ca_file, None);
    assert_eq!(config.credentials.mode, CredentialsMode::Passthrough);
    assert_eq!(config.drain.delay, Duration::from_secs(3));
    assert_eq!(config.audit.sink, AuditSink::Stdout);
    assert_eq!(config.audit.fsync, AuditFsync::Always);
    assert_eq!(config.audit.on_failure, OnAuditFailure::Refuse);
    assert_eq!(config.log.format, LogFormat::Auto);
}

#[test]
fn the_sandbox_preset_changes_some_defaults_and_can_be_overridden() {
    let Loaded { config, .. } = default_of(Preset::Sandbox);
    assert_eq!(config.graph.url, None);
    assert_eq!(config.credentials.mode, CredentialsMode::Application);
    assert_eq!(config.audit.sink, AuditSink::Off);
    assert_eq!(config.drain.delay, Duration::ZERO);
    assert_eq!(config.sandbox.listen.to_string(), "127.0.0.1:0");

    let set = [
        ("drain.delay", "1s"),
        ("credentials.mode", "passthrough"),
        ("graph.http2_prior_knowledge", "true"),
    ];
    let Loaded { config, .. } = Config::load(Sources {
        preset: Preset::Sandbox,
        ..flags(set)
    })
    .unwrap();
    assert_eq!(config.drain.delay, Duration::from_secs(1));
    assert_eq!(config.credentials.mode, CredentialsMode::Passthrough);
}

#[test]
fn later_sources_win() {
    let file = TempFile::new(
        "[server]\nmax_connections = 1\nmax_in_flight = 1\nmax_header_list_size = 5000\n",
    );
    let loaded = Config::load(Sources {
        file: Some(file.0.clone()),
        environment: environment([
            ("INCIDENTGATE_SERVER__MAX_CONNECTIONS", "2"),
            ("INCIDENTGATE_SERVER__MAX_IN_FLIGHT", "2"),
        ]),
        ..flags([("server.max_connections", "3")])
    })
    .unwrap();
    let Server {
        max_connections,
        max_in_flight,
        max_header_list_size,
        max_concurrent_streams,
        ..
    } = loaded.config.server;
    assert_eq!(
        (max_connections, max_in_flight, max_header_list_size),
        (3, 2, 5000)
    );
    assert_eq!(max_concurrent_streams, 256);

    let origin = |key| {
        loaded
            .effective
            .iter()
            .find(|entry| entry.key == key)
            .unwrap()
            .origin
            .clone()
    };
    assert_eq!(origin("server.max_connections"), Origin::Flag("--test"));
    assert_eq!(
        origin("server.max_in_flight"),
        Origin::Environment("INCIDENTGATE_SERVER__MAX_IN_FLIGHT".to_owned())
    );
    assert_eq!(
        origin("server.max_header_list_size"),
        Origin::File {
            path: file.0.clone(),
            line: 4
        }
    );
    assert_eq!(origin("server.max_concurrent_streams"), Origin::Default);
}

#[test]
fn toml_may_write_numbers_and_booleans_bare_or_as_text() {
    let text = "server.max_connections = 0x1_0\nserver.max_in_flight = '17'\nserver.reflection = false\n[log]\n";
    let config = load_text(text).unwrap().config;
    assert_eq!(
        (config.server.max_connections, config.server.max_in_flight),
        (16, 17)
    );
    assert!(!config.server.reflection);
}

#[test]
fn an_empty_text_takes_back_an_optional_value() {
    let file = TempFile::new("graph.ca_file = 'ca.pem'");
    let sources = Sources {
        file: Some(file.0.clone()),
        ..Sources::default()
    };
    let config = Config::load(sources.clone()).unwrap().config;
    assert_eq!(config.graph.ca_file, Some(PathBuf::from("ca.pem")));

    let environment = environment([("INCIDENTGATE_GRAPH__CA_FILE", "")]);
    let config = Config::load(Sources {
        environment,
        ..sources
    })
    .unwrap()
    .config;
    assert_eq!(config.graph.ca_file, None);
}

#[test]
fn the_environment_name_follows_from_the_key() {
    let name = Setting::find("graph.http2_prior_knowledge")
        .unwrap()
        .variable();
    assert_eq!(name, "INCIDENTGATE_GRAPH__HTTP2_PRIOR_KNOWLEDGE");
    for setting in SETTINGS.iter() {
        let key = setting
            .variable()
            .replacen("INCIDENTGATE_", "", 1)
            .replace("__", ".")
            .to_lowercase();
        assert_eq!(key, setting.key);
        let variable = (setting.variable().into(), setting.default.into());
        Config::load(Sources {
            environment: [variable].into(),
            ..Sources::default()
        })
        .expect(setting.key);
    }
}

#[test]
fn keys_are_unique_documented_and_have_two_parts() {
    let mut keys: Vec<_> = SETTINGS.iter().map(|setting| setting.key).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), SETTINGS.len());
    for setting in SETTINGS.iter() {
        assert_eq!(setting.key.split('.').count(), 2, "{}", setting.key);
        assert!(
            setting.doc.ends_with('.') && !setting.doc.contains("  "),
            "{}: {}",
            setting.key,
            setting.doc
        );
    }
}
