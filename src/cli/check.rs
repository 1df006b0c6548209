//! `incidentgate check`

use std::process::ExitCode;

use clap::Args;

use super::{USAGE, fail, print, settings::Settings};

/// Shows every key with its value and where that comes from; exits 64 with every
/// mistake otherwise.
#[derive(Debug, Args)]
pub(super) struct Check {
    #[command(flatten)]
    settings: Settings,
}

impl Check {
    pub(super) fn run(self) -> ExitCode {
        match self.settings.load() {
            Ok(loaded) => {
                print(loaded.effective.to_string().trim_end());
                ExitCode::SUCCESS
            }
            Err(mistakes) => fail(USAGE, &mistakes.into()),
        }
    }
}
