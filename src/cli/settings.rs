//! The flags that `serve` and `check` share, and the sources that they make.

use std::path::PathBuf;

use clap::Args;

use crate::config::{Config, Flag, Loaded, Mistakes, Preset, Sources};

/// Where the configuration comes from.
#[derive(Debug, Args)]
pub(super) struct Settings {
    /// Configuration file in TOML; the README lists every key.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address to listen on [default: 127.0.0.1:50051].
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    // Not a documentation comment: rustdoc would want the URL in brackets.
    #[arg(
        long,
        value_name = "URL",
        help = "Root of Microsoft Graph [default: https://graph.microsoft.com/beta]"
    )]
    graph_url: Option<String>,
    /// Bring a simulated Graph and a credential for it: no token and no tenant needed.
    #[arg(long)]
    pub(super) sandbox: bool,
}

impl Settings {
    /// Reads all sources: defaults, file, environment, flags.
    pub(super) fn load(self) -> Result<Loaded, Mistakes> {
        let flag = |key, name, value: Option<String>| value.map(|value| Flag { key, name, value });
        Config::load(Sources {
            preset: if self.sandbox {
                Preset::Sandbox
            } else {
                Preset::Production
            },
            file: self.config,
            environment: std::env::vars_os().collect(),
            flags: [
                flag("server.listen", "--listen", self.listen),
                flag("graph.url", "--graph-url", self.graph_url),
            ]
            .into_iter()
            .flatten()
            .collect(),
        })
    }
}
