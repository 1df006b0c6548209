//! The audit log: one JSON line when a POST or a PATCH is about to leave (`intent`), one
//! when it is known what became of it (`outcome`).
//!
//! | file | holds |
//! |---|---|
//! | `record`, `members` | what a line says, and its JSON |
//! | `entry` | a recorded intent, and the promise of an outcome |
//! | `queue`, `writer` | the thread that writes: group commit, failure, recovery |
//! | `sink`, `file` | standard output, a file |
//! | `pending` | the log read again: whose outcome is missing |
//!
//! A call waits until its intent is as durable as the policy asks, and is refused where
//! it cannot be written. So an intent stands in the log for every one that has left,
//! and an intent without an outcome marks a crash of the process, and nothing else.

mod entry;
mod file;
mod members;
pub mod pending;
mod queue;
mod record;
mod sink;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use tokio::sync::{Semaphore, oneshot};

pub use self::{
    entry::Entry,
    file::is_in_use,
    record::{Act, Caller, Intent, Outcome},
};
use self::{
    file::LogFile,
    queue::{Item, Queue, Waiting},
    sink::{Sink, Stream},
    writer::Writer,
};
use crate::telemetry::Metrics;

/// The most intents that wait for the writer; further ones wait for a place. It bounds
/// the memory while the medium stalls and calls come and go.
const MAX_WAITING: usize = 4096;

/// The audit log. Clones share it.
///
/// When the last clone and the last [`Entry`] are gone, what is left is written and the
/// writer ends; [`flush`](Self::flush) waits for that much.
#[derive(Debug, Clone)]
pub struct Audit(Option<Log>);

#[derive(Debug, Clone)]
struct Log {
    queue: Queue,
    places: Arc<Semaphore>,
    on_failure: OnFailure,
}

/// What the audit log is to be.
#[derive(Debug, Clone)]
pub struct AuditOptions {
    /// Where the lines go.
    pub medium: Medium,
    /// When they are made durable.
    pub fsync: Fsync,
    /// What happens to a call whose intent cannot be written.
    pub on_failure: OnFailure,
    /// Counts records and measures batches.
    pub metrics: Metrics,
}

/// Where the lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Medium {
    /// Nowhere.
    Off,
    /// Standard output.
    Stdout,
    /// The end of a file, which this process then has for itself. A pipe or a device is
    /// taken too, and not locked.
    File(PathBuf),
}

/// When written lines are made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fsync {
    /// Before the call goes on: a power failure loses no intent.
    Always,
    /// At the latest after this time, and at the end. A crash of the process loses
    /// nothing, a power failure what is younger.
    Interval(Duration),
}

/// What happens to a call whose intent cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// It is refused, and nothing is sent.
    Refuse,
    /// It goes on unrecorded.
    Proceed,
}

/// Why the audit log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is missing and cannot be made, must not be written, or is no file.
    #[error("the audit log {} cannot be opened: {error}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// Another process has locked it.
    #[error("the audit log {} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// Standard output is closed.
    #[error("standard output cannot be the audit log: {0}")]
    Stdout(io::Error),
    /// There are too many threads.
    #[error("the audit log's thread cannot be started: {0}")]
    Thread(io::Error),
}

/// The intent could not be recorded, so the call must not go on.
///
/// The text is for the caller; [`source`](std::error::Error::source), which may name the
/// file, is for the log.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the audit log cannot be written")]
pub struct Unrecorded {
    source: Arc<io::Error>,
}

// === impl Audit ===

impl Audit {
    /// A log that records nothing.
    pub const fn off() -> Self {
        Self(None)
    }

    /// Opens the log, and starts the thread that writes it.
    pub fn open(options: AuditOptions) -> Result<Self, OpenError> {
        let sink: Box<dyn Sink> = match &options.medium {
            Medium::Off => return Ok(Self::off()),
            Medium::Stdout => Box::new(Stream::stdout().map_err(OpenError::Stdout)?),
            Medium::File(path) => open_file(path)?,
        };
        Self::start(sink, options).map_err(OpenError::Thread)
    }

    fn start(sink: Box<dyn Sink>, options: AuditOptions) -> io::Result<Self> {
        let AuditOptions {
            fsync,
            on_failure,
            metrics,
            medium: _,
        } = options;
        let (inlet, items) = mpsc::channel();
        let writer = Writer::new(sink, fsync, on_failure, metrics);
        let thread = thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || writer.run(&items))?;
        Ok(Self(Some(Log {
            queue: Queue::new(inlet, thread.thread().clone()),
            places: Arc::new(Semaphore::new(MAX_WAITING)),
            on_failure,
        })))
    }

    /// Records that a request is about to leave. Returns once that is as durable as the
    /// policy asks; on `Err` the call must not go on. A log that is off does not ask what
    /// the intent is.
    ///
    /// Cancel-safe: where the intent of a dropped future stands in the log, an outcome
    /// says that nothing was sent. There is no limit of its own to the wait, which a
    /// stalled medium makes long; the call's deadline ends it.
    pub async fn intent(&self, intent: impl FnOnce() -> Intent) -> Result<Entry, Unrecorded> {
        let Some(log) = &self.0 else {
            return Ok(Entry::silent());
        };
        // Nobody closes the semaphore.
        let Ok(place) = log.places.clone().acquire_owned().await else {
            return log.without_writer();
        };
        let (entry, line) = Entry::new(&intent(), log.queue.clone());
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting {
            line,
            entry,
            answer,
            _place: place,
        };
        log.queue.send(Item::Intent(Box::new(waiting)));
        // A writer that is gone has dropped the other end.
        let Ok(recorded) = answered.await else {
            return log.without_writer();
        };
        recorded.map(Entry::claimed)
    }

    /// Waits, at most so long, until everything recorded before is durable; says whether
    /// it is. For the end of the process.
    pub async fn flush(&self, limit: Duration) -> bool {
        let Some(log) = &self.0 else {
            return true;
        };
        let (answer, answered) = oneshot::channel();
        log.queue.send(Item::Flush(answer));
        matches!(tokio::time::timeout(limit, answered).await, Ok(Ok(true)))
    }
}

impl Log {
    /// Only a panic of the writer leads here.
    fn without_writer(&self) -> Result<Entry, Unrecorded> {
        match self.on_failure {
            OnFailure::Proceed => Ok(Entry::silent()),
            OnFailure::Refuse => Err(Unrecorded {
                source: Arc::new(io::Error::other("its writer has ended")),
            }),
        }
    }
}

impl OnFailure {
    /// What a log line says that it means.
    const fn consequence(self) -> &'static str {
        match self {
            Self::Refuse => "calls are refused until it can",
            Self::Proceed => "calls go on unrecorded until it can",
        }
    }
}

impl OpenError {
    fn file(path: &Path, error: io::Error) -> Self {
        Self::File {
            path: path.to_owned(),
            error,
        }
    }
}

fn open_file(path: &Path) -> Result<Box<dyn Sink>, OpenError> {
    let fails = |error| OpenError::file(path, error);
    let file = file::open(path)?;
    if file.metadata().map_err(fails)?.is_file() {
        Ok(Box::new(LogFile::new(path, file)?))
    } else {
        Ok(Box::new(Stream::new(file).map_err(fails)?))
    }
}
