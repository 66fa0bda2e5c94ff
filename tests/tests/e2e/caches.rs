//! Cache volumes of steps: what is kept, for whom, and that no key knows of them.

use std::process::Output;

use cullet_tests::{Checkout, Outcome, User};

/// A step that counts how often it was executed, in a volume at `/tmp/c`.
const COUNT: &str = "cullet: 1\nname: NAME\nparams: { n: 0, fail: false }\nsteps:\n  count:\n    \
                     run: |\n      echo x${{ params.n }} >> /tmp/c/times\n      wc -l < /tmp/c/times > o\n      cat o\n      \
                     test ${{ params.fail }} = false\n    outputs: { o: o }\n    caches: { /tmp/c: counter }\n";

fn checkout(name: &str) -> Checkout {
    Checkout::of_pipeline(&COUNT.replace("NAME", name))
}

/// What the step printed.
fn said(outcome: &Outcome) -> Vec<&str> {
    let logs = outcome.events.iter().filter(|event| event["event"] == "step_log");
    logs.filter_map(|event| event["text"].as_str()).collect()
}

fn notes(outcome: &Outcome) -> Vec<&str> {
    let notes = outcome.events.iter().filter(|event| event["event"] == "note" && event["kind"] == "cache");
    notes.filter_map(|event| event["text"].as_str()).collect()
}

fn count(user: &User, checkout: &Checkout, arguments: &[&str]) -> Outcome {
    user.run_with(checkout, arguments.iter().copied())
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn what_a_step_wrote_is_there_when_it_runs_again_unless_it_failed() {
    let (user, checkout) = (User::new(), checkout("counting"));
    assert_eq!(said(&count(&user, &checkout, &[])), ["1"]);
    assert_eq!(count(&user, &checkout, &[]).cached(), ["count"]);
    assert_eq!(said(&count(&user, &checkout, &["--no-cache"])), ["2"]);
    let failed = count(&user, &checkout, &["--param", "fail=true"]);
    assert_eq!((failed.exit_code, said(&failed)), (1, vec!["3"]));
    let again = count(&user, &checkout, &["--param", "n=1"]);
    assert_eq!((said(&again), notes(&again)), (vec!["3"], vec![]));
    let list = text(&user.cullet(&checkout, ["cache", "volumes"]));
    assert!(list.contains("counting") && list.contains("counter") && list.contains("just now"), "{list}");
    let removed = text(&user.cullet(&checkout, ["cache", "volumes", "--remove", "counter"]));
    assert!(removed.starts_with("removed 1 cache volume,"), "{removed}");
    assert_eq!(said(&count(&user, &checkout, &["--param", "n=2"])), ["1"]);
    assert!(user.cullet(&checkout, ["cache", "clear"]).status.success());
    assert_eq!(text(&user.cullet(&checkout, ["cache", "volumes"])), "there are no cache volumes\n");
}

#[test]
fn no_key_knows_of_a_volume_and_other_pipelines_have_others() {
    let user = User::new();
    let (one, other) = (checkout("one"), checkout("other"));
    let with = count(&user, &one, &[]);
    one.edit("cullet.yaml", "caches: { /tmp/c: counter }", "env: {}");
    one.edit("cullet.yaml", "name: one", "name: two");
    let without = count(&user, &one, &[]);
    assert_eq!(without.cached(), ["count"]);
    assert_eq!(with.steps["count"].action_digest, without.steps["count"].action_digest);
    assert_eq!(said(&count(&user, &other, &["--no-cache"])), ["1"]);
}

#[test]
fn steps_that_share_a_locked_volume_lose_nothing_of_each_other() {
    let steps = "cullet: 1\nname: locked\nsteps:\n  many:\n    matrix: { n: [1, 2, 3, 4, 5, 6] }\n    \
                 run: 'echo ${{ matrix.n }} >> /workspace/out/all; sleep 0.1'\n    \
                 caches: { /workspace/out: { volume: all, shared: locked } }\n  \
                 look: { needs: [many], run: 'sort -n /tmp/all/all | xargs echo', caches: { /tmp/all: all } }\n";
    let (user, checkout) = (User::new(), Checkout::of_pipeline(steps));
    let outcome = count(&user, &checkout, &["--jobs", "6"]);
    outcome.assert_success();
    assert_eq!(said(&outcome), ["1 2 3 4 5 6"], "{:?}", outcome.events);
}

#[test]
fn a_volume_that_grows_too_large_is_told_of_once_and_stays_what_it_was() {
    let steps = "cullet: 1\nname: large\nsteps:\n  first: { run: 'echo kept > /tmp/c/f', caches: { /tmp/c: v } }\n  \
                 grow:\n    needs: [first]\n    matrix: { n: [1, 2, 3] }\n    \
                 run: 'head -c 3000000 /dev/zero > /tmp/c/f; echo ${{ matrix.n }}'\n    caches: { /tmp/c: v }\n  \
                 look: { needs: [grow], run: 'cat /tmp/c/f', caches: { /tmp/c: v } }\n";
    let (user, checkout) = (User::new(), Checkout::of_pipeline(steps));
    let outcome = count(&user, &checkout, &["--volume-size", "1MB"]);
    outcome.assert_success();
    assert!(said(&outcome).contains(&"kept"), "{:?}", outcome.events);
    let notes = notes(&outcome);
    assert!(notes.len() == 1 && notes[0].contains("more than the 1000000 bytes"), "{notes:?}");
}

#[test]
fn a_damaged_volume_costs_a_note_and_nothing_else() {
    let (user, checkout) = (User::new(), checkout("damage"));
    count(&user, &checkout, &[]).assert_success();
    let volumes = std::fs::read_dir(user.cache().join("volumes")).unwrap();
    for volume in volumes.map(|entry| entry.unwrap().path()).filter(|path| path.join("current").exists()) {
        std::fs::write(volume.join("current"), "nonsense").unwrap();
    }
    let damaged = count(&user, &checkout, &["--no-cache"]);
    damaged.assert_success();
    assert_eq!(said(&damaged), ["1"]);
    assert!(notes(&damaged)[0].contains("is damaged"), "{:?}", notes(&damaged));
    assert_eq!(said(&count(&user, &checkout, &["--no-cache"])), ["1"], "that one was not kept");
    assert_eq!(said(&count(&user, &checkout, &["--no-cache"])), ["2"]);
}

#[test]
fn the_plain_executor_says_that_it_has_none() {
    let (user, checkout) = (
        User::new(),
        Checkout::of_pipeline(
            "cullet: 1\nname: plain\nsteps: { s: { run: 'true', caches: { /tmp/c: v } } }\n",
        ),
    );
    let outcome = count(&user, &checkout, &["--executor", "plain"]);
    outcome.assert_success();
    let said = outcome.events.iter().filter(|event| event["event"] == "note");
    let said: Vec<&str> = said.filter_map(|event| event["text"].as_str()).collect();
    assert!(said.iter().any(|text| text.contains("not mounted by the plain executor")), "{said:?}");
}
