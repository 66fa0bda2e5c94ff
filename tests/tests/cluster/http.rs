//! What docs/http.md says, done.

use std::process::Command;

use cullet_tests::cluster::{Answer, Cluster, until};
use serde_json::Value;

/// The page.
fn page() -> String {
    std::fs::read_to_string(cullet_tests::repository_root().join("docs/http.md")).unwrap()
}

/// The examples below a heading, one command each.
fn examples(heading: &str) -> Vec<String> {
    let page = page();
    let section = page.split("\n## ").find(|section| section.lines().next() == Some(heading)).unwrap();
    let code = section.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    let mut commands: Vec<String> = Vec::new();
    for line in code.lines() {
        match commands.last_mut() {
            Some(last) if !line.starts_with("curl ") => last.push_str(&format!("\n{line}")),
            _ => commands.push(line.to_owned()),
        }
    }
    commands
}

fn shell(cluster: &Cluster, run: &str, command: &str) -> Answer {
    let mut shell = Command::new("sh");
    shell.args(["-euc", command]).env("CULLET", cluster.url(0)).env("RUN", run);
    shell.output().unwrap().into()
}

/// What the only example below a heading prints.
fn only(cluster: &Cluster, run: &str, heading: &str) -> String {
    let commands = examples(heading);
    assert_eq!(commands.len(), 1, "{commands:?}");
    let answer = shell(cluster, run, &commands[0]);
    assert_eq!(answer.exit_code, 0, "{heading}: {}", answer.stderr);
    answer.stdout
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

/// The answer to a request, with its status.
fn curl(cluster: &Cluster, arguments: &[&str], path: &str) -> (u16, String) {
    let url = format!("{}{path}", cluster.url(0));
    let mut command = Command::new("curl");
    command.args(["-sS", "-m", "30", "-w", "\n%{http_code}"]).args(arguments).arg(url);
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), body.to_owned())
}

#[test]
fn the_examples_of_the_documentation_work() {
    let cluster = Cluster::start(1, 1);
    cluster.with_workers(1);
    let submitted = json(&only(&cluster, "", "Submitting"));
    let run = submitted["run"].as_str().unwrap();
    assert_eq!(submitted["existed"], false);
    assert_eq!(json(&only(&cluster, "", "Submitting"))["existed"], true);

    let follow = |command: &str| shell(&cluster, run, command).stdout;
    let [lines, server_sent] = &examples("Following")[..] else { panic!("two examples") };
    let lines = follow(lines);
    let events: Vec<Value> = lines.lines().map(json).collect();
    assert_eq!(events.first().unwrap()["event"], "run_started");
    assert_eq!(events.last().unwrap()["status"], "succeeded");
    let dense = (1..).zip(&events).all(|(number, event)| event["sequence"] == number);
    assert!(dense && events.iter().all(|event| event["time"].is_string()), "{lines}");
    let expected: Vec<String> =
        (1..).zip(lines.lines()).map(|(number, line)| format!("id: {number}\ndata: {line}\n\n")).collect();
    assert_eq!(follow(server_sent), expected.concat());

    let looks = examples("Looking");
    let looks: Vec<Value> = looks.iter().map(|command| json(&shell(&cluster, run, command).stdout)).collect();
    assert_eq!(looks[0]["runs"][0]["run"], run);
    assert_eq!(
        (&looks[1]["steps"][0]["step"], &looks[1]["steps"][0]["exit_code"]),
        (&"greet".into(), &0.into())
    );
    assert_eq!((&looks[2]["ready"], &looks[2]["workers"][0]["name"]), (&true.into(), &"w0".into()));

    let logs: Vec<String> =
        examples("Logs").iter().map(|command| shell(&cluster, run, command).stdout).collect();
    assert!(logs[0].contains("hello world\n") && logs[0].contains("bye\n"), "{}", logs[0]);
    assert_eq!((logs[1].as_str(), logs[2].as_str()), ("bye\n", &logs[0][6..]));

    let (status, answer) = curl(&cluster, &[], &format!("/api/v1/runs/{run}/log?step=greet&attempt=9"));
    let said = "there is no attempt 9: the step had attempt 1";
    assert_eq!((status, json(&answer)["error"]["message"].as_str()), (404, Some(said)), "{answer}");

    let keys = json(&only(&cluster, run, "Comparing"));
    assert_eq!(
        keys,
        json(r#"{"no_cache": false, "earlier": [], "execution": null, "evicted_at": null, "audited": []}"#)
    );

    assert_eq!(json(&only(&cluster, run, "Cancelling"))["had_ended"], true);
}

#[test]
fn a_run_can_be_followed_while_it_lives_and_cancelled() {
    let cluster = Cluster::start(1, 1);
    cluster.with_workers(1);
    let body = r#"{"pipeline": "{cullet: 1, name: w, steps: {wait: {run: \"echo begun; sleep 600\"}}}"}"#;
    let (status, answer) =
        curl(&cluster, &["-H", "Content-Type: application/json", "-d", body], "/api/v1/runs");
    assert_eq!(status, 201, "{answer}");
    let run = json(&answer)["run"].as_str().unwrap().to_owned();
    let log = format!("/api/v1/runs/{run}/log?step=wait");
    until("the step prints", || (curl(&cluster, &[], &log).1 == "begun\n").then_some(()));
    let (status, answer) = curl(&cluster, &[], &format!("{log}&attempt=2"));
    assert!(status == 404 && answer.contains("the step has so far attempt 1"), "{answer}");
    let follower = Command::new("curl")
        .args(["-sfN", &format!("{}/api/v1/runs/{run}/events?after=2", cluster.url(0))])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let (status, answer) = curl(&cluster, &["-X", "POST"], &format!("/api/v1/runs/{run}/cancel"));
    assert_eq!((status, &json(&answer)["had_ended"]), (200, &false.into()));
    let told = String::from_utf8(follower.wait_with_output().unwrap().stdout).unwrap();
    let events: Vec<Value> = told.lines().map(json).collect();
    assert_eq!(events[0]["sequence"], 3);
    assert_eq!(events.last().unwrap()["status"], "cancelled", "{told}");
    let last = format!("Last-Event-ID: {}", events.last().unwrap()["sequence"]);
    let again = curl(&cluster, &["-H", &last], &format!("/api/v1/runs/{run}/events"));
    assert_eq!(again, (204, String::new()));
}

#[test]
fn what_is_wrong_is_said_as_json() {
    let cluster = Cluster::start(1, 0);
    cluster.agreed();
    let kind = "Content-Type: application/json";
    let nobody = format!("/api/v1/runs/{}", "0".repeat(32));
    let large = cluster.dir().join("large");
    std::fs::write(&large, vec![b' '; (16 << 20) + 1]).unwrap();
    let large = format!("@{}", large.display());
    let long = cluster.dir().join("long");
    std::fs::write(&long, format!(r#"{{"pipeline": "{}"}}"#, " ".repeat((8 << 20) + 1))).unwrap();
    let long = format!("@{}", long.display());
    let keys = format!("{nobody}/keys");
    let bad = r#"{"pipeline": "cullet: 1\nname: x\nsteps: { a: { rum: x } }\n"}"#;
    let good = r#"{"pipeline": "cullet: 1\nname: x\nsteps: { a: { run: x } }\n"}"#;
    for (arguments, path, status, code, words) in [
        (&[][..], "/api/v2/nothing", 404, "unimplemented", "/api/v1/openapi.json"),
        (&["-X", "DELETE"], "/api/v1/status", 405, "unimplemented", "method"),
        (&[], "/api/v1/runs?limt=3", 400, "invalid_argument", "limt"),
        (&[], "/api/v1/runs?limit=x", 400, "invalid_argument", "limit"),
        (&[], "/api/v1/runs?page_token=x", 400, "invalid_argument", "page token"),
        (&[], &nobody, 404, "not_found", "there is no run"),
        (&[], "/api/v1/runs/x", 400, "invalid_argument", "32 lower-case"),
        (&[], "/api/v1/runs/x/log", 400, "invalid_argument", "step"),
        (&["-d", "{}"], "/api/v1/runs", 415, "invalid_argument", "Content-Type"),
        (&["-H", kind, "-d", "{}"], "/api/v1/runs", 400, "invalid_argument", "pipeline"),
        (&["-H", kind, "-d", "{"], "/api/v1/runs", 400, "invalid_argument", "line 1"),
        (
            &["-H", kind, "-d", r#"{"pipelin": ""}"#],
            "/api/v1/runs",
            400,
            "invalid_argument",
            "unknown field `pipelin`",
        ),
        (&["-H", kind, "--data-binary", &large], "/api/v1/runs", 413, "invalid_argument", "16777216"),
        (&["-H", kind, "--data-binary", &long], "/api/v1/runs", 400, "invalid_argument", "8388608"),
        (&[], &keys, 400, "invalid_argument", "step"),
        (&[], &format!("{keys}?step=a"), 404, "not_found", "there is no run"),
        (&["-H", kind, "-d", bad], "/api/v1/runs", 400, "invalid_argument", "did you mean `run`?"),
        (
            &["-H", kind, "-d", good],
            "/api/v1/runs",
            503,
            "unavailable",
            "no worker is in the cluster right now",
        ),
    ] {
        let (got, body) = curl(&cluster, arguments, path);
        let error = &json(&body)["error"];
        assert_eq!((got, error["code"].as_str()), (status, Some(code)), "{path}: {body}");
        assert!(error["message"].as_str().unwrap().contains(words), "{path}: {body}");
        assert_eq!(error["retry_after_ms"].is_u64(), status == 503, "{path}: {body}");
    }
    let (status, document) = curl(&cluster, &[], "/api/v1/openapi.json");
    assert_eq!((status, json(&document)["info"]["title"].as_str()), (200, Some("Cullet")));
}

#[test]
fn an_image_needs_a_digest_and_a_registry() {
    let cluster = Cluster::start(1, 1);
    cluster.with_workers(1);
    let refused = |image: &str, images: &str| {
        let pipeline = format!(r#"{{cullet: 1, name: w, steps: {{a: {{run: \"x\", image: \"{image}\"}}}}}}"#);
        let body = format!(r#"{{"pipeline": "{pipeline}", "images": {images}}}"#);
        let (status, answer) =
            curl(&cluster, &["-H", "Content-Type: application/json", "-d", &body], "/api/v1/runs");
        assert_eq!(status, 400, "{answer}");
        json(&answer)["error"]["message"].as_str().unwrap().to_owned()
    };
    assert_eq!(refused("a/b:1", "{}"), "step `a`: the image `a/b:1` was not resolved to a digest");
    let wrong = refused("a/b:1", r#"{"a/b:1": "sha256:1"}"#);
    assert!(wrong.starts_with("the image `a/b:1` has no usable digest"), "{wrong}");
    let digest = format!(r#"{{"oci-layout:a": "sha256:{}"}}"#, "0".repeat(64));
    let local = refused("oci-layout:a", &digest);
    let said = "cullet.yaml:1: step `a`: the image `oci-layout:a` is on the client's machine";
    assert!(local.starts_with(said), "{local}");
}
