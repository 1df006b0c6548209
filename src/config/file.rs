//! The TOML file.

use std::{fs, path::Path};

use toml::de::{DeArray, DeTable, DeValue};

use super::{
    given::{Given, Raw},
    mistake::Mistake,
    origin::Origin,
    settings::Setting,
};

/// Takes the keys of a file.
pub(super) fn read(path: &Path, given: &mut Given) {
    let broken = |position, reason: &str| Mistake::File {
        path: path.to_owned(),
        position,
        reason: reason.to_owned(),
    };
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return given.mistake(broken(None, &format!("cannot be read: {error}"))),
    };
    match DeTable::parse(&text) {
        Ok(table) => File { path, text: &text }.take(table.get_ref(), "", given),
        // The parser's Display quotes the line; its message only names what the grammar
        // allows there.
        Err(error) => {
            let position = error.span().map(|span| position(&text, span.start));
            given.mistake(broken(position, error.message()));
        }
    }
}

struct File<'a> {
    path: &'a Path,
    text: &'a str,
}

impl File<'_> {
    fn take(&self, table: &DeTable<'_>, prefix: &str, given: &mut Given) {
        for (name, value) in table {
            let key = format!("{prefix}{}", quoted_if_needed(name.get_ref()));
            let raw = match value.get_ref() {
                // An empty section, with all its keys commented out, is fine.
                DeValue::Table(keys)
                    if Setting::is_section(&key)
                        || !keys.is_empty() && Setting::find(&key).is_none() =>
                {
                    self.take(keys, &format!("{key}."), given);
                    continue;
                }
                DeValue::String(text) => Raw::Text(text.clone().into_owned()),
                DeValue::Boolean(value) => Raw::Bare(value.to_string()),
                DeValue::Integer(digits) => i128::from_str_radix(digits.as_str(), digits.radix())
                    .map_or(Raw::Foreign, |number| Raw::Bare(number.to_string())),
                DeValue::Array(items) => joined(items).map_or(Raw::Foreign, Raw::List),
                DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Table(_) => Raw::Foreign,
            };
            let (line, _) = position(self.text, name.span().start);
            given.add(
                &key,
                Origin::File {
                    path: self.path.to_owned(),
                    line,
                },
                raw,
            );
        }
    }
}

/// The strings of an array with commas between them; nothing if an item is no string, or
/// would look like two.
fn joined(items: &DeArray<'_>) -> Option<String> {
    let texts: Option<Vec<&str>> = items
        .iter()
        .map(|item| item.get_ref().as_str())
        .map(|text| text.filter(|text| !text.is_empty() && !text.contains(',')))
        .collect();
    Some(texts?.join(", "))
}

/// Quotes a name that TOML cannot write bare, so that `"server.listen"` is not taken for
/// `server.listen`.
fn quoted_if_needed(name: &str) -> String {
    let is_bare = !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if is_bare {
        name.to_owned()
    } else {
        format!("{name:?}")
    }
}

/// Line and column of an offset, counted from 1.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .unwrap_or_default()
        .chars()
        .count()
        + 1;
    (line, column)
}
