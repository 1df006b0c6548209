//! The fuzz targets without a fuzzer: the seeds, and inputs made from them. Seeds are
//! also where a finding of the fuzzers' goes, to be checked ever after.

use std::{collections::BTreeSet, fs, panic, path::PathBuf};

use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
};

use crate::promises::{Promise, TARGETS};

/// The fuzzers' own limit unless told otherwise; what a target reads is shorter.
const MAX_BYTES: usize = 4096;

/// One change of an input, in the manner of libFuzzer.
#[derive(Debug, Clone)]
enum Edit {
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, Index),
    Copy(Index, Index, Index),
}

/// One input, and what must hold for it.
#[derive(Debug, Clone)]
struct Seed {
    promise: Promise,
    file: PathBuf,
    bytes: Vec<u8>,
}

/// The seeds of all targets, in the order of their files' names.
fn seeds() -> Vec<Seed> {
    let seeds_of = |(target, promise)| {
        let folder = format!("fuzz/corpus/{target}");
        let seed = move |file| Seed {
            promise,
            bytes: fs::read(&file).unwrap(),
            file,
        };
        files(&folder).into_iter().map(seed)
    };
    TARGETS.into_iter().flat_map(seeds_of).collect()
}

/// The files of a folder of the project.
fn files(folder: &str) -> BTreeSet<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn edit() -> impl Strategy<Value = Edit> {
    let at = any::<Index>;
    let byte = prop_oneof![any::<u8>(), select(b" \n\r\t\"\\/:,;=-.0189eyJ".to_vec())];
    prop_oneof![
        (at(), byte.clone()).prop_map(|(at, byte)| Edit::Set(at, byte)),
        (at(), vec(byte, 1..8)).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        (at(), at()).prop_map(|(from, to)| Edit::Remove(from, to)),
        (at(), at(), at()).prop_map(|(from, to, at)| Edit::Copy(from, to, at)),
    ]
}

impl Edit {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let place = |index: &Index, bytes: &Vec<u8>| index.index(bytes.len() + 1);
        let range = |from: &Index, to: &Index, bytes: &Vec<u8>| {
            let (from, to) = (place(from, bytes), place(to, bytes));
            from.min(to)..from.max(to)
        };
        match self {
            Self::Set(at, byte) => {
                if let Some(old) = bytes.len().checked_sub(1).map(|_| at.index(bytes.len())) {
                    bytes[old] = *byte;
                }
            }
            Self::Insert(at, new) => {
                let at = place(at, bytes);
                bytes.splice(at..at, new.iter().copied());
            }
            Self::Remove(from, to) => {
                let range = range(from, to, bytes);
                bytes.drain(range);
            }
            Self::Copy(from, to, at) => {
                let copy = bytes[range(from, to, bytes)].to_vec();
                let at = place(at, bytes);
                bytes.splice(at..at, copy);
            }
        }
        bytes.truncate(MAX_BYTES);
    }
}

#[test]
fn every_target_keeps_its_promise_for_its_seeds() {
    for Seed {
        promise,
        file,
        bytes,
    } in seeds()
    {
        let kept = panic::catch_unwind(|| promise(&bytes));
        assert!(kept.is_ok(), "{}, see above", file.display());
    }
}

#[test]
fn every_target_is_a_program_with_seeds() {
    let programs = files("fuzz/fuzz_targets").into_iter();
    let programs: Vec<_> = programs
        .map(|file| file.file_stem().unwrap().to_owned())
        .collect();
    assert_eq!(programs, TARGETS.map(|(target, _)| target));
    for (target, _) in TARGETS {
        assert!(
            !files(&format!("fuzz/corpus/{target}")).is_empty(),
            "{target}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2560,
        // A failing case is worth a seed, not a file of its own.
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_target_keeps_its_promise_for_edited_seeds(
        seed in select(seeds()),
        edits in vec(edit(), 1..12),
    ) {
        let mut input = seed.bytes;
        for edit in edits {
            edit.apply(&mut input);
        }
        (seed.promise)(&input);
    }
}
