//! Whose results a run of a cluster reads and writes.

use cullet_tests::Outcome;
use cullet_tests::cluster::Cluster;

const COUNT: &str = "cullet: 1\nname: count\nsteps:\n  count:\n    run: 'echo x >> /tmp/c/times; wc -l < /tmp/c/times'\n    \
                     caches: { /tmp/c: counter }\n";

fn said(outcome: &Outcome) -> Vec<&str> {
    let logs = outcome.events.iter().filter(|event| event["event"] == "step_log");
    logs.filter_map(|event| event["text"].as_str()).collect()
}

#[test]
fn what_a_branch_made_is_its_own_and_what_is_protected_is_for_everybody() {
    let cluster = Cluster::start(1, 1);
    cluster.with_workers(1);
    let dir = cluster.pipeline("scopes", COUNT);
    let run = |arguments: &[&str]| {
        let outcome = cluster.run(&dir, arguments);
        outcome.assert_success();
        let executed = !outcome.executed().is_empty();
        (executed, executed.then(|| said(&outcome).concat()))
    };
    let made = |count: &str| (true, Some(count.to_owned()));
    let branch = ["--scope", "branch/x"];
    assert_eq!(run(&branch), made("1"));
    assert_eq!(run(&branch), (false, None), "a second run of the branch");
    // Neither its result nor its volume is taken.
    assert_eq!(run(&[]), made("1"));
    assert_eq!(run(&[]), (false, None));
    for other in ["branch/y", "user/ada"] {
        assert_eq!(run(&["--scope", other]), (false, None), "{other} reads what is protected");
    }
    assert_eq!(run(&["--scope", "branch/x", "--no-cache"]), made("2"), "with what it left itself");
    assert_eq!(run(&["--scope", "branch/y", "--no-cache"]), made("1"), "with nothing of another branch");
    assert_eq!(run(&["--no-cache"]), made("2"));
    let refused = cluster.run(&dir, &["--scope", "main"]);
    assert_eq!(refused.exit_code, 2);
    assert!(refused.stderr.contains("'main' is no scope: use protected, branch/NAME"), "{}", refused.stderr);
}
