//! What a caller heard.

use std::ops::Add;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// The answer to "was the action started?"
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    Yes,
    No,
    Unknown,
    /// The caller did not wait for it.
    Nothing,
}

/// How often which was told.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) rows: usize,
    pub(crate) yes: usize,
    pub(crate) no: usize,
    pub(crate) unknown: usize,
    pub(crate) nothing: usize,
    pub(crate) wrong: usize,
}

// === impl Told ===

impl Told {
    /// Reads an answer. An error is one that breaks the contract.
    pub(crate) fn of<T>(answer: &Result<T, Status>) -> Result<Self, String> {
        let Err(status) = answer else {
            return Ok(Self::Yes);
        };
        let details = status.get_error_details();
        let Some(info) = details.error_info() else {
            // The client itself has given up.
            let own = [Code::Cancelled, Code::DeadlineExceeded].contains(&status.code());
            return if own {
                Ok(Self::Nothing)
            } else {
                Err(format!("no ErrorInfo: {status:?}"))
            };
        };
        let pushback = status.metadata().get("grpc-retry-pushback-ms");
        let is_final = pushback.is_some_and(|pushback| pushback == "-1");
        match info.metadata.get("actionOutcome").map(String::as_str) {
            Some("ALREADY_STARTED") => Ok(Self::Yes),
            Some("NOT_STARTED") => Ok(Self::No),
            Some("UNKNOWN")
                if !is_final
                    || details.retry_info().is_some()
                    // These two are what meshes send again.
                    || [Code::Unavailable, Code::Cancelled].contains(&status.code()) =>
            {
                Err(format!("may be sent again: {status:?}"))
            }
            Some("UNKNOWN") => Ok(Self::Unknown),
            _ => Err(format!("no actionOutcome: {status:?}")),
        }
    }
}

// === impl Counts ===

impl Counts {
    pub(crate) fn count(&mut self, told: Option<Told>) {
        self.rows += 1;
        match told {
            Some(Told::Yes) => self.yes += 1,
            Some(Told::No) => self.no += 1,
            Some(Told::Unknown) => self.unknown += 1,
            Some(Told::Nothing) => self.nothing += 1,
            None => {}
        }
    }
}

impl Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            rows: self.rows + other.rows,
            yes: self.yes + other.yes,
            no: self.no + other.no,
            unknown: self.unknown + other.unknown,
            nothing: self.nothing + other.nothing,
            wrong: self.wrong + other.wrong,
        }
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            yes,
            no,
            unknown,
            nothing,
            wrong,
            ..
        } = self;
        write!(
            f,
            "yes: {yes}  no: {no}  unknown: {unknown}  unheard: {nothing}  wrong: {wrong}"
        )
    }
}
