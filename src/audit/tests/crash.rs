//! Processes that are killed, or run out of room. Each test starts itself again in a
//! process of its own, which has this variable.

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, Command, Stdio},
};

use super::*;

const FILE: &str = "INCIDENTGATE_TEST_AUDIT_FILE";

/// The test of this name in a process of its own, behind a few words of shell.
fn again(test: &str, shell: &str, file: &Path) -> Child {
    Command::new("sh")
        .args(["-c", &format!("{shell} exec \"$0\" \"$@\"")])
        .arg(env::current_exe().unwrap())
        .args([
            &format!("audit::tests::crash::{test}"),
            "--exact",
            "--nocapture",
        ])
        .env(FILE, file)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn no_intent_of_a_call_that_went_on_is_lost_by_kill_9() {
    if let Some(file) = env::var_os(FILE) {
        return runtime().block_on(record_for_ever(file.into()));
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.jsonl");
    let name = "no_intent_of_a_call_that_went_on_is_lost_by_kill_9";
    let mut child = again(name, "", &file);
    let mut went_on = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        // The harness says a word of its own before the first.
        if let Some((_, task)) = line.split_once("went on: ") {
            went_on.push(task.to_owned());
        }
        if went_on.len() == 300 {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(went_on.len() >= 300, "{}", went_on.len());

    let log = fs::read(&file).unwrap();
    let records = summary(&String::from_utf8_lossy(&log));
    let pending = pending(&log);
    for task in &went_on {
        let has_intent = records.contains(&format!("intent {task}"));
        let has_outcome = records.contains(&format!("outcome {task} STARTED"));
        assert!(has_intent, "{task} is lost");
        assert_eq!(pending.contains(task), !has_outcome, "{task}");
    }
    // What the crash tore or left open does not keep a new process from going on.
    runtime().block_on(async {
        let audit = Audit::open(options(Medium::File(file.clone()))).unwrap();
        record(&audit, "after").await.unwrap().outcome(&started());
        assert!(audit.flush(PATIENCE).await);
    });
    let records = summary_of(&file);
    assert_eq!(
        records[records.len() - 2..],
        ["intent after", "outcome after STARTED"]
    );
}

/// Eight calls at a time, of which every second ends.
async fn record_for_ever(file: PathBuf) {
    let audit = Audit::open(options(Medium::File(file))).unwrap();
    let lanes = (0..8).map(|lane| {
        let audit = audit.clone();
        tokio::spawn(async move {
            let mut open = Vec::new();
            for call in 0.. {
                let task = format!("{lane}-{call}");
                let entry = record(&audit, &task).await.unwrap();
                writeln!(std::io::stdout(), "went on: {task}").unwrap();
                if call % 2 == 0 {
                    entry.outcome(&started());
                } else {
                    open.push(entry);
                }
            }
        })
    });
    futures_util::future::join_all(lanes).await;
}

#[test]
fn a_full_disk_tears_no_line_and_loses_no_outcome() {
    if let Some(file) = env::var_os(FILE) {
        return runtime().block_on(fill_up(file.as_ref()));
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.jsonl");
    let name = "a_full_disk_tears_no_line_and_loses_no_outcome";
    // A few kilobytes a file, and no signal when they are used up.
    let shell = "trap '' XFSZ; ulimit -f 8;";
    let child = again(name, shell, &file).wait_with_output().unwrap();
    assert!(child.status.success(), "{child:?}");

    let full = fs::read(file.with_extension("full")).unwrap();
    let next = fs::read(&file).unwrap();
    assert!(full.ends_with(b"\n") && next.ends_with(b"\n"));
    let both = String::from_utf8([full, next].concat()).unwrap();
    let records = summary(&both);
    let intents = records
        .iter()
        .filter(|record| record.starts_with("intent "));
    assert!(intents.count() > 2, "{records:?}");
    assert!(
        !records.contains(&"intent refused".to_owned()),
        "{records:?}"
    );
    let ended = records.iter().filter(|record| record.ends_with(" STARTED"));
    assert_eq!(ended.count() * 2, records.len(), "{records:?}");
    assert_eq!(pending(both.as_bytes()), [""; 0]);
}

/// Until the file is full, while every second call ends; then the others end, and the
/// file is rotated.
async fn fill_up(file: &Path) {
    let audit = Audit::open(options(Medium::File(file.to_owned()))).unwrap();
    let mut open = Vec::new();
    let mut calls = 0..;
    let refused = loop {
        let call = calls.next().unwrap();
        match record(&audit, &call.to_string()).await {
            Ok(entry) if call % 2 == 0 => entry.outcome(&started()),
            Ok(entry) => open.push(entry),
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused.source.kind(), std::io::ErrorKind::FileTooLarge);
    for entry in open {
        entry.outcome(&started());
    }
    record(&audit, "refused").await.unwrap_err();
    assert!(!audit.flush(PATIENCE).await);
    fs::rename(file, file.with_extension("full")).unwrap();
    assert!(audit.flush(PATIENCE).await);
}
