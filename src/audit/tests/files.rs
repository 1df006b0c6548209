//! Real files.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead as _, BufReader, Read as _},
    os::{fd::OwnedFd, unix::fs::PermissionsExt as _},
    path::PathBuf,
};

use tempfile::TempDir;
use tokio::time::Instant;

use super::*;

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.jsonl");
    (folder, file)
}

fn open(file: &Path) -> Audit {
    Audit::open(options(Medium::File(file.to_owned()))).unwrap()
}

/// One whole call.
async fn call(audit: &Audit, task: &str) {
    record(audit, task).await.unwrap().outcome(&started());
    assert!(audit.flush(PATIENCE).await);
}

/// Why a call is refused.
async fn refusal(audit: &Audit, task: &str) -> String {
    let refused = record(audit, task).await.unwrap_err();
    refused.source.to_string()
}

fn records_of(task: &str) -> [String; 2] {
    [format!("intent {task}"), format!("outcome {task} STARTED")]
}

#[tokio::test]
async fn a_new_file_is_for_its_owner_alone_and_an_old_one_is_continued() {
    let (_folder, file) = folder();
    let audit = open(&file);
    call(&audit, "1").await;
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    drop(audit);
    wait_until_free(&file);
    call(&open(&file), "2").await;
    assert_eq!(
        summary_of(&file),
        [records_of("1"), records_of("2")].concat()
    );
}

fn wait_until_free(file: &Path) {
    let end = Instant::now() + PATIENCE;
    while is_in_use(&File::open(file).unwrap()) {
        assert!(Instant::now() < end, "the writer does not end");
        thread::yield_now();
    }
}

#[tokio::test]
async fn what_cannot_be_a_log_is_named_at_the_start() {
    let (folder, file) = folder();
    let missing = folder.path().join("missing/audit.jsonl");
    for path in [missing.as_path(), folder.path()] {
        let error = Audit::open(options(Medium::File(path.to_owned()))).unwrap_err();
        assert!(matches!(error, OpenError::File { .. }), "{error:?}");
        assert!(error.to_string().contains(path.to_str().unwrap()));
    }

    let _first = open(&file);
    let error = Audit::open(options(Medium::File(file.clone()))).unwrap_err();
    assert!(matches!(error, OpenError::InUse(_)), "{error:?}");
    assert!(is_in_use(&File::open(&file).unwrap()));
}

#[tokio::test]
async fn a_torn_last_line_stays_alone() {
    let (_folder, file) = folder();
    fs::write(&file, "{\"event\":\"inte").unwrap();
    call(&open(&file), "1").await;
    let expected = [vec!["-".to_owned()], records_of("1").to_vec()].concat();
    assert_eq!(summary_of(&file), expected);
}

#[tokio::test]
async fn no_record_goes_to_a_file_that_was_taken_away() {
    let (folder, file) = folder();
    let audit = open(&file);
    let first = record(&audit, "1").await.unwrap();
    let rotated = folder.path().join("audit.jsonl.1");
    fs::rename(&file, &rotated).unwrap();
    first.outcome(&started());
    call(&audit, "2").await;
    assert_eq!(summary_of(&rotated), ["intent 1"]);
    let second = ["outcome 1 STARTED", "intent 2", "outcome 2 STARTED"];
    assert_eq!(summary_of(&file), second);
    assert!(is_in_use(&File::open(&file).unwrap()));
    wait_until_free(&rotated);
    let both = [fs::read(&rotated).unwrap(), fs::read(&file).unwrap()].concat();
    assert_eq!(pending(&both), [""; 0]);

    fs::remove_file(&file).unwrap();
    call(&audit, "3").await;
    assert_eq!(summary_of(&file), records_of("3"));

    // As logrotate does by `copytruncate`.
    File::create(&file).unwrap();
    call(&audit, "4").await;
    assert_eq!(summary_of(&file), records_of("4"));
}

#[tokio::test]
async fn a_new_file_that_cannot_be_had_refuses_calls_until_it_can() {
    let (folder, file) = folder();
    let audit = open(&file);
    let first = record(&audit, "1").await.unwrap();
    fs::rename(&file, folder.path().join("audit.jsonl.1")).unwrap();
    let others = OpenOptions::new()
        .append(true)
        .create(true)
        .open(&file)
        .unwrap();
    others.lock().unwrap();
    first.outcome(&started());
    let refused = refusal(&audit, "2").await;
    assert!(refused.contains("in use by another process"), "{refused}");
    assert_eq!(summary_of(&file), [""; 0]);
    others.unlock().unwrap();
    call(&audit, "3").await;
    let expected = ["outcome 1 STARTED", "intent 3", "outcome 3 STARTED"];
    assert_eq!(summary_of(&file), expected);
}

#[tokio::test]
async fn a_device_that_is_always_full_refuses_or_is_done_without() {
    let full = Medium::File(PathBuf::from("/dev/full"));
    let audit = Audit::open(options(full.clone())).unwrap();
    let refused = refusal(&audit, "1").await;
    assert!(refused.contains("No space left on device"), "{refused}");

    let audit = Audit::open(AuditOptions {
        on_failure: OnFailure::Proceed,
        ..options(full)
    })
    .unwrap();
    record(&audit, "2").await.unwrap().outcome(&started());
    assert!(!audit.flush(PATIENCE).await);
}

// The pipe is read on this thread, so that another one has to wake the writer.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_pipe_gets_whole_lines_and_refuses_calls_when_its_reader_has_gone() {
    let (mut reader, writer) = io::pipe().unwrap();
    let mut sink = Stream::new(File::from(OwnedFd::from(writer))).unwrap();
    // Two go in undivided, and no part of the third.
    let lines = format!("{}\n", "x".repeat(1999)).repeat(3);
    assert_eq!(sink.write(lines.as_bytes()).unwrap(), 4000);
    reader.read_exact(&mut [0; 4000]).unwrap();
    let audit = Audit::start(Box::new(sink), options(Medium::Stdout)).unwrap();
    let mut lines = BufReader::new(reader).lines();
    let entry = record(&audit, "1").await.unwrap();
    let line = lines.next().unwrap().unwrap();
    assert_eq!(summary(&line), ["intent 1"]);
    entry.outcome(&started());
    let line = lines.next().unwrap().unwrap();
    assert_eq!(summary(&line), ["outcome 1 STARTED"]);
    drop(lines);
    let refused = refusal(&audit, "2").await;
    assert!(refused.contains("Broken pipe"), "{refused}");
}
