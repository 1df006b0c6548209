//! Where the lines go.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::{fd::AsFd as _, unix::fs::MetadataExt as _},
    thread,
    time::Duration,
};

use crate::pipe::undivided;

/// How often a pipe that does not block, and is full, is tried again. Whoever shares
/// standard output with this process may have made it so.
const FULL_PIPE: Duration = Duration::from_millis(1);

/// The medium of the log. Only the writer's thread uses it, so it may block.
pub(super) trait Sink: Send {
    /// Makes ready for a batch, which begins here; says whether the log ends within a
    /// line.
    fn begin(&mut self) -> io::Result<bool>;

    /// Writes some of the bytes, as [`Write::write`].
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Makes durable what was written.
    fn sync(&mut self) -> io::Result<()>;

    /// Takes back what was written since [`begin`](Self::begin); `false` where that
    /// cannot be.
    fn cut_back(&mut self) -> bool;
}

/// A pipe, a terminal, a device: whatever is written is written.
pub(super) struct Stream {
    file: File,
    /// Whether there is anything to make durable: output may be redirected to a file.
    is_regular: bool,
    mid_line: bool,
}

// === impl Stream ===

impl Stream {
    /// Standard output, past the buffer of `std`, so that what was written is known to
    /// the byte.
    pub(super) fn stdout() -> io::Result<Self> {
        let file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        if is_null(&file) {
            tracing::warn!("standard output is closed or discarded, and the audit log with it");
        }
        Self::new(file)
    }

    pub(super) fn new(file: File) -> io::Result<Self> {
        Ok(Self {
            is_regular: file.metadata()?.is_file(),
            file,
            mid_line: false,
        })
    }
}

impl Sink for Stream {
    fn begin(&mut self) -> io::Result<bool> {
        Ok(self.mid_line)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let portion = if self.is_regular {
            bytes
        } else {
            undivided(bytes)
        };
        let written = self.file.write(portion)?;
        if let Some(last) = bytes[..written].last() {
            self.mid_line = *last != b'\n';
        }
        Ok(written)
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.is_regular {
            self.file.sync_data()
        } else {
            Ok(())
        }
    }

    fn cut_back(&mut self) -> bool {
        false
    }
}

/// Whether whatever is written is gone. A closed standard output is such a device, too:
/// the runtime of the language opens it so.
fn is_null(file: &File) -> bool {
    let device = |metadata: fs::Metadata| metadata.rdev();
    let null = fs::metadata("/dev/null").map(device);
    null.is_ok_and(|null| file.metadata().is_ok_and(|own| device(own) == null))
}

/// Writes everything; `at` says how far it came, also where it fails.
pub(super) fn write_all(sink: &mut dyn Sink, bytes: &[u8], at: &mut usize) -> io::Result<()> {
    while *at < bytes.len() {
        match sink.write(&bytes[*at..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => *at += written,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(FULL_PIPE),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_null_device_discards_what_is_written() {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        for (path, expected) in [("/dev/null", true), ("/dev/zero", false), (manifest, false)] {
            assert_eq!(is_null(&File::open(path).unwrap()), expected, "{path}");
        }
    }
}
