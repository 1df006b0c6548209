//! Rules between keys, and between keys and the preset.

use super::{
    AuditSink, Config, CredentialsMode, GraphUrl, Preset, given::Given, mistake::Mistake,
    origin::Origin,
};

struct Rule {
    /// The key to blame.
    key: &'static str,
    /// The key that it is measured against; it ends the sentence.
    other: Option<&'static str>,
    /// Completes the sentence "expected …".
    expected: &'static str,
    holds: fn(&Config, Preset) -> bool,
}

const RULES: &[Rule] = &[
    Rule {
        key: "deadline.default",
        other: Some("deadline.max"),
        expected: "at most",
        holds: |config, _| config.deadline.default <= config.deadline.max,
    },
    Rule {
        key: "server.max_connection_age_grace",
        other: Some("deadline.max"),
        expected: "at least",
        holds: |config, _| config.server.max_connection_age_grace >= config.deadline.max,
    },
    Rule {
        key: "graph.http2_prior_knowledge",
        other: Some("graph.url"),
        expected: "`false`, or plain http in",
        // Under `--sandbox` there is no URL yet, and it will be plain http.
        holds: |config, _| {
            !config.graph.http2_prior_knowledge
                || config.graph.url.as_ref().is_none_or(GraphUrl::is_plaintext)
        },
    },
    Rule {
        key: "graph.url",
        other: None,
        expected: "no value, because --sandbox brings its own Graph",
        holds: |config, preset| preset == Preset::Production || config.graph.url.is_none(),
    },
    Rule {
        key: "graph.url",
        other: None,
        expected: GraphUrl::EXPECTED,
        holds: |config, preset| preset == Preset::Sandbox || config.graph.url.is_some(),
    },
    Rule {
        key: "credentials.mode",
        other: None,
        expected: "`passthrough`; `sandbox` needs --sandbox",
        holds: |config, preset| {
            preset == Preset::Sandbox || config.credentials.mode != CredentialsMode::Sandbox
        },
    },
    Rule {
        key: "audit.file",
        other: None,
        expected: "the path of a file, as `audit.sink = \"file\"` needs one",
        holds: |config, _| config.audit.sink != AuditSink::File || config.audit.file.is_some(),
    },
    Rule {
        key: "audit.file",
        other: Some("audit.sink"),
        expected: "no value, or `file` in",
        holds: |config, _| config.audit.sink != AuditSink::Stdout || config.audit.file.is_none(),
    },
];

/// Adds a mistake for every broken rule whose keys are themselves without mistake.
pub(super) fn check(config: &Config, preset: Preset, given: &mut Given) {
    for rule in RULES {
        let mut keys = [Some(rule.key), rule.other].into_iter().flatten();
        if (rule.holds)(config, preset) || keys.any(|key| given.is_doubtful(key)) {
            continue;
        }
        let origin = |key| {
            given
                .effective(key)
                .map_or(Origin::Default, |(origin, _)| origin.clone())
        };
        let expected = match rule.other {
            Some(other) => format!("{} {other} ({})", rule.expected, origin(other)),
            None => rule.expected.to_owned(),
        };
        given.mistake(Mistake::Value {
            key: rule.key.to_owned(),
            origin: origin(rule.key),
            expected,
        });
    }
}
