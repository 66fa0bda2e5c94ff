use std::io::Read as _;
use std::process::Stdio;

use crate::{cullet, run, stderr, stdout};

const GOOD: &str = "cullet: 1\nname: app\nsteps:\n  a:\n    run: \"true\"\n";

#[test]
fn a_wrong_command_line_is_2() {
    let home = tempfile::tempdir().unwrap();
    for args in [
        &["nonsense"][..],
        &["run", "--nonsense"],
        &["run", "--param", "x"],
        &["run", "--jobs", "0"],
        &["cache", "gc", "--to", "much"],
        &["logs", "a", "b", "c"],
        &["worker", "--join", "nowhere"],
        &["worker", "--join", "h:1", "--listen", "here"],
        &["worker", "--join", "h:1", "--drain", "soon"],
        &["worker", "--join", "h:1", "--store", "ftp://bucket", "--executor", "plain"],
        &[],
    ] {
        let output = run(home.path(), args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert_eq!(stdout(&output), "", "{args:?}");
        assert_ne!(stderr(&output), "", "{args:?}");
    }
}

#[test]
fn a_pipeline_that_no_cluster_takes_is_2_before_any_is_asked() {
    let home = tempfile::tempdir().unwrap();
    let long = format!("{GOOD}# {}\n", "x".repeat(8 << 20));
    std::fs::write(home.path().join("cullet.yaml"), &long).unwrap();
    for flag in [&[][..], &["--detach"]] {
        let args = [&["run", "--cluster", "http://127.0.0.1:1"], flag].concat();
        let output = run(home.path(), &args);
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""), "{args:?}");
        let size = format!("cullet.yaml has {} bytes, more than the 8388608 (8 MiB)", long.len());
        let said = stderr(&output);
        assert!(said.contains(&size) && said.contains("hint: divide it"), "{said}");
    }
    // One machine takes it.
    assert_eq!(run(home.path(), &["validate"]).status.code(), Some(0));
}

#[test]
fn what_is_wrong_about_a_cluster_is_2() {
    const URL: &str = "http://127.0.0.1:1";
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("cullet.yaml"), GOOD).unwrap();
    for (args, words) in [
        (&["run", "--cluster", "https://example.invalid:7400"][..], "TLS"),
        (&["run", "--cluster", "example.invalid:7400"], "http://host:port"),
        (&["run", "--cluster", URL, "--jobs", "4"], "--jobs says how one machine executes"),
        (&["run", "--cluster", URL, "--detach", "--output", "x"], "nobody waits for the outputs"),
        (&["run", "--cluster", URL, "--priority", "101"], "-100..=100"),
        (&["run", "--cluster", URL, "--request-id", ""], "1 to 128 bytes"),
        (&["run", "--detach"], "--detach is about runs on a cluster"),
        (&["run", "--priority", "-5"], "--priority is about runs on a cluster"),
        (&["attach", "0193"], "no cluster is named"),
        (&["why", "--cluster", "x", "a"], "no address of a coordinator"),
        (&["why", "--cluster", URL, "0193", "a", "--run", "0193"], "one step of one run is explained"),
        (&["logs", "-f", "a"], "--follow is about steps of a cluster"),
        (&["status", "--cluster", "x"], "no address of a coordinator"),
        (&["cancel", "--cluster", URL, "build"], "there is no run 'build'"),
    ] {
        let output = run(home.path(), args);
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""), "{args:?}");
        assert!(stderr(&output).contains(words), "{args:?}: {}", stderr(&output));
    }
    let mut command = cullet(home.path(), &["runs"]);
    let output = command.env("CULLET_CLUSTER", "http://example.invalid").output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let mut command = cullet(home.path(), &["runs", "--cluster", ""]);
    let output = command.env("CULLET_CLUSTER", "http://example.invalid").output().unwrap();
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(0), "no run yet\n"));
}

#[test]
fn a_wrong_pipeline_is_2_with_every_problem_and_its_place() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("cullet.yaml"), GOOD).unwrap();
    let output = run(home.path(), &["validate"]);
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
    assert_eq!(stdout(&output), "cullet.yaml: 1 step, no errors\n");

    let bad = GOOD.replace("run:", "rnu:").replace("name:", "nmae:");
    std::fs::write(home.path().join("cullet.yaml"), bad).unwrap();
    for command in ["validate", "graph"] {
        let output = run(home.path(), &[command]);
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""));
        let text = stderr(&output);
        assert!(text.contains("cullet.yaml:2:1") && text.contains("cullet.yaml:5:5"), "{text}");
    }
    let output = run(home.path(), &["validate", "--format", "json"]);
    assert_eq!(output.status.code(), Some(2));
    let report: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(report["valid"], false);
    assert_eq!(report["diagnostics"][0]["line"], 2);
}

#[test]
fn a_parameter_that_must_be_set_is_no_fault_of_the_file() {
    let home = tempfile::tempdir().unwrap();
    let text = format!(
        "{}    env: {{ X: \"${{{{ params.profile }}}}\" }}\n",
        GOOD.replace("name: app\n", "name: app\nparams: { profile: { description: x } }\n")
    );
    std::fs::write(home.path().join("cullet.yaml"), &text).unwrap();
    let output = run(home.path(), &["validate"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let output = run(home.path(), &["validate", "--param", "profile=x"]);
    assert_eq!(stdout(&output), "cullet.yaml: 1 step, no errors\n", "{}", stderr(&output));
    let output = run(home.path(), &["validate", "--param", "profil=x"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(run(home.path(), &["graph"]).status.code(), Some(2));
}

#[test]
fn a_missing_pipeline_is_2_with_a_hint() {
    let home = tempfile::tempdir().unwrap();
    let output = run(home.path(), &["validate"]);
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    assert!(text.contains("cullet.yaml") && text.contains("hint: "), "{text}");
    std::fs::write(home.path().join("cullet.yaml"), b"cullet: 1\nname: \xff\n").unwrap();
    let output = run(home.path(), &["validate"]);
    assert!(stderr(&output).contains("cullet.yaml:2: this is not UTF-8"), "{}", stderr(&output));
}

#[test]
fn a_wrong_configuration_is_2() {
    let home = tempfile::tempdir().unwrap();
    let output = cullet(home.path(), &["runs"]).env("CULLET_CACHE_SIZE", "much").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("CULLET_CACHE_SIZE"), "{}", stderr(&output));
    let output = cullet(home.path(), &["runs"]).env("CULLET_LOG", "a=b=c").output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let output = cullet(home.path(), &["schema"]).env("CULLET_CACHE_SIZE", "much").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "what needs no configuration works without");
}

#[test]
fn a_cache_of_the_future_is_2() {
    let home = tempfile::tempdir().unwrap();
    assert!(run(home.path(), &["cache", "clear"]).status.success());
    std::fs::write(home.path().join(".cache/cullet/VERSION"), "999\n").unwrap();
    let output = run(home.path(), &["cache", "stats"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("CULLET_CACHE_DIR"), "{}", stderr(&output));
}

#[test]
fn a_reader_that_is_gone_is_no_error() {
    let home = tempfile::tempdir().unwrap();
    // More than a pipe holds, so that the writer sees the end of the reader.
    for args in [&["schema"][..], &["completions", "zsh"]] {
        let mut child =
            cullet(home.path(), args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let mut text = String::new();
        child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!((child.wait().unwrap().code(), text.as_str()), (Some(0), ""), "{args:?}");
    }
}

#[test]
fn standard_output_that_cannot_be_written_is_3() {
    let home = tempfile::tempdir().unwrap();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = cullet(home.path(), &["schema"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).starts_with("error: cannot write to standard output: "), "{}", stderr(&output));
}
