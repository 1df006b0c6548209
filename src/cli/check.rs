//! `incidentgate check`

use std::process::ExitCode;

use clap::Args;

use super::{USAGE, fail, print, settings::Settings};
use crate::app;

/// Shows every key with its value and where that comes from; exits 64 with every
/// mistake otherwise, also with every file that `serve` could not use.
#[derive(Debug, Args)]
pub(super) struct Check {
    #[command(flatten)]
    settings: Settings,
}

impl Check {
    pub(super) async fn run(self) -> ExitCode {
        let loaded = match self.settings.load() {
            Ok(loaded) => loaded,
            Err(mistakes) => return fail(USAGE, &mistakes.into()),
        };
        if let Err(unusable) = app::check_files(&loaded.config).await {
            return fail(USAGE, &unusable.into());
        }
        print(loaded.effective.to_string().trim_end());
        ExitCode::SUCCESS
    }
}
