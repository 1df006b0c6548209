//! Rules between keys, and between keys and the preset.

mod access;
mod credentials;
mod policy;

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

/// A rule that does not hold.
struct Broken {
    /// The key to blame.
    key: &'static str,
    /// The keys that it is measured against.
    others: Vec<&'static str>,
    /// Completes the sentence "expected …".
    expected: String,
}

/// Adds a mistake for every broken rule whose keys are themselves without mistake.
pub(super) fn check(config: &Config, preset: Preset, given: &mut Given) {
    let rules = RULES.iter().chain(credentials::RULES).chain(access::RULES);
    let broken = rules
        .filter(|rule| rule.when.applies(config, preset) && !(rule.holds)(config))
        .map(|rule| Broken {
            key: rule.key,
            others: rule.other.into_iter().collect(),
            expected: match rule.other {
                Some(other) => given.measured(rule.expected, other),
                None => rule.expected.to_owned(),
            },
        });
    let broken: Vec<_> = broken
        .chain(credentials::unused(config, preset, given))
        .chain(policy::unprovable(config))
        .collect();
    for Broken {
        key,
        others,
        expected,
    } in broken
    {
        // A key that one rule has blamed is in doubt for the next ones.
        if [key]
            .iter()
            .chain(&others)
            .any(|key| given.is_doubtful(key))
        {
            continue;
        }
        given.mistake(Mistake::Value {
            key: key.to_owned(),
            origin: given.origin(key),
            expected,
        });
    }
}

impl Given {
    /// Which source gave the effective value.
    fn origin(&self, key: &str) -> Origin {
        self.effective(key)
            .map_or(Origin::Default, |(origin, _)| origin.clone())
    }

    /// A sentence that ends with the key that a value is measured against.
    fn measured(&self, expected: &str, other: &str) -> String {
        format!("{expected} {other} ({})", self.origin(other))
    }
}
