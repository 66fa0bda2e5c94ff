//! All of it by a user without rights.

use super::guest::Guest;
use super::support::{expect, shell, skip};

const PIPELINE: &str = "cullet: 1\nname: small\nsources: { src: { path: ., include: [/src/] } }\nsteps:\n  \
    a: { inputs: { .: src }, run: 'cat src/* > o', outputs: { o: o } }\n  \
    b: { inputs: { o: a.o }, run: 'mkdir d; cp o d/o; chmod 0 d/o d .', outputs: { d: d } }\n\
    outputs: { d: b.d }\n";

fn guest() -> Option<Guest> {
    let guest = Guest::arrive(PIPELINE)?;
    shell(&guest.project(), "mkdir src; echo text > src/text; chown -R 65532:65532 .");
    Some(guest)
}

#[test]
fn the_whole_flow() {
    let Some(guest) = guest() else { return skip("only root can become somebody else") };
    expect(&guest.cullet(&["doctor"]), 0, &["not root", "sandbox"]);
    for (cached, executed) in [(0, 2), (2, 0)] {
        let words = ["succeeded small", &format!("{executed} executed"), &format!("{cached} cached")];
        expect(&guest.cullet(&["run", "--output", "out"]), 0, &words);
        shell(&guest.project(), "grep text out/d/o");
    }
    expect(&guest.cullet(&["cache", "verify"]), 0, &["everything is right"]);
    expect(&guest.cullet(&["why", "b"]), 0, &["nothing in its key changed"]);
    expect(&guest.cullet(&["logs", "a"]), 0, &[]);
    expect(&guest.cullet(&["runs"]), 0, &["succeeded"]);
    let left: Vec<_> = std::fs::read_dir(guest.path(".cache/cullet/work")).unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_cache_of_somebody_else_can_be_read() {
    let Some(guest) = guest() else { return skip("only root can become somebody else") };
    expect(&guest.cullet(&["run"]), 0, &["2 executed"]);
    shell(&guest.path(".cache"), "chown -R 0:0 cullet");
    expect(&guest.cullet(&["run"]), 0, &["0 executed", "2 cached", "not remembered"]);
    shell(&guest.project(), "echo more >> src/text");
    expect(&guest.cullet(&["run"]), 3, &["read-only", "name another directory"]);
    expect(&guest.cullet(&["doctor"]), 0, &["cannot be written"]);
    expect(&guest.cullet(&["run", "--cache-dir", "mine"]), 0, &["2 executed"]);
}

pub(crate) fn unreadable_sources_are_named() {
    let Some(guest) = guest() else { return skip("only root can become somebody else") };
    shell(&guest.project(), "touch src/secret; mkdir src/dir; chmod 0 src/secret src/dir");
    let words = ["2 entries", "src/secret: it cannot be read", "src/dir: it cannot be read", "exclude it"];
    expect(&guest.cullet(&["run"]), 2, &words);
    shell(&guest.project(), "chmod 755 src/secret src/dir");
    expect(&guest.cullet(&["run"]), 0, &["succeeded"]);
}
