//! Cache volumes of steps on a cluster: those of each worker's machine, of each tenant and each pipeline.

use cullet_tests::Outcome;
use cullet_tests::cluster::Cluster;

const COUNT: &str = "cullet: 1\nname: NAME\nsteps:\n  count:\n    run: 'echo x >> /tmp/c/times; wc -l < /tmp/c/times'\n    \
                     caches: { /tmp/c: { volume: counter, shared: locked } }\n";

fn said(outcome: &Outcome) -> Vec<&str> {
    let logs = outcome.events.iter().filter(|event| event["event"] == "step_log");
    logs.filter_map(|event| event["text"].as_str()).collect()
}

#[test]
fn a_worker_keeps_the_volumes_of_its_machine() {
    let cluster = Cluster::start(1, 1);
    cluster.with_workers(1);
    let [one, other] = ["one", "other"].map(|name| cluster.pipeline(name, &COUNT.replace("NAME", name)));
    for (dir, arguments, expected) in [
        (&one, &["--no-cache"][..], "1"),
        (&one, &["--no-cache"], "2"),
        (&other, &["--no-cache"], "1"),
        (&one, &["--no-cache", "--tenant", "else"], "1"),
        (&one, &["--no-cache"], "3"),
    ] {
        let outcome = cluster.run(dir, arguments);
        outcome.assert_success();
        assert_eq!(said(&outcome), [expected], "{:?}", outcome.events);
    }
    let cached = cluster.run(&one, &[]);
    assert_eq!(cached.cached(), ["count"], "results are kept as they are without volumes");
}
