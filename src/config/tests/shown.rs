//! What people are shown of a configuration.

use super::*;

#[test]
fn the_effective_configuration_can_be_loaded_again() {
    for preset in [Preset::Production, Preset::Sandbox] {
        let set = [
            ("graph.ca_file", "/etc/\"odd\" name/ca.pem"),
            ("server.reflection", "false"),
        ];
        let loaded = Config::load(Sources {
            preset,
            ..flags(set)
        })
        .unwrap();
        let file = TempFile::new(loaded.effective.to_string());
        let again = Config::load(Sources {
            preset,
            file: Some(file.0.clone()),
            ..Sources::default()
        })
        .unwrap();
        assert_eq!(again.config, loaded.config);
    }
}

#[test]
fn the_effective_configuration_is_aligned_and_names_sources() {
    let environment = environment([("INCIDENTGATE_LOG__FORMAT", "json")]);
    let loaded = Config::load(Sources {
        preset: Preset::Sandbox,
        environment,
        ..flags([("server.listen", "[::1]:1")])
    });
    let text = loaded.unwrap().effective.to_string();
    for line in [
        "server.listen                     = \"[::1]:1\"                             # flag --test",
        "server.reflection                 = true                                  # default",
        "drain.delay                       = \"0s\"                                  # default of --sandbox",
        "log.format                        = \"json\"                                # environment variable INCIDENTGATE_LOG__FORMAT",
    ] {
        assert!(
            text.lines().any(|shown| shown == line),
            "{line}\nin\n{text}"
        );
    }
}

#[test]
fn the_reference_has_a_row_for_every_key() {
    let reference = reference();
    assert_eq!(reference.lines().count(), SETTINGS.len() + 2);
    assert!(reference.contains(
        "| `drain.delay` | `INCIDENTGATE_DRAIN__DELAY` | `3s`; with `--sandbox` `0s` | "
    ));
    assert!(reference.contains("| `graph.ca_file` | `INCIDENTGATE_GRAPH__CA_FILE` | none | "));
    for line in reference.lines() {
        assert_eq!(line.replace("\\|", "").matches('|').count(), 5, "{line}");
    }
}

#[test]
fn debug_output_of_sources_holds_no_value() {
    let environment = environment([("INCIDENTGATE_LOG__FILTER", "hunter2")]);
    let sources = Sources {
        environment,
        ..flags([("log.filter", "hunter2")])
    };
    assert!(!format!("{sources:?}").contains("hunter2"));
}
