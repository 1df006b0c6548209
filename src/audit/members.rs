//! The members of a JSON object, as they are written.

use std::fmt::Write as _;

use crate::json;

/// Members of one object, in their order.
#[derive(Debug)]
pub(super) struct Members(String);

// === impl Members ===

impl Members {
    /// None yet, and room for so many bytes. They are for another object.
    pub(super) fn loose(bytes: usize) -> Self {
        Self(String::with_capacity(bytes))
    }

    /// The beginning of an object that is a line.
    pub(super) fn of_line(bytes: usize) -> Self {
        let mut members = Self::loose(bytes);
        members.0.push('{');
        members
    }

    /// The end of that line.
    pub(super) fn into_line(mut self) -> Vec<u8> {
        self.0.push_str("}\n");
        self.0.into_bytes()
    }

    /// A text of which `max` characters are kept, and no control character.
    pub(super) fn text(&mut self, name: &'static str, text: &str, max: usize) {
        self.name(name);
        self.value(text, max);
    }

    /// The same, where there is one.
    pub(super) fn optional(&mut self, name: &'static str, text: Option<&str>, max: usize) {
        if let Some(text) = text {
            self.text(name, text, max);
        }
    }

    /// Several of them in an array, where there are any.
    pub(super) fn texts(&mut self, name: &'static str, texts: &[String], max: usize) {
        let Some((first, others)) = texts.split_first() else {
            return;
        };
        self.name(name);
        self.0.push('[');
        self.value(first, max);
        for text in others {
            self.0.push(',');
            self.value(text, max);
        }
        self.0.push(']');
    }

    /// A number.
    pub(super) fn number(&mut self, name: &'static str, number: u64) {
        self.name(name);
        // Memory takes everything.
        write!(self.0, "{number}").ok();
    }

    /// An object with members of its own.
    pub(super) fn object(&mut self, name: &'static str, fill: impl FnOnce(&mut Self)) {
        self.name(name);
        self.0.push('{');
        fill(self);
        self.0.push('}');
    }

    /// All of `others`.
    pub(super) fn extend(&mut self, others: &Self) {
        if others.0.is_empty() {
            return;
        }
        self.separate();
        self.0.push_str(&others.0);
    }

    /// How many bytes they have.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    fn separate(&mut self) {
        // No value ends so.
        if !self.0.is_empty() && !self.0.ends_with('{') {
            self.0.push(',');
        }
    }

    fn name(&mut self, name: &'static str) {
        self.separate();
        self.0.push('"');
        self.0.push_str(name);
        self.0.push_str("\":");
    }

    fn value(&mut self, text: &str, max: usize) {
        if text.len() > max || !json::push_plain(&mut self.0, text) {
            json::push_text(&mut self.0, &clean(text, max));
        }
    }
}

/// At most so many characters, and none that controls a terminal.
fn clean(text: &str, max: usize) -> String {
    let character = |c: char| {
        if c.is_control() {
            char::REPLACEMENT_CHARACTER
        } else {
            c
        }
    };
    text.chars().take(max).map(character).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn members_stand_in_their_order_with_commas_between_them() {
        let mut common = Members::loose(0);
        common.text("id", "7", 9);
        common.object("caller", |caller| {
            caller.optional("app", None, 9);
            caller.optional("peer", Some("p"), 9);
            caller.texts("names", &[], 9);
        });
        assert_eq!(common.len(), r#""id":"7","caller":{"peer":"p"}"#.len());
        let mut line = Members::of_line(0);
        line.extend(&Members::loose(0));
        line.extend(&common);
        line.extend(&Members::loose(0));
        line.object("nothing", |_| {});
        line.number("attempts", 2);
        line.texts("names", &["a".to_owned(), "b".to_owned()], 9);
        let line = String::from_utf8(line.into_line()).unwrap();
        assert_eq!(
            line,
            concat!(
                r#"{"id":"7","caller":{"peer":"p"},"nothing":{},"attempts":2,"names":["a","b"]}"#,
                "\n"
            )
        );
    }

    #[test]
    fn what_steers_a_terminal_or_ends_a_text_does_not_stand_as_it_is() {
        for (text, want) in [
            ("plain ~", "plain ~"),
            ("a\"b\\c", "a\"b\\c"),
            (
                "a\n\u{1b}[2J\u{7f}\u{85}",
                "a\u{fffd}\u{fffd}[2J\u{fffd}\u{fffd}",
            ),
            ("f\u{fc}r \u{1f511}", "f\u{fc}r \u{1f511}"),
            ("0123456789abcdefgh", "0123456789abcdef"),
        ] {
            let mut line = Members::of_line(0);
            line.text("text", text, 16);
            let line = line.into_line();
            let read: Value = serde_json::from_slice(&line).unwrap();
            assert_eq!(read, json!({ "text": want }));
        }
    }

    proptest! {
        #[test]
        fn every_text_comes_back_as_far_as_it_is_kept(text: String, max in 0..40_usize) {
            let mut line = Members::of_line(0);
            line.texts("texts", &[text.clone(), text.clone()], max);
            let line = String::from_utf8(line.into_line()).unwrap();
            prop_assert!(!line.trim_end_matches('\n').contains(char::is_control));
            let read: Value = serde_json::from_str(&line).unwrap();
            let kept = clean(&text, max);
            prop_assert_eq!(read, json!({ "texts": [&kept, &kept] }));
        }
    }
}
