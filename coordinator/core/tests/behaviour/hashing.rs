//! Hashes tell histories and states apart.

use cullet_core::{LogCommand, RunId, State};

use crate::driver::Core;
use crate::steps::{reads, run, step};

fn example() -> Core {
    let mut core = Core::with_cpus(1);
    core.submit(1, run([step("a"), reads("b", &[0])]));
    core.hit("a");
    core.miss("b");
    core.succeed("b");
    core
}

fn replay(log: &[LogCommand]) -> State {
    let mut state = State::default();
    for command in log {
        state.apply(command);
    }
    state
}

#[test]
fn the_same_log_gives_the_same_hashes() {
    let (one, two) = (example(), example());
    assert_eq!(one.state.log_hash(), two.state.log_hash());
    assert_eq!(one.state.state_hash(), replay(&two.log).state_hash());
}

#[test]
fn any_other_log_gives_another_hash() {
    let log = example().log;
    let all = replay(&log).log_hash();
    for cut in 0..log.len() {
        assert_ne!(replay(&log[..cut]).log_hash(), all);
        let (mut without, mut twice, mut swapped) = (log.clone(), log.clone(), log.clone());
        without.remove(cut);
        twice.insert(cut, log[cut].clone());
        assert_ne!(replay(&without).log_hash(), all);
        assert_ne!(replay(&twice).log_hash(), all);
        swapped.swap(cut, (cut + 1) % log.len());
        assert_ne!(replay(&swapped).log_hash(), all);
    }
}

#[test]
fn a_refused_command_is_part_of_the_history() {
    let mut state = example().state;
    let (log_hash, state_hash) = (state.log_hash(), state.state_hash());
    state.apply(&LogCommand::Forget { run: RunId(7) });
    assert_ne!((state.log_hash(), state.state_hash()), (log_hash, state_hash));
}

/// Another encoding of commands or effects, and nodes of different versions no longer agree: a change here
/// needs a new version of the log.
#[test]
fn the_hash_of_a_history_is_that_of_every_version() {
    let hash: String = example().state.log_hash().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hash[..16], *"42aec4e5c81b5cc0");
}

#[test]
fn a_snapshot_is_the_state() {
    let state = example().state;
    let bytes = rmp_serde::to_vec_named(&state).unwrap();
    assert_eq!(rmp_serde::from_slice::<State>(&bytes).unwrap(), state);
}
