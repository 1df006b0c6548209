//! The effective configuration as text: what `check` prints.

use std::fmt;

use super::{
    given::Given,
    origin::Origin,
    settings::{SETTINGS, Setting},
};

const MASK: &str = "********";

/// Every key with its effective value and its source, in the order of the documentation.
///
/// Displayed as a TOML file with the sources as comments: without secrets, it can be loaded again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective(Vec<Entry>);

/// One effective setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The dotted key.
    pub key: &'static str,
    /// The value as TOML; a secret is masked.
    pub value: String,
    /// Where the value came from.
    pub origin: Origin,
}

impl Effective {
    pub(super) fn of(given: &Given) -> Self {
        let entry = |setting: &Setting| {
            let (origin, text) = given.effective(setting.key)?;
            Some(Entry {
                key: setting.key,
                value: shown(setting, text),
                origin: origin.clone(),
            })
        };
        Self(SETTINGS.iter().filter_map(entry).collect())
    }

    /// The settings.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.0.iter()
    }
}

/// The text of a value as TOML.
fn shown(setting: &Setting, text: &str) -> String {
    let text = if setting.secret && !text.is_empty() {
        MASK
    } else {
        text
    };
    // The escapes of JSON are escapes of TOML too.
    if setting.bare {
        text.to_owned()
    } else {
        serde_json::Value::from(text).to_string()
    }
}

impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |text: fn(&Entry) -> &str| {
            self.iter()
                .map(|entry| text(entry).chars().count())
                .max()
                .unwrap_or(0)
        };
        let (keys, values) = (width(|entry| entry.key), width(|entry| &entry.value));
        self.iter().try_for_each(|Entry { key, value, origin }| {
            writeln!(f, "{key:keys$} = {value:values$}   # {origin}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_masked_unless_it_is_not_set() {
        let secret = Setting {
            key: "credentials.password",
            default: "",
            sandbox: None,
            expected: String::new(),
            bare: false,
            secret: true,
            doc: "",
        };
        assert_eq!(shown(&secret, "hunter2"), "\"********\"");
        assert_eq!(shown(&secret, ""), "\"\"");
    }
}
