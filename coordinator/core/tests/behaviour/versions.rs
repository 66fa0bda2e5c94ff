//! What was ever written is understood for ever, and means what it meant: logs and snapshots of every version of the log.
//!
//! Where the file of the newest version is missing, the test writes it and fails. Until a version is released its file is
//! removed with every change of what is encoded, and so written anew; from then on it stays as it is.

use std::path::PathBuf;

use cullet_core::{FIRST_VERSION, LogCommand, NEWEST_VERSION, State};
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use serde::{Deserialize, Serialize};

use crate::random::{history, play};

/// One log.
#[derive(Serialize, Deserialize)]
struct History {
    /// As the log had them.
    commands: Vec<Vec<u8>>,
    /// After half of them, as a snapshot had it.
    halfway: Vec<u8>,
    /// After all of them.
    log_hash: [u8; 32],
}

/// The newest version that is no rehearsal.
const NEWEST: u32 = NEWEST_VERSION - cfg!(feature = "next-version") as u32;

/// Logs for a version. There is room in them for every kind of command.
const LOGS: usize = 12;

fn file(version: u32) -> PathBuf {
    PathBuf::from(format!("{}/tests/behaviour/versions/{version}", env!("CARGO_MANIFEST_DIR")))
}

fn apply(state: &mut State, commands: &[Vec<u8>]) {
    for command in commands {
        state.apply(&postcard::from_bytes(command).unwrap());
    }
}

#[test]
fn logs_and_snapshots_of_all_versions_mean_what_they_meant() {
    for version in FIRST_VERSION..=NEWEST {
        if !file(version).exists() {
            write(version);
            panic!(
                "{} was missing and was written: look at the change, and commit it",
                file(version).display()
            );
        }
        let histories: Vec<History> = postcard::from_bytes(&std::fs::read(file(version)).unwrap()).unwrap();
        assert_eq!(histories.len(), LOGS);
        for History { commands, halfway, log_hash } in &histories {
            let (first, second) = commands.split_at(commands.len() / 2);
            let mut from_snapshot: State = rmp_serde::from_slice(halfway).unwrap();
            let mut state = State::default();
            apply(&mut state, first);
            assert_eq!(state, from_snapshot);
            for state in [&mut state, &mut from_snapshot] {
                apply(state, second);
                assert_eq!(state.log_hash(), *log_hash);
            }
            for command in commands {
                let decoded: LogCommand = postcard::from_bytes(command).unwrap();
                assert_eq!(postcard::to_allocvec(&decoded).unwrap(), *command);
            }
        }
        let kinds: std::collections::BTreeSet<u8> =
            histories.iter().flat_map(|history| &history.commands).map(|command| command[0]).collect();
        // All but the upgrade to another version.
        assert!((0..=11).all(|kind| kinds.contains(&kind)), "{kinds:?}");
    }
}

fn write(version: u32) {
    assert_eq!(version, NEWEST, "a file of an older version is lost: get it back from the history");
    let mut runner = TestRunner::deterministic();
    let mut histories = Vec::new();
    for _ in 0..LOGS {
        let (specs, events) = history().new_tree(&mut runner).unwrap().current();
        let log: Vec<LogCommand> = play(specs, &events).log.into_iter().map(|(command, _)| command).collect();
        let commands: Vec<Vec<u8>> =
            log.iter().map(|command| postcard::to_allocvec(command).unwrap()).collect();
        let (first, second) = commands.split_at(commands.len() / 2);
        let mut state = State::default();
        apply(&mut state, first);
        let halfway = rmp_serde::to_vec_named(&state).unwrap();
        apply(&mut state, second);
        histories.push(History { halfway, log_hash: state.log_hash(), commands });
    }
    std::fs::write(file(version), postcard::to_allocvec(&histories).unwrap()).unwrap();
}
