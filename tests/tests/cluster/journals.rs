//! A journal of runs that broke the glass, told the cluster when it is back: docs/break-glass.md, "Telling the cluster".

use std::fs;
use std::path::Path;
use std::process::Command;

use cullet_tests::cluster::{Answer, Cluster};
use cullet_tests::{Outcome, cullet_binary};
use serde_json::Value;

/// One step that gives the same whenever it runs, and one that does not.
const PIPELINE: &str = "\
cullet: 1
name: app
steps:
  make: { run: 'echo made > it', outputs: { it: it } }
  clock: { run: 'date +%s.%N > now', outputs: { now: now } }
";

const STEPS: [&str; 2] = ["clock", "make"];

/// A command of a laptop that has a cache directory of its own and writes to the store of the cluster.
fn laptop(cluster: &Cluster, name: &str, dir: &Path, arguments: &[&str]) -> Command {
    let mut command = cluster.command();
    command.current_dir(dir).args(arguments);
    command.env("CULLET_CACHE_DIR", cluster.dir().join(name)).env("USER", name);
    command.env("CULLET_SHARED_CACHE", cluster.store()).env("CULLET_SHARED_CACHE_MODE", "write");
    command.env("CULLET_CLUSTER", cluster.urls());
    command
}

fn asked(cluster: &Cluster, name: &str, arguments: &[&str]) -> Answer {
    laptop(cluster, name, cluster.dir(), arguments).output().unwrap().into()
}

fn breaks_the_glass(cluster: &Cluster, name: &str, dir: &Path) {
    let arguments = ["run", "--break-glass", "--reason", "it is down", "--progress", "json"];
    let outcome = Outcome::of(&laptop(cluster, name, dir, &arguments).output().unwrap());
    outcome.assert_success();
    let mut executed = outcome.executed();
    executed.sort_unstable();
    assert_eq!(executed, STEPS);
}

/// The key that signs the journal of a laptop.
fn key(cluster: &Cluster, name: &str) -> String {
    let said = asked(cluster, name, &["journal", "verify"]).stdout;
    said.trim().rsplit(' ').next().unwrap().to_owned()
}

fn with_policy(cluster: &mut Cluster, policy: &str) {
    let file = cluster.dir().join("trust.toml");
    fs::write(&file, policy).unwrap();
    for position in 0..3 {
        cluster.run_coordinator_with(position, &["--trust", file.to_str().unwrap()]);
    }
    cluster.agreed_leader();
}

#[test]
fn a_cluster_that_is_back_takes_in_what_was_done_meanwhile_and_looks_at_it_again() {
    let mut cluster = Cluster::prepare(cullet_binary().clone(), 3, 1);
    let dir = cluster.pipeline("app", PIPELINE);
    breaks_the_glass(&cluster, "ada", &dir);
    let policy = format!("[journals]\nkeys = [\"{} Ada\"]\n", key(&cluster, "ada"));
    with_policy(&mut cluster, &policy);
    let send = |name: &str, arguments: &[&str]| {
        let answer = asked(&cluster, name, &[&["journal", "send"], arguments].concat());
        (answer.exit_code, answer.stdout + &answer.stderr)
    };
    let list = |arguments: &[&str]| {
        let urls = cluster.urls();
        let answer = asked(&cluster, "ada", &[&["journal", "list", "--cluster", &urls], arguments].concat());
        assert_eq!(answer.exit_code, 0, "{}", answer.stderr);
        answer.stdout
    };
    assert_eq!(list(&[]), "the cluster has taken in no journal\n");
    let (code, said) = send("ada", &[]);
    assert_eq!(code, 0, "{said}");
    assert!(said.starts_with("2 taken in, 0 there before: the cluster has all 2 entries\n"), "{said}");
    let results =
        "results of 2 executed steps: in quarantine 2 as said; for the same key the cluster has 2 nothing";
    assert!(said.contains(results), "{said}");
    let (code, said) = send("ada", &[]);
    assert!(code == 0 && said.starts_with("0 taken in, 2 there before"), "{said}");
    let listed = list(&[]);
    for part in ["ada@", "because: it is down", "(Ada)", "sent by somebody", "succeeded, 2 executed"] {
        assert!(listed.contains(part), "{part}: {listed}");
    }
    // Copies that somebody changed: one line that the cluster has not seen, and one that it has otherwise.
    let journal = fs::read_to_string(cluster.dir().join("ada/break-glass/journal.jsonl")).unwrap();
    let copy = cluster.dir().join("copy.jsonl");
    for (old, new, why) in [
        ("it is down", "it was up", "refused: entry 1 was changed: its signature does not fit"),
        ("succeeded", "cancelled", "refused: entry 2 is not the one that the cluster took in"),
    ] {
        fs::write(&copy, journal.replacen(old, new, 1)).unwrap();
        let (code, said) = send("ada", &[copy.to_str().unwrap()]);
        assert!(code == 1 && said.starts_with(why), "{said}");
    }
    fs::write(&copy, journal.lines().next().unwrap().to_owned() + "\n").unwrap();
    let (code, said) = send("ada", &[copy.to_str().unwrap()]);
    assert!(code == 1 && said.contains("those behind entry 1 are missing here"), "{said}");
    breaks_the_glass(&cluster, "eve", &dir);
    let (code, said) = send("eve", &[]);
    assert!(code == 1 && said.contains("whose journals the cluster does not take in"), "{said}");
    assert_eq!(list(&[]), listed, "nothing of that is on record");
}

#[test]
fn what_the_cluster_makes_later_is_compared_and_nobody_forgets_to_send() {
    let mut cluster = Cluster::prepare(cullet_binary().clone(), 3, 1);
    let dir = cluster.pipeline("app", PIPELINE);
    breaks_the_glass(&cluster, "ada", &dir);
    with_policy(&mut cluster, "");
    cluster.run_worker(0, &[]);
    cluster.with_workers(1);
    let usual = |cluster: &Cluster| {
        let outcome = laptop(cluster, "ada", &dir, &["run", "--progress", "json"]).output().unwrap();
        let outcome = Outcome::of(&outcome);
        outcome.assert_success();
        outcome
    };
    let first = usual(&cluster);
    let mut executed = first.executed();
    executed.sort_unstable();
    assert_eq!(executed, STEPS, "the cluster takes nothing that was made behind the glass");
    let note = "note: 2 entries of the journal of break-glass runs were not sent to the cluster yet: cullet journal send\n";
    assert!(first.stderr.contains(note), "{}", first.stderr);
    let sent = asked(&cluster, "ada", &["journal", "send"]);
    assert_eq!(sent.exit_code, 0, "{}", sent.stderr);
    assert!(sent.stdout.contains("2 of them are of nobody whom the cluster knows"), "{}", sent.stdout);
    let compared = "for the same key the cluster has 1 the same, 1 something else\nentry 2, clock: the cluster got something else: now\n";
    assert!(sent.stdout.contains(compared), "{}", sent.stdout);
    assert!(!usual(&cluster).stderr.contains("note: "), "all is sent");
    // Another leader knows it: it is in the store.
    let leader = cluster.leader_of(&cluster.agreed_leader());
    cluster.kill_coordinator(leader);
    let listed =
        asked(&cluster, "ada", &["journal", "list", "--format", "json", "--cluster", &cluster.urls()]);
    let lines: Vec<Value> = listed.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [begun, finished] = &lines[..] else { panic!("not two lines: {}", listed.stdout) };
    assert_eq!((&begun["entry"]["reason"], &begun["verified"]), (&"it is down".into(), &false.into()));
    assert_eq!((&begun["fault"], &finished["seq"]), (&Value::Null, &2.into()));
    let results = finished["results"].as_array().unwrap();
    let of = |step: &str| results.iter().find(|result| result["step"] == step).unwrap();
    assert_eq!((&of("make")["quarantined"], &of("make")["cluster"]), (&"as_said".into(), &"same".into()));
    assert_eq!((&of("clock")["cluster"], &of("clock")["details"][0]), (&"different".into(), &"now".into()));
    breaks_the_glass_again(&cluster, &dir);
    let again = asked(&cluster, "ada", &["journal", "send"]);
    assert!(again.stdout.starts_with("2 taken in, 2 there before"), "{}{}", again.stdout, again.stderr);
}

/// Everything is there from the first time.
fn breaks_the_glass_again(cluster: &Cluster, dir: &Path) {
    let arguments = ["run", "--break-glass", "--reason", "again", "--progress", "json"];
    Outcome::of(&laptop(cluster, "ada", dir, &arguments).output().unwrap()).assert_success();
}
