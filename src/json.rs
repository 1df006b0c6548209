//! JSON texts, for the lines that calls write: a log line of a failure, two of the audit log.

use std::fmt::Write as _;

use crate::scan;

/// Appends a JSON string that steers no terminal and splits no line, which JSON itself
/// would let some characters do.
pub fn push_text(line: &mut String, text: &str) {
    if push_plain(line, text) {
        return;
    }
    for c in serde_json::Value::from(text).to_string().chars() {
        if scan::steers(c) {
            // All of them have four digits at most, and memory takes everything.
            write!(line, "\\u{:04x}", u32::from(c)).ok();
        } else {
            line.push(c);
        }
    }
}

/// The same, if it is printable ASCII of which nothing has to be escaped, as nearly every
/// text is. Says whether.
pub fn push_plain(line: &mut String, text: &str) -> bool {
    let is_plain = scan::all(text.as_bytes(), |byte| {
        matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
    });
    if is_plain {
        line.push('"');
        line.push_str(text);
        line.push('"');
    }
    is_plain
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_text_comes_back(
            text in "[ -~]{0,40}|\\PC{0,40}|(?s:.{0,40})|[\u{80}-\u{9f}\u{2020}-\u{2070}]{0,9}"
        ) {
            let mut line = "[".to_owned();
            push_text(&mut line, &text);
            line.push(']');
            prop_assert!(!line.contains(scan::steers));
            let read: Vec<String> = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(read, [text]);
        }
    }
}
