//! The `incidentgate` command.

use std::process::ExitCode;

use incidentgate::cli::Cli;

/// glibc's allocator costs the gateway a fifth of its throughput.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    Cli::parse_or_exit_code().map_or_else(|code| code, Cli::run)
}
