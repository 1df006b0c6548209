//! The access token that a command is given in a file.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::Args;
use tonic::{Request, metadata::AsciiMetadataValue};

/// No gateway takes a longer one: by default all headers of a call have 64 KiB.
const MAX_TOKEN_BYTES: u64 = 64 * 1024;

/// The token that a call to a gateway shows.
#[derive(Debug, Args)]
pub(super) struct TokenFile {
    /// A file with the access token that the gateway wants, and nothing else; `-` reads it
    /// from stdin. It is one for Microsoft Graph where the gateway hands it on (credentials
    /// `passthrough`), and one for the gateway itself otherwise.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// The `authorization` of calls, if there is one.
#[derive(Debug, Clone)]
pub(super) struct Authorization(Option<AsciiMetadataValue>);

// === impl TokenFile ===

impl TokenFile {
    pub(super) fn read(&self) -> anyhow::Result<Authorization> {
        let Some(file) = &self.token_file else {
            return Ok(Authorization(None));
        };
        let token = read(file)?;
        let mut value = AsciiMetadataValue::try_from(format!("Bearer {token}"))?;
        value.set_sensitive(true);
        Ok(Authorization(Some(value)))
    }
}

// === impl Authorization ===

impl Authorization {
    pub(super) fn add_to<M>(&self, request: &mut Request<M>) {
        if let Some(authorization) = &self.0 {
            let metadata = request.metadata_mut();
            metadata.insert("authorization", authorization.clone());
        }
    }
}

/// The token in the file of `--token-file`; `-` is stdin. What is wrong with it is said
/// without showing it.
pub(super) fn read(file: &Path) -> anyhow::Result<String> {
    let is_stdin = file.as_os_str() == "-";
    let opened: io::Result<Box<dyn Read>> = if is_stdin {
        Ok(Box::new(io::stdin()))
    } else {
        File::open(file).map(|file| Box::new(file) as _)
    };
    let mut token = Vec::new();
    opened
        .and_then(|input| input.take(MAX_TOKEN_BYTES + 1).read_to_end(&mut token))
        .with_context(|| format!("--token-file {} cannot be read", file.display()))?;
    let token = token.trim_ascii();
    anyhow::ensure!(!token.is_empty(), "--token-file is empty");
    anyhow::ensure!(
        token.len() as u64 <= MAX_TOKEN_BYTES && token.iter().all(u8::is_ascii_graphic),
        "--token-file holds something else than one token: visible ASCII characters without \
         spaces, at most {} KiB, and without `Bearer` before it",
        MAX_TOKEN_BYTES / 1024
    );
    Ok(token.iter().copied().map(char::from).collect())
}
