//! Text that must not be shown.

use std::fmt;

/// A secret: its `Debug` says nothing, and it has no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes the text; white space around it, as a file's last newline, is no part of it,
    /// nor is the mark that some editors put before it (U+FEFF).
    pub fn new(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self(text.trim().to_owned())
    }

    /// The text, for the one request that it is for.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_says_nothing() {
        let secret = Secret::new("hunter2\n");
        assert_eq!(secret.reveal(), "hunter2");
        assert_eq!(format!("{secret:?}"), "Secret");
        assert_eq!(Secret::new("\u{feff}hunter2\r\n").reveal(), "hunter2");
    }
}
