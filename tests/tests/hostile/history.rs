//! Looking at runs when there are none, or when what was written of them is damaged.

use cullet_tests::{Checkout, User};

use super::support::{expect, files, overwrite, said};

fn checkout() -> Checkout {
    Checkout::of_pipeline(
        "cullet: 1\nname: small\nsteps: { a: { matrix: { i: [1, 2] }, run: 'echo hello' } }\n",
    )
}

#[test]
fn before_the_first_run() {
    let (user, checkout) = (User::new(), checkout());
    expect(&user.cullet(&checkout, ["runs"]), 0, &["no run yet"]);
    for command in [&["status"][..], &["logs"], &["logs", "a"], &["why", "a"]] {
        let output = user.cullet(&checkout, command.iter().copied());
        expect(&output, 2, &["there is no run yet", "hint: start one with cullet run"]);
    }
    expect(&user.cullet(&checkout, ["cancel", "abc"]), 2, &["there is no run 'abc'", "hint:"]);
}

#[test]
fn names_that_fit_nothing() {
    let (user, checkout) = (User::new(), checkout());
    user.run(&checkout).assert_success();
    expect(&user.cullet(&checkout, ["logs", "nosuch"]), 2, &["has no step 'nosuch'", "hint:"]);
    expect(&user.cullet(&checkout, ["why", "nosuch"]), 2, &["has no step 'nosuch'", "hint:"]);
    expect(&user.cullet(&checkout, ["why", "a"]), 2, &["did you mean a[i=1], a[i=2]?"]);
    expect(&user.cullet(&checkout, ["status", "../.."]), 2, &["there is no run '../..'"]);
    expect(&user.cullet(&checkout, ["logs", "a[i=1]"]), 0, &["hello"]);
}

#[test]
fn garbage_instead_of_events() {
    let (user, checkout) = (User::new(), checkout());
    user.run(&checkout).assert_success();
    let garbage = b"\xff\x00{\"event\":\n\x1b[31mred\n{}\n[[[[\n\n";
    for file in files(&user.cache().join("runs")).iter().filter(|file| file.extension().is_some()) {
        let whole = std::fs::read(file).unwrap();
        // What the run was started as is the first line.
        let first = whole.split_inclusive(|byte| *byte == b'\n').next().unwrap();
        overwrite(file, &[first, garbage].concat());
    }
    expect(&user.cullet(&checkout, ["runs"]), 0, &["interrupted"]);
    expect(&user.cullet(&checkout, ["status"]), 0, &["interrupted"]);
    let events = user.cullet(&checkout, ["status", "--format", "json"]);
    for line in String::from_utf8(events.stdout).unwrap().lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
    for command in [&["logs"][..], &["logs", "a[i=1]"], &["why", "a[i=1]"]] {
        let output = user.cullet(&checkout, command.iter().copied());
        assert!(matches!(output.status.code(), Some(0 | 2 | 3)), "{command:?}: {}", said(&output));
    }
    assert_eq!(user.run(&checkout).cached().len(), 2);
}

#[test]
fn garbage_instead_of_everything() {
    let (user, checkout) = (User::new(), checkout());
    user.run(&checkout).assert_success();
    files(&user.cache().join("runs")).iter().for_each(|file| overwrite(file, b"\xffgarbage"));
    std::fs::create_dir(user.cache().join("runs/neither.jsonl")).unwrap();
    std::fs::write(user.cache().join("runs/nor.jsonl"), "").unwrap();
    for command in [&["runs"][..], &["status"], &["logs"], &["why", "a[i=1]"]] {
        let output = user.cullet(&checkout, command.iter().copied());
        assert!(matches!(output.status.code(), Some(0 | 2 | 3)), "{command:?}: {}", said(&output));
    }
    assert_eq!(user.run(&checkout).cached().len(), 2);
    expect(&user.cullet(&checkout, ["status"]), 0, &["succeeded small"]);
}
