//! The version of a cluster.

use cullet_core::{FIRST_VERSION, LogCommand, NEWEST_VERSION, State};

#[test]
fn a_cluster_has_the_first_version_until_it_is_upgraded() {
    let mut state = State::default();
    assert_eq!(state.version(), FIRST_VERSION);
    for refused in [0, FIRST_VERSION, NEWEST_VERSION + 1] {
        let (version, before) = (state.version(), state.refused());
        assert!(state.apply(&LogCommand::Upgrade { version: refused }).is_empty());
        assert_eq!((state.version(), state.refused()), (version, before + 1), "{refused}");
    }
    assert_eq!(State::new(NEWEST_VERSION).version(), NEWEST_VERSION);
}

#[test]
fn a_command_says_which_version_understands_it() {
    assert_eq!(LogCommand::Tick { at: 1 }.needs(), FIRST_VERSION);
    assert_eq!(LogCommand::Upgrade { version: 7 }.needs(), 7);
}

/// The feature is a rehearsal: what a next version adds changes nothing in a cluster that has not got it.
#[cfg(feature = "next-version")]
#[test]
fn the_next_version_is_like_this_one_until_the_cluster_is_upgraded() {
    let mut state = State::default();
    let with = |state: &State| rmp_serde::to_vec_named(state).unwrap();
    let field = b"rehearsals";
    let names = |state: &State| with(state).windows(field.len()).any(|window| window == field);
    assert!(!names(&state), "an older version does not find it either");
    state.apply(&LogCommand::Upgrade { version: NEWEST_VERSION });
    assert_eq!(state.version(), NEWEST_VERSION);
    state.apply(&LogCommand::Rehearse);
    assert!(names(&state));
    assert_eq!(rmp_serde::from_slice::<State>(&with(&state)).unwrap(), state);
}
