//! The access token that a command is given in a file.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use anyhow::Context as _;

/// No gateway takes a longer one: by default all headers of a call have 64 KiB.
const MAX_TOKEN_BYTES: u64 = 64 * 1024;

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
