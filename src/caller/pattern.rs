//! Which names a policy lets do something.

use std::fmt;

use super::{Name, comparable};

/// A pattern of names. [`Pattern::parse`] reads what its `Display` writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    /// `*`: whoever has proven any name.
    Any,
    /// Exactly this name.
    Is(Name),
    /// `spiffe://domain/path/*`: every SPIFFE ID below the path. Kept with its last `/`.
    SpiffeBelow(String),
    /// `dns:*.example.com`: every DNS name with one label more (RFC 9525, section 6.3).
    /// Kept with its first `.`.
    DnsBelow(String),
}

impl Pattern {
    /// The expected form, in words.
    pub const EXPECTED: &str = "`*`, `spiffe://domain/path` or `spiffe://domain/path/*`, \
        `dns:name` or `dns:*.name`, `app:ID`, `subject:ID`, `role:NAME`, `scope:NAME`";

    /// The pattern, or nothing if the text is none.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Any);
        }
        if text.starts_with("spiffe://") {
            return spiffe(text);
        }
        let (kind, value) = text.split_once(':')?;
        if value.is_empty() || value.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return None;
        }
        let owned = value.to_owned();
        match kind {
            "dns" => dns(value),
            // A star here would be taken for a pattern by whoever reads the policy.
            _ if value.contains('*') => None,
            "app" => Some(Self::Is(Name::Application(comparable(owned)))),
            "subject" => Some(Self::Is(Name::Subject(comparable(owned)))),
            "role" => Some(Self::Is(Name::Role(owned))),
            "scope" => Some(Self::Is(Name::Scope(owned))),
            _ => None,
        }
    }

    /// Whether it names this name.
    pub fn matches(&self, name: &Name) -> bool {
        match (self, name) {
            (Self::Any, _) => true,
            (Self::Is(own), name) => own == name,
            (Self::SpiffeBelow(parent), Name::Spiffe(id)) => {
                id.len() > parent.len() && id.starts_with(parent.as_str())
            }
            (Self::DnsBelow(parent), Name::Dns(host)) => host
                .strip_suffix(parent.as_str())
                .is_some_and(|label| !label.is_empty() && !label.contains(['.', '*'])),
            (Self::SpiffeBelow(_) | Self::DnsBelow(_), _) => false,
        }
    }
}

fn spiffe(text: &str) -> Option<Pattern> {
    let rest = text.strip_prefix("spiffe://")?;
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "/.-_*".contains(c);
    let (exact, below) = match rest.strip_suffix("/*") {
        Some(parent) => (parent, true),
        None => (rest, false),
    };
    let is_plain = !exact.is_empty()
        && !exact.starts_with('/')
        && !exact.ends_with('/')
        && !exact.contains('*')
        && exact.chars().all(is_allowed);
    if !is_plain {
        return None;
    }
    Some(if below {
        Pattern::SpiffeBelow(format!("spiffe://{exact}/"))
    } else {
        Pattern::Is(Name::Spiffe(text.to_owned()))
    })
}

fn dns(text: &str) -> Option<Pattern> {
    let lower = text.to_ascii_lowercase();
    let (name, below) = match lower.strip_prefix("*.") {
        Some(parent) => (parent.to_owned(), true),
        None => (lower, false),
    };
    let is_label = |label: &str| {
        !label.is_empty()
            && label
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    if !name.split('.').all(is_label) {
        return None;
    }
    Some(if below {
        Pattern::DnsBelow(format!(".{name}"))
    } else {
        Pattern::Is(Name::Dns(name))
    })
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Is(name) => name.fmt(f),
            Self::SpiffeBelow(parent) => write!(f, "{parent}*"),
            Self::DnsBelow(parent) => write!(f, "dns:*{parent}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for text in [
            "*",
            "spiffe://corp.example/ns/soc/sa/responder",
            "spiffe://corp.example/ns/soc/*",
            "spiffe://corp.example/*",
            "spiffe://corp.example",
            "dns:soc.example.com",
            "dns:*.soc.example.com",
            "app:4f1b-ID",
            "subject:a@b",
            "role:Incident.Execute",
            "scope:api/Execute",
        ] {
            assert_eq!(Pattern::parse(text).expect(text).to_string(), text);
        }
        for (text, want) in [
            ("dns:SOC.Example.com", "dns:soc.example.com"),
            (
                "app:9A7E3A11-C11E-4000-8000-00000000000B",
                "app:9a7e3a11-c11e-4000-8000-00000000000b",
            ),
            ("subject:No-GUID", "subject:No-GUID"),
        ] {
            assert_eq!(Pattern::parse(text).unwrap().to_string(), want);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "**",
            "soc.example.com",
            "spiffe://",
            "spiffe:///x",
            "spiffe://*",
            "spiffe://corp/*/x",
            "spiffe://corp/x*",
            "spiffe://corp/x/",
            "spiffe://corp/x y",
            "SPIFFE://corp/x",
            "dns:",
            "dns:*",
            "dns:*.",
            "dns:a*.b",
            "dns:a..b",
            "dns:*.*.b",
            "app:",
            "app:*",
            "role:a b",
            "user:x",
            " *",
        ] {
            assert_eq!(Pattern::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn matches_whole_labels_and_whole_segments() {
        let spiffe = |id: &str| Name::Spiffe(id.to_owned());
        let dns = |host: &str| Name::Dns(host.to_owned());
        for (pattern, name, want) in [
            (
                "spiffe://c/ns/soc/*",
                spiffe("spiffe://c/ns/soc/sa/x"),
                true,
            ),
            ("spiffe://c/ns/soc/*", spiffe("spiffe://c/ns/soc/"), false),
            ("spiffe://c/ns/soc/*", spiffe("spiffe://c/ns/soc"), false),
            (
                "spiffe://c/ns/soc/*",
                spiffe("spiffe://c/ns/social/x"),
                false,
            ),
            ("spiffe://c/*", spiffe("spiffe://c.evil/x"), false),
            ("spiffe://c/x", spiffe("spiffe://c/x"), true),
            ("spiffe://c/x", spiffe("spiffe://c/x/y"), false),
            ("dns:*.b.c", dns("a.b.c"), true),
            ("dns:*.b.c", dns("b.c"), false),
            ("dns:*.b.c", dns(".b.c"), false),
            ("dns:*.b.c", dns("x.a.b.c"), false),
            ("dns:*.b.c", dns("*.b.c"), false),
            ("dns:a.b", dns("a.b"), true),
            ("dns:a.b", spiffe("a.b"), false),
            ("app:1", Name::Application("1".to_owned()), true),
            ("app:1", Name::Subject("1".to_owned()), false),
            ("role:A", Name::Role("A".to_owned()), true),
            ("role:A", Name::Role("a".to_owned()), false),
            ("role:A", Name::Scope("A".to_owned()), false),
            ("*", Name::Scope("A".to_owned()), true),
        ] {
            let matches = Pattern::parse(pattern).unwrap().matches(&name);
            assert_eq!(matches, want, "{pattern} {name}");
        }
    }
}
