//! What problems and plans look like.

use cullet_pipeline::{graph, load};

use crate::support::plan;

#[test]
fn a_problem_is_shown_with_its_lines() {
    let yaml = "cullet: 1\nsteps:\n  build: { run: x, outputs: { a: out } }\n  # between\n  test: { run: x, inputs: { i: buidl.a } }\n  build: { run: y }\n";
    let problems = load("cullet.yaml", yaml).unwrap_err();
    let expected = "\
error: there is no step `buidl`
 --> cullet.yaml:5:32
  |
5 |   test: { run: x, inputs: { i: buidl.a } }
  |                                ^^^^^^^
  |
  = help: did you mean `build`?

error: the key `build` is here twice
 --> cullet.yaml:6:3
  |
3 |   build: { run: x, outputs: { a: out } }
  |   ----- first here
...
6 |   build: { run: y }
  |   ^^^^^

";
    assert_eq!(problems.render(false), expected);
    assert!(problems.render(true).contains("\u{1b}["));
}

#[test]
fn long_lines_are_cut_and_control_characters_replaced() {
    let yaml =
        format!("cullet: 1\nsteps: {{ s: {{ run: x, env: {{ A: {}, B: 5 }} }} }}\n", "y".repeat(100_000));
    let shown = load("f", &yaml).unwrap_err().render(false);
    assert!(shown.len() < 2_000, "{} bytes", shown.len());
    assert!(shown.contains("quote it: \"5\""));
    let shown = load("f", "cullet: 1\nsteps: { \"a\\e[31m\": { run: x } }\n").unwrap_err().render(false);
    assert!(!shown.contains('\u{1b}'), "{shown}");
}

#[test]
fn json_has_everything() {
    let problems =
        load("f", "cullet: 1\nsteps: { a: { run: x, tiemout: 1m }, a: { run: x } }\n").unwrap_err();
    assert_eq!(
        problems.to_json(),
        serde_json::json!({
            "file": "f",
            "diagnostics": [
                {
                    "severity": "error", "line": 2, "column": 23, "message": "unknown key `tiemout`",
                    "suggestion": "did you mean `timeout`?",
                },
                {
                    "severity": "error", "line": 2, "column": 38, "message": "the key `a` is here twice",
                    "labels": [{ "line": 2, "column": 10, "text": "first here" }],
                },
            ],
            "omitted": 0,
        })
    );
}

const YAML: &str = "cullet: 1\nsources: { src: . }\nsteps:\n  lint: { run: x }\n  \
    build: { inputs: { .: src }, run: x, outputs: { bin: b } }\n  \
    test: { needs: [lint], inputs: { b: build.bin }, matrix: { n: [1, 2] }, run: x, if: matrix.n == 1 }\n\
    outputs: { app: build.bin }\n";

#[test]
fn text() {
    let expected = "\
pipeline: 4 steps
test[n=1]
  build.bin <- src
  lint (order only)
test[n=2] [skipped: `if` is false: matrix.n == 1]
  build.bin
  lint (order only)
";
    assert_eq!(graph::text(&plan(YAML, &[], &[])), expected);
}

#[test]
fn dot_and_mermaid() {
    let plan = plan(YAML, &[], &["test[n=2]"]);
    let expected = "\
digraph \"pipeline\" {
  rankdir=LR;
  node [shape=box];
  source0 [label=\"src\", shape=folder];
  step0 [label=\"lint\"];
  step1 [label=\"build\"];
  step2 [label=\"test[n=2]\", style=dashed];
  source0 -> step1;
  step1 -> step2 [label=\"bin\"];
  step0 -> step2 [style=dashed];
}
";
    assert_eq!(graph::dot(&plan), expected);
    let expected = "\
flowchart LR
  source0[/\"src\"/]
  step0[\"lint\"]
  step1[\"build\"]
  step2[\"test[n=2]\"]
  source0 --> step1
  step1 -->|bin| step2
  step0 -.-> step2
";
    assert_eq!(graph::mermaid(&plan), expected);
}

#[test]
fn json() {
    let graph: serde_json::Value =
        serde_json::from_str(&graph::json(&plan(YAML, &[], &["test[n=1]"]))).unwrap();
    assert_eq!(graph["outputs"], serde_json::json!([{ "path": "app", "step": "build", "output": "bin" }]));
    assert_eq!(
        graph["steps"][2],
        serde_json::json!({
            "name": "test[n=1]", "line": 6, "sources": [], "outputs": [],
            "after": [{ "step": "build", "output": "bin" }, { "step": "lint" }],
        })
    );
}

#[test]
fn a_long_chain_is_drawn_in_pieces() {
    let mut yaml = "cullet: 1\nsteps:\n  s0: { run: x }\n".to_owned();
    (1..2000).for_each(|i| yaml.push_str(&format!("  s{i}: {{ run: x, needs: [s{}] }}\n", i - 1)));
    let text = graph::text(&plan(&yaml, &[], &[]));
    assert!(text.lines().all(|line| line.len() < 100));
    assert!(text.len() < 200_000);
    assert!(text.contains("s0 (order only)"));
}
