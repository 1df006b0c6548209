//! What is wrong with a configuration. No text here holds a value.

use std::{fmt, path::PathBuf};

use super::origin::Origin;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// A value that does not have the expected form.
    #[error("{key} ({origin}): expected {expected}")]
    Value {
        /// The dotted key.
        key: String,
        /// Which source gave the value.
        origin: Origin,
        /// The expected form, in words.
        expected: String,
    },
    /// A key that no setting has.
    #[error("{key} ({origin}): unknown key{}", hint(nearest.as_deref()))]
    UnknownKey {
        /// The dotted key, as given.
        key: String,
        /// Which source gave it.
        origin: Origin,
        /// The key that was perhaps meant.
        nearest: Option<String>,
    },
    /// An environment variable with the gateway's prefix that no setting has.
    #[error("{name}: unknown environment variable{}", hint(nearest.as_deref()))]
    UnknownVariable {
        /// Its name.
        name: String,
        /// The name that was perhaps meant.
        nearest: Option<String>,
    },
    /// A configuration file that could not be read, or that is not TOML.
    #[error("file {}{}: {reason}", path.display(), place(*position))]
    File {
        /// As it was named.
        path: PathBuf,
        /// Line and column, counted from 1, of an error of syntax.
        position: Option<(usize, usize)>,
        /// What is wrong, without the file's text.
        reason: String,
    },
    /// A file that a key names, and that is of no use. Found by whoever opens it, as the
    /// configuration itself opens none.
    #[error("{problem}")]
    UnusableFile {
        /// The key, the path and what is wrong, without the file's text.
        problem: String,
    },
}

fn hint(nearest: Option<&str>) -> String {
    nearest
        .map(|nearest| format!("; did you mean {nearest}?"))
        .unwrap_or_default()
}

fn place(position: Option<(usize, usize)>) -> String {
    position
        .map(|(line, column)| format!(", line {line}, column {column}"))
        .unwrap_or_default()
}

/// Every mistake of a configuration; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    pub(super) fn new(mistakes: Vec<Mistake>) -> Self {
        Self(mistakes)
    }

    /// Fails with these mistakes if there are any.
    pub fn none_of(mistakes: Vec<Mistake>) -> Result<(), Self> {
        if mistakes.is_empty() {
            Ok(())
        } else {
            Err(Self(mistakes))
        }
    }

    /// The mistakes, in the order in which the sources were read.
    pub fn iter(&self) -> impl Iterator<Item = &Mistake> {
        self.0.iter()
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("the configuration has a mistake:")?,
            count => write!(f, "the configuration has {count} mistakes:")?,
        }
        self.0
            .iter()
            .try_for_each(|mistake| write!(f, "\n  {mistake}"))
    }
}

impl std::error::Error for Mistakes {}
