//! Files that are read again and again, and what is done when they have changed.
//!
//! Contents are compared, not times: Kubernetes swaps a symbolic link, and copying tools
//! keep the times of the original.

use std::{
    fmt, fs,
    io::{self, Read as _},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use tokio::time::sleep;

use crate::telemetry::{Metrics, Reloaded};

/// The most bytes of one file. A bundle of all public authorities has 250 KiB.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// Where a file is, and which key of the configuration says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The key, as in `tls.key_file`.
    pub key: &'static str,
    /// The file.
    pub path: PathBuf,
}

/// A file's content. It may be a private key, so it is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct File {
    /// Where it is.
    pub source: Source,
    /// What is in it.
    pub bytes: Arc<[u8]>,
}

/// A file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{key} {} cannot be read", path.display())]
pub struct ReadError {
    key: &'static str,
    path: PathBuf,
    #[source]
    error: io::Error,
}

/// What a look at the files has brought.
#[derive(Debug)]
pub enum Look {
    /// All is as it was at the last look.
    Same,
    /// At least one file has another content than at the last look.
    Changed(Vec<File>),
    /// They cannot be read, and could at the last look.
    Unreadable(ReadError),
}

/// Some files, and how they were when somebody last looked.
#[derive(Debug)]
pub struct Watch {
    sources: Vec<Source>,
    /// Nothing if they could not be read.
    seen: Option<Vec<File>>,
}

// === impl Source ===

impl Source {
    /// Reads the file. Blocks.
    pub fn read(&self) -> Result<File, ReadError> {
        let read = || {
            let mut bytes = Vec::new();
            let file = fs::File::open(&self.path)?;
            file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
            if bytes.len() as u64 > MAX_BYTES {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            Ok(bytes)
        };
        let bytes = read().map_err(|error| ReadError {
            key: self.key,
            path: self.path.clone(),
            error,
        })?;
        Ok(File {
            source: self.clone(),
            bytes: bytes.into(),
        })
    }
}

// === impl File ===

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

// === impl Watch ===

impl Watch {
    /// Watches files whose content is known already, and in use.
    pub fn new(files: Vec<File>) -> Self {
        Self {
            sources: files.iter().map(|file| file.source.clone()).collect(),
            seen: Some(files),
        }
    }

    /// Reads the files again. Blocks. The files come in the order of the beginning.
    pub fn look(&mut self) -> Look {
        let files: Result<Vec<_>, _> = self.sources.iter().map(Source::read).collect();
        match files {
            Ok(files) if self.seen.as_ref() == Some(&files) => Look::Same,
            Ok(files) => {
                self.seen = Some(files.clone());
                Look::Changed(files)
            }
            // Said once, and not at every look.
            Err(_) if self.seen.is_none() => Look::Same,
            Err(error) => {
                self.seen = None;
                Look::Unreadable(error)
            }
        }
    }

    /// Looks every `interval`, and gives `apply` what has changed. What `apply` refuses is
    /// logged and counted once, and whatever is in use stays in use; it is asked again
    /// when the files have changed again.
    ///
    /// Files are read and applied where blocking harms nobody. Never ends. Cancel-safe,
    /// though an `apply` that has begun comes to its end.
    pub async fn keep<E: std::error::Error + Send + 'static>(
        self,
        what: Reloaded,
        interval: Duration,
        apply: impl FnMut(&[File]) -> Result<(), E> + Send + 'static,
        metrics: Metrics,
    ) {
        let mut state = (self, apply);
        loop {
            sleep(interval).await;
            let looked = tokio::task::spawn_blocking(move || {
                let (watch, apply) = &mut state;
                let end = match watch.look() {
                    Look::Same => End::Same,
                    Look::Changed(files) => {
                        apply(&files).map_or_else(End::Refused, |()| End::Applied)
                    }
                    Look::Unreadable(error) => End::Unreadable(error),
                };
                (state, end)
            });
            let Ok((next, end)) = looked.await else {
                // The runtime ends, or `apply` has panicked.
                tracing::error!(what = what.as_str(), "files are not watched any more");
                return;
            };
            state = next;
            end.tell(what, &metrics);
        }
    }
}

/// How a look ended.
enum End<E> {
    Same,
    Applied,
    Refused(E),
    Unreadable(ReadError),
}

impl<E: std::error::Error + 'static> End<E> {
    fn tell(self, what: Reloaded, metrics: &Metrics) {
        let error: &(dyn std::error::Error + 'static) = match &self {
            Self::Same => return,
            Self::Applied => {
                metrics.tls_reload(what, true);
                tracing::info!(what = what.as_str(), "changed files are in use");
                return;
            }
            Self::Refused(error) => error,
            Self::Unreadable(error) => error,
        };
        metrics.tls_reload(what, false);
        tracing::warn!(
            what = what.as_str(),
            error,
            "changed files are of no use, and what was read before stays in use"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn source(directory: &Path, name: &str) -> Source {
        Source {
            key: "tls.key_file",
            path: directory.join(name),
        }
    }

    fn contents(look: &Look) -> Option<Vec<&[u8]>> {
        match look {
            Look::Changed(files) => Some(files.iter().map(|file| &*file.bytes).collect()),
            Look::Same | Look::Unreadable(_) => None,
        }
    }

    #[test]
    fn a_change_is_told_once_and_so_is_a_file_that_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let (a, b) = (source(directory.path(), "a"), source(directory.path(), "b"));
        fs::write(&a.path, "1").unwrap();
        fs::write(&b.path, "2").unwrap();
        let mut watch = Watch::new(vec![a.read().unwrap(), b.read().unwrap()]);
        assert!(matches!(watch.look(), Look::Same));
        // The same content, written again.
        fs::write(&a.path, "1").unwrap();
        assert!(matches!(watch.look(), Look::Same));

        fs::write(&b.path, "3").unwrap();
        let look = watch.look();
        assert_eq!(contents(&look), Some(vec![&b"1"[..], b"3"]));
        assert!(matches!(watch.look(), Look::Same));

        fs::remove_file(&a.path).unwrap();
        let Look::Unreadable(error) = watch.look() else {
            panic!("it is gone");
        };
        let expected = format!("tls.key_file {} cannot be read", a.path.display());
        assert_eq!(error.to_string(), expected);
        assert!(matches!(watch.look(), Look::Same));
        fs::write(&a.path, "1").unwrap();
        let look = watch.look();
        assert_eq!(contents(&look), Some(vec![&b"1"[..], b"3"]));
    }

    #[test]
    fn a_link_that_is_swapped_is_a_change() {
        let directory = tempfile::tempdir().unwrap();
        for version in ["one", "two"] {
            fs::create_dir(directory.path().join(version)).unwrap();
            fs::write(directory.path().join(version).join("file"), version).unwrap();
        }
        // As the kubelet does it: `file` goes through a link that is renamed over.
        let (data, next) = (directory.path().join("data"), directory.path().join("next"));
        std::os::unix::fs::symlink("one", &data).unwrap();
        std::os::unix::fs::symlink("data/file", directory.path().join("file")).unwrap();
        let file = source(directory.path(), "file");
        let mut watch = Watch::new(vec![file.read().unwrap()]);
        std::os::unix::fs::symlink("two", &next).unwrap();
        fs::rename(&next, &data).unwrap();
        assert_eq!(contents(&watch.look()), Some(vec![&b"two"[..]]));
    }

    #[test]
    fn what_is_too_large_is_not_read_and_what_is_read_is_not_shown() {
        let directory = tempfile::tempdir().unwrap();
        let file = source(directory.path(), "a");
        fs::write(&file.path, "secret").unwrap();
        let shown = format!("{:?}", file.read().unwrap());
        assert!(
            !shown.contains("secret") && !shown.contains("115"),
            "{shown}"
        );
        let large = fs::File::create(&file.path).unwrap();
        large.set_len(MAX_BYTES).unwrap();
        file.read().unwrap();
        large.set_len(MAX_BYTES + 1).unwrap();
        file.read().unwrap_err();
    }
}
