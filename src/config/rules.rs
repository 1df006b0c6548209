//! Rules between keys, and between keys and the preset.

mod access;

use super::{
    AuditSink, BaseUrl, Config, CredentialsMode, Preset, given::Given, mistake::Mistake,
    origin::Origin,
};

struct Rule {
    /// The key to blame.
    key: &'static str,
    /// The key that it is measured against; it ends the sentence.
    other: Option<&'static str>,
    /// Completes the sentence "expected …".
    expected: &'static str,
    when: When,
    holds: fn(&Config) -> bool,
}

/// Where a rule applies.
#[derive(Clone, Copy)]
enum When {
    Always,
    /// In front of Microsoft Graph.
    Production,
    /// In front of the embedded sandbox.
    Sandbox,
    /// In front of Microsoft Graph, if the gateway asks Entra for tokens. The sandbox
    /// brings its own registration.
    AsksEntra,
}

impl When {
    fn applies(self, config: &Config, preset: Preset) -> bool {
        match self {
            Self::Always => true,
            Self::Production => preset == Preset::Production,
            Self::Sandbox => preset == Preset::Sandbox,
            Self::AsksEntra => {
                preset == Preset::Production
                    && config.credentials.mode != CredentialsMode::Passthrough
            }
        }
    }
}

const RULES: &[Rule] = &[
    Rule {
        key: "deadline.default",
        other: Some("deadline.max"),
        expected: "at most",
        when: When::Always,
        holds: |config| config.deadline.default <= config.deadline.max,
    },
    Rule {
        key: "server.max_connection_age_grace",
        other: Some("deadline.max"),
        expected: "at least",
        when: When::Always,
        holds: |config| config.server.max_connection_age_grace >= config.deadline.max,
    },
    Rule {
        key: "graph.http2_prior_knowledge",
        other: Some("graph.url"),
        expected: "`false`, or plain http in",
        when: When::Always,
        // Under `--sandbox` there is no URL yet, and it will be plain http.
        holds: |config| {
            !config.graph.http2_prior_knowledge
                || config.graph.url.as_ref().is_none_or(BaseUrl::is_plaintext)
        },
    },
    Rule {
        key: "graph.url",
        other: None,
        expected: "no value, because --sandbox brings its own Graph",
        when: When::Sandbox,
        holds: |config| config.graph.url.is_none(),
    },
    Rule {
        key: "graph.url",
        other: None,
        expected: BaseUrl::EXPECTED,
        when: When::Production,
        holds: |config| config.graph.url.is_some(),
    },
    Rule {
        key: "audit.file",
        other: None,
        expected: "the path of a file, as `audit.sink = \"file\"` needs one",
        when: When::Always,
        holds: |config| config.audit.sink != AuditSink::File || config.audit.file.is_some(),
    },
    Rule {
        key: "audit.file",
        other: Some("audit.sink"),
        expected: "no value, or `file` in",
        when: When::Always,
        holds: |config| config.audit.sink != AuditSink::Stdout || config.audit.file.is_none(),
    },
];

/// Adds a mistake for every broken rule whose keys are themselves without mistake.
pub(super) fn check(config: &Config, preset: Preset, given: &mut Given) {
    for rule in RULES.iter().chain(access::RULES) {
        let mut keys = [Some(rule.key), rule.other].into_iter().flatten();
        if !rule.when.applies(config, preset)
            || (rule.holds)(config)
            || keys.any(|key| given.is_doubtful(key))
        {
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
