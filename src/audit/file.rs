//! A log in a file that survives crashes, rotation and full disks.

use std::{
    fs::{File, Metadata, OpenOptions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{OpenError, sink::Sink};

/// A regular file that no other gateway writes.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    identity: Identity,
    /// The file's length where the batch began.
    start: u64,
}

/// How long to wait before the lock is tried again.
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// Which file it is, whatever its name: device and inode.
type Identity = (u64, u64);

/// Opens, or creates, whatever the path names.
pub(super) fn open(path: &Path) -> Result<File, OpenError> {
    OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        // Who asked for what is nobody else's business.
        .mode(0o600)
        .open(path)
        .map_err(|error| OpenError::file(path, error))
}

/// Whether a running gateway writes this file.
pub fn is_in_use(file: &File) -> bool {
    // The lock goes at once, or it would keep a gateway from starting.
    match file.try_lock_shared() {
        Ok(()) => {
            file.unlock().ok();
            false
        }
        Err(error) => matches!(error, TryLockError::WouldBlock),
    }
}

impl LogFile {
    /// Takes the file for this process alone.
    pub(super) fn new(path: &Path, file: File) -> Result<Self, OpenError> {
        let fails = |error| OpenError::file(path, error);
        lock(&file).map_err(|error| match error {
            TryLockError::WouldBlock => OpenError::InUse(path.to_owned()),
            TryLockError::Error(error) => fails(error),
        })?;
        let metadata = file.metadata().map_err(fails)?;
        sync_folder(path).map_err(fails)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            identity: identity(&metadata),
            start: metadata.len(),
        })
    }

    /// Goes on in a new file after the old one was renamed or removed.
    fn reopen(&mut self) -> io::Result<()> {
        // Under the interval policy its last records may not be durable yet.
        self.file.sync_data()?;
        let file = open(&self.path).map_err(io::Error::other)?;
        *self = Self::new(&self.path, file).map_err(io::Error::other)?;
        Ok(())
    }
}

impl Sink for LogFile {
    /// One `stat` and one byte read, so that no record goes to a file that rotation
    /// has taken away, and none to the end of somebody's torn line.
    fn begin(&mut self) -> io::Result<bool> {
        let there = std::fs::metadata(&self.path);
        if !there.is_ok_and(|there| identity(&there) == self.identity) {
            self.reopen()?;
        }
        self.start = self.file.metadata()?.len();
        let Some(last) = self.start.checked_sub(1) else {
            return Ok(false);
        };
        let mut byte = [0];
        self.file.read_exact_at(&mut byte, last)?;
        Ok(byte != *b"\n")
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn cut_back(&mut self) -> bool {
        // Never longer: somebody else may have emptied the file in the meantime.
        self.file
            .metadata()
            .and_then(|now| self.file.set_len(self.start.min(now.len())))
            .is_ok()
    }
}

/// Takes the lock. Whoever only asks whether the file [is in use](is_in_use) holds it for
/// an instant, hence a second try.
fn lock(file: &File) -> Result<(), TryLockError> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            std::thread::sleep(LOCK_PAUSE);
            file.try_lock()
        }
        tried => tried,
    }
}

fn identity(metadata: &Metadata) -> Identity {
    (metadata.dev(), metadata.ino())
}

/// Makes the file's name durable: after a power failure a new file may otherwise be
/// gone with all that was synced into it.
fn sync_folder(file: &Path) -> io::Result<()> {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    match File::open(folder)?.sync_all() {
        // Some file systems have nothing to sync for a folder.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        done => done,
    }
}
