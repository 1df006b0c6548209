//! The flags that commands share, and the configuration that they make.

use std::path::PathBuf;

use clap::Args;

use crate::config::{Config, Flag, Loaded, Mistakes, Preset, Sources};

/// Which configuration, and which Graph.
#[derive(Debug, Default, Args)]
pub(super) struct GraphSettings {
    /// Configuration file in TOML; the README lists every key.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    // Not a documentation comment: rustdoc would want the URL in brackets.
    #[arg(
        long,
        value_name = "URL",
        help = "Root of Microsoft Graph [default: https://graph.microsoft.com/beta]"
    )]
    graph_url: Option<String>,
}

/// What `serve` and `check` take.
#[derive(Debug, Args)]
pub(super) struct Settings {
    #[command(flatten)]
    graph: GraphSettings,
    /// Address to listen on [default: 127.0.0.1:50051].
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Bring a simulated Graph and a credential for it: no token and no tenant needed.
    #[arg(long)]
    pub(super) sandbox: bool,
}

// === impl GraphSettings ===

impl GraphSettings {
    /// Reads all sources: defaults, file, environment, flags.
    pub(super) fn load(self) -> Result<Loaded, Mistakes> {
        self.load_with(Preset::Production, None)
    }

    fn load_with(self, preset: Preset, more: Option<Flag>) -> Result<Loaded, Mistakes> {
        let graph_url = flag("graph.url", "--graph-url", self.graph_url);
        Config::load(Sources {
            preset,
            file: self.config,
            environment: std::env::vars_os().collect(),
            flags: more.into_iter().chain(graph_url).collect(),
        })
    }
}

// === impl Settings ===

impl Settings {
    /// Reads all sources: defaults, file, environment, flags.
    pub(super) fn load(self) -> Result<Loaded, Mistakes> {
        let preset = if self.sandbox {
            Preset::Sandbox
        } else {
            Preset::Production
        };
        let listen = flag("server.listen", "--listen", self.listen);
        self.graph.load_with(preset, listen)
    }
}

fn flag(key: &'static str, name: &'static str, value: Option<String>) -> Option<Flag> {
    value.map(|value| Flag { key, name, value })
}
