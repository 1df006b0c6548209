//! The thread that writes the log: everything that has queued up goes out in one
//! batch, with one fsync (group commit).
//!
//! A batch is all or nothing. Where it fails, the log is cut back to where the batch
//! began. That also holds for a failed fsync: the kernel then takes the pages for
//! written and never tries again, so nothing of the batch is trusted until it has been
//! written anew. Intents of a failed batch are refused; outcomes are kept, and lead the
//! next one.

use std::{
    collections::VecDeque,
    io, iter,
    sync::{
        Arc,
        mpsc::{Receiver, TryRecvError},
    },
    thread,
    time::Duration,
};

use tokio::{sync::oneshot, time::Instant};

use super::{
    Fsync, OnFailure, Unrecorded,
    queue::{Item, Line, Waiting},
    record::Event,
    sink::{Sink, write_all},
};
use crate::telemetry::{AuditResult, Metrics};

/// The most that is taken from the queue for one batch.
const MAX_BATCH: usize = 4096;
/// The most lines that are kept for calls whose intents do not stand in the log. The
/// others are as many as there are calls in flight.
pub(super) const MAX_KEPT: usize = 1024;
/// How long an idle writer waits before it tries again what failed.
const RETRY: Duration = Duration::from_secs(1);

/// What the thread owns.
pub(super) struct Writer {
    pub(super) sink: Box<dyn Sink>,
    pub(super) fsync: Fsync,
    pub(super) on_failure: OnFailure,
    pub(super) metrics: Metrics,
    /// Outcomes that could not be written yet.
    kept: VecDeque<Line>,
    /// Whether the last try failed.
    failing: bool,
    /// Since when something written waits to become durable.
    unsynced: Option<Instant>,
}

/// What goes out at once.
struct Batch {
    /// Begins with a newline, for a log that ends within a line.
    bytes: Vec<u8>,
    /// Each with where its bytes end.
    parts: Vec<(usize, Part)>,
    flushes: Vec<oneshot::Sender<bool>>,
}

enum Part {
    Intent(Box<Waiting>),
    Outcome(Line),
}

/// A batch that failed.
struct Broken {
    error: Arc<io::Error>,
    /// How many of its bytes stand in the log all the same.
    standing: usize,
}

// === impl Writer ===

impl Writer {
    pub(super) fn new(
        sink: Box<dyn Sink>,
        fsync: Fsync,
        on_failure: OnFailure,
        metrics: Metrics,
    ) -> Self {
        Self {
            sink,
            fsync,
            on_failure,
            metrics,
            kept: VecDeque::new(),
            failing: false,
            unsynced: None,
        }
    }

    /// Writes until nobody can send any more, and then what is left. Whoever sends wakes
    /// the thread.
    pub(super) fn run(mut self, queue: &Receiver<Item>) {
        loop {
            match queue.try_recv() {
                Ok(first) => {
                    let items = iter::once(first).chain(queue.try_iter());
                    self.commit(items.take(MAX_BATCH));
                }
                Err(TryRecvError::Empty) => self.sleep(),
                Err(TryRecvError::Disconnected) => break,
            }
        }
        self.finish();
    }

    /// Until it is woken, or something is to be done without an item.
    fn sleep(&mut self) {
        let now = Instant::now();
        match self.pause(now) {
            None => thread::park(),
            Some(pause) => {
                thread::park_timeout(pause);
                if now.elapsed() >= pause {
                    self.commit(iter::empty());
                }
            }
        }
    }

    /// How long the writer may sleep; `None` when only a new item gives it work.
    fn pause(&self, now: Instant) -> Option<Duration> {
        let retry = (!self.kept.is_empty()).then_some(RETRY);
        let sync = self
            .sync_due()
            .map(|due| due.saturating_duration_since(now));
        retry.into_iter().chain(sync).min()
    }

    fn sync_due(&self) -> Option<Instant> {
        let since = self.unsynced?;
        match self.fsync {
            Fsync::Always => Some(since),
            Fsync::Interval(interval) => Some(since + interval),
        }
    }

    fn commit(&mut self, items: impl Iterator<Item = Item>) {
        let batch = Batch::new(self.kept.drain(..), items);
        let flushing = !batch.flushes.is_empty();
        // What has failed once is taken for whole only when it is durable.
        let durably = self.fsync == Fsync::Always || self.failing || flushing;
        if !batch.parts.is_empty() {
            let begun = Instant::now();
            let stored = self.store(&batch.bytes, durably);
            self.metrics.audit_commit(begun.elapsed());
            self.note(stored.as_ref().err().map(|broken| broken.error.as_ref()));
            match stored {
                Ok(()) => self.settle(batch.parts),
                Err(broken) => self.give_back(batch.parts, &broken),
            }
        }
        let is_due = self.sync_due().is_some_and(|due| due <= Instant::now());
        if is_due || (flushing && self.unsynced.is_some()) {
            self.sync();
        }
        let is_whole = self.kept.is_empty() && self.unsynced.is_none();
        for flush in batch.flushes {
            // Whoever does not wait any more does not want to know.
            flush.send(is_whole).ok();
        }
    }

    /// All of it, or as little as can be.
    fn store(&mut self, bytes: &[u8], durably: bool) -> Result<(), Broken> {
        let sink = self.sink.as_mut();
        let mid_line = sink.begin().map_err(|error| Broken::new(error, 0))?;
        let first = usize::from(!mid_line);
        let mut at = first;
        let mut stored = write_all(sink, bytes, &mut at);
        if durably && stored.is_ok() {
            stored = sink.sync();
        }
        if let Err(error) = stored {
            let nothing_stands = sink.cut_back() || at == first;
            let standing = if nothing_stands { 0 } else { at };
            if standing > 0 {
                self.unsynced.get_or_insert(Instant::now() + RETRY);
            }
            return Err(Broken::new(error, standing));
        }
        if durably {
            self.unsynced = None;
        } else {
            self.unsynced.get_or_insert_with(Instant::now);
        }
        Ok(())
    }

    fn sync(&mut self) {
        // That the old records are durable does not say that new ones can be written.
        self.unsynced = self.sink.sync().err().map(|error| {
            self.note(Some(&error));
            // Not at once again, and not never.
            Instant::now() + RETRY
        });
    }

    /// The batch stands in the log.
    fn settle(&self, parts: Vec<(usize, Part)>) {
        let (mut intents, mut outcomes) = (0, 0);
        for (_, part) in parts {
            match part.event() {
                Event::Intent => intents += 1,
                Event::Outcome => outcomes += 1,
            }
            if let Part::Intent(waiting) = part {
                waiting.accept(|entry| entry);
            }
        }
        for (event, count) in [(Event::Intent, intents), (Event::Outcome, outcomes)] {
            if count > 0 {
                self.count(event, AuditResult::Written, count);
            }
        }
    }

    /// The batch does not stand in the log, or not as it should.
    fn give_back(&mut self, parts: Vec<(usize, Part)>, broken: &Broken) {
        for (end, part) in parts {
            // A record of which only the newline is missing gets it from the next batch.
            let stands = end <= broken.standing + 1;
            match part {
                Part::Intent(waiting) => self.refuse(*waiting, stands, &broken.error),
                Part::Outcome(line) if stands => self.count(line.event, AuditResult::Written, 1),
                Part::Outcome(line) => self.keep(line),
            }
        }
    }

    fn refuse(&self, waiting: Waiting, stands: bool, error: &Arc<io::Error>) {
        let is_kept = stands && self.on_failure == OnFailure::Proceed;
        let result = if is_kept {
            AuditResult::Written
        } else {
            AuditResult::Failed
        };
        self.count(Event::Intent, result, 1);
        match (self.on_failure, stands) {
            (OnFailure::Proceed, true) => waiting.accept(|entry| entry),
            (OnFailure::Proceed, false) => waiting.accept(super::Entry::unrecorded),
            (OnFailure::Refuse, _) => {
                if stands {
                    waiting.entry.refuse();
                } else {
                    waiting.entry.forget();
                }
                let source = Arc::clone(error);
                let refusal = Err(Unrecorded { source });
                // A caller who has left needs no refusal.
                waiting.answer.send(refusal).ok();
            }
        }
    }

    fn keep(&mut self, line: Line) {
        if line.owed || self.kept.len() < MAX_KEPT {
            self.kept.push_back(line);
        } else {
            self.count(line.event, AuditResult::Failed, 1);
        }
    }

    /// Says once when the log begins to fail, and once when it works again.
    fn note(&mut self, error: Option<&io::Error>) {
        match error {
            Some(error) if !self.failing => tracing::error!(
                %error,
                consequence = self.on_failure.consequence(),
                "the audit log cannot be written"
            ),
            None if self.failing => tracing::warn!("the audit log can be written again"),
            _ => {}
        }
        self.failing = error.is_some();
    }

    fn finish(mut self) {
        if !self.kept.is_empty() {
            self.commit(iter::empty());
        }
        if self.unsynced.is_some() {
            self.sync();
        }
        let lost = self.kept.len();
        if lost > 0 {
            tracing::error!(lost, "outcomes are missing in the audit log");
        }
        for line in &self.kept {
            self.count(line.event, AuditResult::Failed, 1);
        }
    }

    fn count(&self, event: Event, result: AuditResult, count: u64) {
        self.metrics.audit_records(event.as_str(), result, count);
    }
}

// === impl Broken ===

impl Broken {
    fn new(error: io::Error, standing: usize) -> Self {
        let error = Arc::new(error);
        Self { error, standing }
    }
}

// === impl Batch ===

impl Batch {
    fn new(kept: impl Iterator<Item = Line>, items: impl Iterator<Item = Item>) -> Self {
        let mut batch = Self {
            bytes: vec![b'\n'],
            parts: Vec::new(),
            flushes: Vec::new(),
        };
        kept.for_each(|line| batch.push(Part::Outcome(line)));
        for item in items {
            match item {
                // Nothing was written and nothing was sent.
                Item::Intent(waiting) if waiting.is_abandoned() => waiting.entry.forget(),
                Item::Intent(waiting) => batch.push(Part::Intent(waiting)),
                Item::Outcome(line) => batch.push(Part::Outcome(line)),
                Item::Flush(answer) => batch.flushes.push(answer),
            }
        }
        batch
    }

    fn push(&mut self, part: Part) {
        let line = match &part {
            Part::Intent(waiting) => &waiting.line,
            Part::Outcome(line) => line,
        };
        self.bytes.extend_from_slice(&line.text);
        self.parts.push((self.bytes.len(), part));
    }
}

impl Part {
    fn event(&self) -> Event {
        match self {
            Self::Intent(_) => Event::Intent,
            Self::Outcome(line) => line.event,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::audit::sink::Stream;

    fn null(writable: bool) -> File {
        let mut options = File::options();
        options.read(true).write(writable);
        options.open("/dev/null").unwrap()
    }

    /// Its log is open for reading only: every write fails.
    fn writer(fsync: Fsync) -> Writer {
        let sink = Stream::new(null(false)).unwrap();
        Writer::new(
            Box::new(sink),
            fsync,
            OnFailure::Proceed,
            Metrics::disabled(),
        )
    }

    fn line(owed: bool) -> Line {
        Line {
            text: b"\n".to_vec(),
            event: Event::Outcome,
            owed,
        }
    }

    #[test]
    fn an_idle_writer_wakes_for_what_is_left_to_do() {
        let now = Instant::now();
        let interval = Duration::from_millis(200);
        let soon = now + Duration::from_millis(50);
        for (fsync, kept, unsynced, expected) in [
            (Fsync::Always, false, None, None),
            (Fsync::Always, true, None, Some(RETRY)),
            (Fsync::Always, false, Some(soon), Some(soon - now)),
            (Fsync::Interval(interval), false, None, None),
            (Fsync::Interval(interval), false, Some(now), Some(interval)),
            (Fsync::Interval(interval), true, Some(now), Some(interval)),
            (Fsync::Interval(2 * RETRY), true, Some(now), Some(RETRY)),
            (
                Fsync::Interval(interval),
                false,
                Some(now - 2 * interval),
                Some(Duration::ZERO),
            ),
        ] {
            let mut writer = writer(fsync);
            writer.kept.extend(kept.then(|| line(true)));
            writer.unsynced = unsynced;
            let pause = writer.pause(now);
            assert_eq!(pause, expected, "{fsync:?} {kept} {unsynced:?}");
        }
    }

    #[test]
    fn only_a_record_shows_that_the_log_can_be_written_again() {
        let interval = Fsync::Interval(Duration::from_millis(200));
        for (fsync, earlier) in [
            (Fsync::Always, None),
            (interval, None),
            (interval, Some(Instant::now())),
        ] {
            let mut writer = writer(fsync);
            writer.unsynced = earlier;
            writer.commit(iter::once(Item::Outcome(line(false))));
            assert_eq!(writer.unsynced.is_some(), earlier.is_some(), "{fsync:?}");
            writer.sync();
            assert!(writer.failing, "{fsync:?}");
            writer.sink = Box::new(Stream::new(null(true)).unwrap());
            writer.commit(iter::empty());
            assert!(!writer.failing, "{fsync:?}");
            assert!(writer.kept.is_empty(), "{fsync:?}");
        }
    }

    #[test]
    fn only_outcomes_that_nothing_waits_for_are_given_up() {
        let mut writer = writer(Fsync::Always);
        for _ in 0..MAX_KEPT + 10 {
            writer.keep(line(false));
        }
        assert_eq!(writer.kept.len(), MAX_KEPT);
        writer.keep(line(true));
        assert_eq!(writer.kept.len(), MAX_KEPT + 1);
    }
}
