//! Where log lines go. Those that come together go out together: a system call for each
//! would be the dearest part of a call that is refused.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use crate::{bell::Bell, pipe::undivided};

/// So many bytes wait to be written together. As long as a pipe takes nothing, so many wait
/// for it, and further lines are lost.
const MAX_WAITING: usize = 64 * 1024;

/// Gathers lines until the tasks that are ready to run have run, and writes them at once.
/// Errors and what comes outside of a runtime do not wait.
#[derive(Debug)]
pub(super) struct LogWriter<W: Write + Send + 'static> {
    lines: Arc<Lines<W>>,
    bell: Bell,
}

/// The lines that wait.
#[derive(Debug)]
pub(super) struct Lines<W>(Mutex<Waiting<W>>);

#[derive(Debug)]
struct Waiting<W> {
    bytes: Vec<u8>,
    out: W,
}

/// One line's way to the others.
#[derive(Debug)]
pub(super) struct Line<'a, W: Write + Send + 'static> {
    writer: &'a LogWriter<W>,
    is_urgent: bool,
}

// === impl LogWriter ===

impl<W: Write + Send + 'static> LogWriter<W> {
    pub(super) fn new(out: W) -> Self {
        let bytes = Vec::new();
        let lines = Arc::new(Lines(Mutex::new(Waiting { bytes, out })));
        let bell = Bell::new(Waker::from(Arc::clone(&lines)));
        Self { lines, bell }
    }

    /// What waits, to be written at the end of the process.
    pub(super) fn lines(&self) -> Arc<Lines<W>> {
        Arc::clone(&self.lines)
    }
}

impl<'a, W: Write + Send + 'static> MakeWriter<'a> for LogWriter<W> {
    type Writer = Line<'a, W>;

    fn make_writer(&'a self) -> Self::Writer {
        Line {
            writer: self,
            is_urgent: false,
        }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Self::Writer {
        Line {
            writer: self,
            is_urgent: *metadata.level() == Level::ERROR,
        }
    }
}

// === impl Line ===

impl<W: Write + Send + 'static> Write for Line<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut waiting = self.writer.lines.lock();
        if waiting.bytes.len() >= MAX_WAITING {
            waiting.write();
            if waiting.bytes.len() >= MAX_WAITING {
                return Ok(bytes.len());
            }
        }
        waiting.bytes.extend_from_slice(bytes);
        if self.is_urgent || waiting.bytes.len() >= MAX_WAITING {
            waiting.write();
        } else {
            drop(waiting);
            self.writer.bell.pull();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.lines.write();
        Ok(())
    }
}

// === impl Lines ===

impl<W: Write> Lines<W> {
    /// Writes what waits.
    pub(super) fn write(&self) {
        self.lock().write();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<W>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W: Write + Send> Wake for Lines<W> {
    fn wake(self: Arc<Self>) {
        self.write();
    }
}

// === impl Waiting ===

impl<W: Write> Waiting<W> {
    /// Writes what it can, in whole lines: others may write to the same pipe, the audit log
    /// among them. What a pipe that does not block, and is full, does not take waits for
    /// the next time; whoever shares stderr with this process may have made it so.
    fn write(&mut self) {
        let mut written = 0;
        while written < self.bytes.len() {
            match self.out.write(undivided(&self.bytes[written..])) {
                Ok(bytes @ 1..) => written += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // Lines that cannot be written have nowhere to be reported.
                Ok(0) | Err(_) => written = self.bytes.len(),
            }
        }
        self.bytes.drain(..written);
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::yield_now;

    use super::*;

    /// What was written by each call.
    #[derive(Debug, Clone, Default)]
    struct Written(Arc<Mutex<Vec<String>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            self.0.lock().unwrap().push(text);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Written {
        fn take(&self) -> Vec<String> {
            std::mem::take(&mut self.0.lock().unwrap())
        }
    }

    fn log(writer: &LogWriter<Written>, line: &str) {
        writer.make_writer().write_all(line.as_bytes()).unwrap();
    }

    #[tokio::test]
    async fn lines_that_come_together_are_written_at_once() {
        let written = Written::default();
        let writer = LogWriter::new(written.clone());
        for _ in 0..2 {
            log(&writer, "a\n");
            log(&writer, "b\n");
            assert!(written.take().is_empty());
            let mut all = Vec::new();
            while all.is_empty() {
                yield_now().await;
                all = written.take();
            }
            assert_eq!(all, ["a\nb\n"]);
        }
    }

    #[tokio::test]
    async fn what_is_too_much_or_the_last_does_not_wait() {
        let written = Written::default();
        let writer = LogWriter::new(written.clone());
        log(&writer, "a\n");
        let long = "x".repeat(MAX_WAITING);
        log(&writer, &long);
        assert_eq!(written.take(), ["a\n", &long]);
        log(&writer, "b\n");
        writer.lines().write();
        assert_eq!(written.take(), ["b\n"]);
        log(&writer, "last\n");
        drop(writer);
        assert_eq!(written.take(), ["last\n"]);
    }

    #[tokio::test]
    async fn an_error_is_urgent() {
        let written = Written::default();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(LogWriter::new(written.clone()))
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!("first");
            assert!(written.take().is_empty());
            tracing::error!("second");
        });
        let all = written.take();
        assert_eq!(all.len(), 1, "{all:?}");
        assert_eq!(all[0].lines().count(), 2, "{all:?}");
    }

    /// A pipe that does not block, and how much of it is free.
    #[derive(Debug, Clone, Default)]
    struct Pipe(Arc<Mutex<(usize, Vec<u8>)>>);

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let (free, taken) = &mut *self.0.lock().unwrap();
            if *free == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let bytes = &bytes[..bytes.len().min(*free)];
            *free -= bytes.len();
            taken.extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Pipe {
        fn free(&self, bytes: usize) {
            self.0.lock().unwrap().0 = bytes;
        }

        fn taken(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().1.clone()).unwrap()
        }
    }

    #[test]
    fn a_full_pipe_gets_the_rest_later_and_loses_only_whole_lines() {
        let pipe = Pipe::default();
        let writer = LogWriter::new(pipe.clone());
        let log = |line: &str| writer.make_writer().write_all(line.as_bytes()).unwrap();
        pipe.free(3);
        log("first\n");
        log("second\n");
        assert_eq!(pipe.taken(), "fir");
        let third = format!("{}\n", "x".repeat(MAX_WAITING));
        log(&third);
        log("lost\n");
        pipe.free(usize::MAX);
        log("last\n");
        assert_eq!(pipe.taken(), format!("first\nsecond\n{third}last\n"));
    }

    #[test]
    fn outside_of_a_runtime_each_line_is_written_as_it_comes() {
        let written = Written::default();
        let writer = LogWriter::new(written.clone());
        log(&writer, "a\n");
        log(&writer, "b\n");
        assert_eq!(written.take(), ["a\n", "b\n"]);
    }
}
