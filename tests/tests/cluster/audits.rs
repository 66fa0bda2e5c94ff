//! Results that are made again while nobody waits: docs/cluster.md, "Audits".

use std::process::Command;
use std::time::{Duration, Instant};

use cullet_tests::cluster::{Cluster, until};
use cullet_tests::cullet_binary;

/// A cluster that audits all that its cache answers.
fn cluster() -> Cluster {
    let mut cluster = Cluster::prepare(cullet_binary().clone(), 1, 1);
    cluster.run_coordinator_with(0, &["--audit-share", "1"]);
    cluster.run_worker(0, &[]);
    cluster.with_workers(1);
    cluster
}

/// How many audits came to this.
fn audits(cluster: &Cluster, result: &str) -> f64 {
    let url = format!("{}/metrics", cluster.url(0));
    let output = Command::new("curl").args(["-sSf", "-m", "30", &url]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let name = format!("cullet_audit_results_total{{result=\"{result}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok()).unwrap_or(0.0)
}

#[test]
fn a_result_that_cannot_be_made_again_is_found_no_more_and_others_stay() {
    let cluster = cluster();
    let dir = cluster.pipeline(
        "app",
        "cullet: 1\nname: app\nsteps:\n  \
         sound: { run: 'echo made > it', outputs: { it: it } }\n  \
         clock: { inputs: { it: sound.it }, run: 'date +%s.%N > now', outputs: { now: now } }\n  \
         tested: { run: 'echo \"<testsuite><!-- $(date +%N) --></testsuite>\" > r.xml', reports: { junit: r.xml } }\n  \
         online: { run: 'date +%N > o', network: full, outputs: { o: o } }\n  \
         ship: { run: 'date +%N > o', effects: true, outputs: { o: o } }\n",
    );
    let run = || {
        let outcome = cluster.run(&dir, &[]);
        outcome.assert_success();
        let mut executed: Vec<String> = outcome.executed().iter().map(|step| (*step).to_owned()).collect();
        executed.sort_unstable();
        executed
    };
    assert_eq!(run(), ["clock", "online", "ship", "sound", "tested"]);
    assert_eq!(run(), ["ship"]);
    until("both that stay are made again, and the one that does not", || {
        (audits(&cluster, "same") >= 2.0 && audits(&cluster, "differs") >= 1.0).then_some(())
    });
    assert_eq!(run(), ["clock", "ship"], "what the audit made is nobody's result");
    let why = cluster.cullet(&["why", "clock", "--cluster", &cluster.urls()]);
    assert!(why.stdout.contains("its result was put in quarantine by an audit at "), "{}", why.stdout);
    assert!(why.stdout.contains(": output now differs\n"), "{}{}", why.stdout, why.stderr);
    assert!(cluster.logs().contains("the result is in quarantine"), "{}", cluster.logs());
    // What an audit did is none of anybody's runs.
    until("none is listed", || {
        let listed = cluster.cullet(&["runs", "--format", "json", "--cluster", &cluster.urls()]);
        (listed.exit_code == 0 && !listed.stdout.contains("cullet-audit")).then_some(())
    });
    assert_eq!(audits(&cluster, "differs") as u32, 1, "neither what is online nor what acts is looked into");
}

#[test]
fn an_audit_makes_room_for_whoever_waits() {
    let cluster = cluster();
    let all = "resources: { cpu: 4 }";
    let long = format!("cullet: 1\nname: long\nsteps:\n  long: {{ run: 'sleep 15', {all} }}\n");
    let (long, quick) = (
        cluster.pipeline("long", &long),
        cluster.pipeline("quick", &format!("cullet: 1\nname: q\nsteps:\n  q: {{ run: 'true', {all} }}\n")),
    );
    cluster.run(&long, &[]).assert_success();
    assert_eq!(cluster.run(&long, &[]).cached(), ["long"]);
    until("the audit runs", || (cluster.status(0)?["workers"][0]["running"].as_u64()? > 0).then_some(()));
    let began = Instant::now();
    cluster.run(&quick, &[]).assert_success();
    assert!(began.elapsed() < Duration::from_secs(8), "it waited for {:?}", began.elapsed());
    until("it came to nothing", || (audits(&cluster, "nothing") >= 1.0).then_some(()));
    assert_eq!(cluster.run(&long, &[]).cached(), ["long"], "what could not be looked into stays");
}
