//! The validated configuration: every key is declared once, in `settings.rs`, and every
//! mistake is reported at once.
//!
//! Sources in rising priority: defaults, what the preset changes in them, variables of the
//! platform (`AZURE_TENANT_ID` and its like), the TOML file, environment variables
//! (`INCIDENTGATE_SECTION__KEY`), flags. A value that a later source replaces is still
//! checked: a mistake in the file is a mistake, also where a variable hides it today.
//!
//! A message about a mistake names the key, its source and the expected form, never the
//! value, which may be a secret.

mod base_url;
mod choice;
mod effective;
mod environment;
mod file;
pub(crate) mod form;
mod given;
mod mistake;
mod origin;
mod reference;
mod rules;
mod settings;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, ffi::OsString, fmt, path::PathBuf};

pub use self::{
    base_url::BaseUrl,
    choice::{
        AuditFsync, AuditSink, ClientAuthentication, CredentialsMode, LogFormat, OnAuditFailure,
        ReconciliationMode,
    },
    effective::{Effective, Entry},
    mistake::{Mistake, Mistakes},
    origin::Origin,
    reference::reference,
    settings::{
        Audit, Callers, Config, Credentials, DeadlineLimits, Drain, Graph, Log, Policy,
        Reconciliation, Retry, Sandbox, Server, Throttle, Tls,
    },
};

use self::given::Given;

/// Everything that a configuration is made from. Nothing else is read, so a test passes
/// its own environment.
#[derive(Clone, Default)]
pub struct Sources {
    /// Which defaults apply.
    pub preset: Preset,
    /// The TOML file; it must exist when named.
    pub file: Option<PathBuf>,
    /// The process environment (`std::env::vars_os().collect()`); only names with the
    /// prefix `INCIDENTGATE_` count, and those of Azure Workload Identity.
    pub environment: BTreeMap<OsString, OsString>,
    /// Flags of the command line that set a key.
    pub flags: Vec<Flag>,
}

/// A set of defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Preset {
    /// In front of Microsoft Graph.
    #[default]
    Production,
    /// `--sandbox`: in front of the embedded simulator, which brings its own URL and credential.
    Sandbox,
}

/// A command-line flag that sets a key.
#[derive(Clone)]
pub struct Flag {
    /// The dotted key, for example `server.listen`.
    pub key: &'static str,
    /// How the user wrote the flag, for example `--listen`.
    pub name: &'static str,
    /// The text after the flag.
    pub value: String,
}

/// A configuration without mistakes.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The typed configuration.
    pub config: Config,
    /// The same as text, with the source of every value, for `check`.
    pub effective: Effective,
}

impl Config {
    /// Reads, merges and validates all sources.
    ///
    /// Fails with every mistake of every source.
    pub fn load(sources: Sources) -> Result<Loaded, Mistakes> {
        let preset = sources.preset;
        let mut given = Given::collect(sources);
        let config = Self::read(&mut given);
        if let Some(config) = &config {
            rules::check(config, preset, &mut given);
        }
        let effective = Effective::of(&given);
        match (config, given.into_mistakes()) {
            (Some(config), mistakes) if mistakes.is_empty() => Ok(Loaded { config, effective }),
            (_, mistakes) => Err(Mistakes::new(mistakes)),
        }
    }
}

// Written by hand, because both hold values that may be secrets.

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources")
            .field("preset", &self.preset)
            .field("file", &self.file)
            .field("flags", &self.flags)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flag")
            .field("key", &self.key)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
