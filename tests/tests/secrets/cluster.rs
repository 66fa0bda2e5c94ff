//! Secrets on clusters: workers have them, and nobody else.

use std::path::Path;

use cullet_tests::Outcome;
use cullet_tests::cluster::Cluster;
use cullet_tests::cullet_binary;

use crate::support::{LEAK, TOKEN, assert_clean, assert_clean_text, config, value, vault};

/// The directory of the operator's secrets, and files beside it that have values.
const SOURCES: [&str; 2] = ["operator", "vault-token"];

/// Three coordinators, and workers of which the first so many have secrets.
fn cluster(workers: usize, with_secrets: usize) -> Cluster {
    let cluster = Cluster::prepare(cullet_binary().clone(), 3, workers).with_variable("CULLET_LOG", "debug");
    let dir = cluster.dir().to_owned();
    std::fs::create_dir(dir.join("operator")).unwrap();
    std::fs::write(dir.join("operator/EXPOSED"), value("file")).unwrap();
    std::fs::write(dir.join("config.toml"), config(&vault(value("vault")))).unwrap();
    std::fs::write(dir.join("vault-token"), TOKEN).unwrap();
    let config = dir.join("config.toml");
    let mut cluster = cluster.with_variable("CULLET_CONFIG", config.to_str().unwrap());
    (0..3).for_each(|position| cluster.run_coordinator(position));
    let operator = dir.join("operator");
    for position in 0..workers {
        let given = ["--secrets", operator.to_str().unwrap()];
        cluster.run_worker(position, if position < with_secrets { &given } else { &[] });
    }
    cluster.with_workers(workers);
    cluster
}

fn pipeline(cluster: &Cluster, rest: &str) -> std::path::PathBuf {
    let text = format!(
        "cullet: 1\nsteps:\n  s:\n    secrets:\n      EXPOSED: {{ env: NOT_READ, expose: env }}\n      \
         OTHER: {{ provider: vault, key: app#token }}\n    run: |\n{}\n      {rest}\n    outputs: {{ o: o }}\n  \
         after: {{ inputs: {{ i: s.o }}, run: cat i }}\n",
        LEAK.trim_matches('\n')
    );
    cluster.pipeline("p", &text)
}

fn texts(outcome: &Outcome) -> String {
    format!("{:?}{}", outcome.events, outcome.stderr)
}

fn attempts(outcome: &Outcome) -> usize {
    let started =
        outcome.events.iter().filter(|event| event["event"] == "step_started" && event["step"] == "s");
    started.count()
}

fn assert_all_clean(cluster: &Cluster, outcome: &Outcome) {
    assert_clean_text(&texts(outcome), &["file", "vault"]);
    assert_clean(cluster.dir(), &["file", "vault"], &SOURCES);
    assert_clean_text(&cluster.logs(), &["file", "vault"]);
}

#[test]
fn no_value_is_left_anywhere_when_a_leader_and_a_worker_die() {
    let mut cluster = cluster(2, 2);
    let dir = pipeline(&cluster, "wc -c < /run/secrets/OTHER > o; echo begun; sleep 4");
    let mut run = cluster.begin_run(&dir, &[]);
    run.until("begun");
    let led = cluster.leader_of(&cluster.agreed());
    cluster.kill_coordinator(led);
    let ended = run.outcome();
    ended.assert_success();
    assert_eq!(attempts(&ended), 1);
    let log: Vec<&str> = ended
        .events
        .iter()
        .filter(|event| event["event"] == "step_log" && event["step"] == "s")
        .filter_map(|event| event["text"].as_str())
        .collect();
    assert!(log.contains(&"EXPOSED=***"), "{log:?}");
    assert_all_clean(&cluster, &ended);

    let mut run = cluster.begin_run(&dir, &["--no-cache"]);
    let started = run.until("begun");
    assert_clean_text(&started, &["file", "vault"]);
    cluster.kill_worker(0);
    cluster.kill_worker(1);
    assert_clean(cluster.dir(), &["file", "vault"], &SOURCES);
    let operator = cluster.dir().join("operator");
    for position in 0..2 {
        cluster.run_worker(position, &["--secrets", operator.to_str().unwrap()]);
    }
    let ended = run.outcome();
    ended.assert_success();
    assert_all_clean(&cluster, &ended);
}

#[test]
fn a_worker_without_the_secret_says_so_once_and_the_submitters_variable_is_not_read() {
    let cluster = cluster(1, 0);
    let dir = pipeline(&cluster, "echo > o");
    let mut command = cluster.command();
    command.current_dir(&dir).env("NOT_READ", value("env"));
    command.args(["run", "--progress", "json", "--cluster", &cluster.urls()]);
    let outcome = Outcome::of(&command.output().unwrap());
    assert_eq!(outcome.exit_code, 1, "{}", texts(&outcome));
    assert_eq!(attempts(&outcome), 1);
    let reason = outcome.steps["s"].reason.clone().unwrap_or_default();
    let said = "the worker w0 does not have the secret `EXPOSED`: it was started without --secrets DIR; variables, files";
    assert!(reason.starts_with(said), "{reason}");
    assert_clean(cluster.dir(), &["env"], &SOURCES);
    identity_is_refused(&cluster, &dir);
}

fn identity_is_refused(cluster: &Cluster, dir: &Path) {
    let text = std::fs::read_to_string(dir.join("cullet.yaml")).unwrap();
    std::fs::write(dir.join("cullet.yaml"), text.replace("expose: env", "expose: env, identity: true"))
        .unwrap();
    let refused = cluster.run(dir, &[]);
    assert_eq!(refused.exit_code, 2);
    assert!(
        refused.stderr.contains("cullet.yaml:5:7: `identity` of the secret `EXPOSED`"),
        "{}",
        refused.stderr
    );
}
