//! References between steps, sources and outputs.

use crate::support::check;

#[test]
fn unknown_source() {
    check(
        r#"cullet: 1
sources: { src: . }
steps:
  build: { inputs: { .: src }, run: x, outputs: { bin: out/app, doc: docs } }
  test:
    run: x
    matrix: { shard: [1, 2], os: [linux, mac] }
    outputs: { report: r.xml }
  s:
    run: x
    inputs: { a: scr }
"#,
        r#"11:18: error: there is no source `scr`; did you mean `src`?
"#,
    );
}

#[test]
fn unknown_everything() {
    check(
        r#"cullet: 1
sources: { src: . }
steps:
  build: { inputs: { .: src }, run: x, outputs: { bin: out/app, doc: docs } }
  test:
    run: x
    matrix: { shard: [1, 2], os: [linux, mac] }
    outputs: { report: r.xml }
  s:
    run: x
    inputs: { a: zzzzzz, b: yyyyyy.out }
"#,
        r#"11:18: error: there is no source `zzzzzz`; the sources are `src`
11:29: error: there is no step `yyyyyy`
"#,
    );
}

#[test]
fn unknown_step() {
    check(
        r#"cullet: 1
sources: { src: . }
steps:
  build: { inputs: { .: src }, run: x, outputs: { bin: out/app, doc: docs } }
  test:
    run: x
    matrix: { shard: [1, 2], os: [linux, mac] }
    outputs: { report: r.xml }
  s:
    run: x
    inputs: { a: biuld.bin }
"#,
        r#"11:18: error: there is no step `biuld`; did you mean `build`?
"#,
    );
}

#[test]
fn unknown_output() {
    check(
        r#"cullet: 1
sources: { src: . }
steps:
  build: { inputs: { .: src }, run: x, outputs: { bin: out/app, doc: docs } }
  test:
    run: x
    matrix: { shard: [1, 2], os: [linux, mac] }
    outputs: { report: r.xml }
  s:
    run: x
    inputs: { a: build.bni }
"#,
        r#"11:18: error: the step `build` has no output `bni`; did you mean `bin`?
"#,
    );
}

#[test]
fn output_of_step_without_any() {
    check(
        r#"cullet: 1
sources: { src: . }
steps:
  build: { inputs: { .: src }, run: x, outputs: { bin: out/app, doc: docs } }
  test:
    run: x
    matrix: { shard: [1, 2], os: [linux, mac] }
    outputs: { report: r.xml }
  s:
    run: x
    inputs: { a: s2.x }
  s2: { run: x }
"#,
        r#"11:18: error: the step `s2` has no output `x`; `s2` has no outputs; declare it there
"#,
    );
}

#[test]
fn step_instead_of_output() {
    check(
        r#"cullet: 1
sources: { src: . }
steps:
  build: { inputs: { .: src }, run: x, outputs: { bin: out/app, doc: docs } }
  test:
    run: x
    matrix: { shard: [1, 2], os: [linux, mac] }
    outputs: { report: r.xml }
  s:
    run: x
    inputs: { a: build }
"#,
        r#"11:18: error: there is no source `build`; `build` is a step; name its output, as in `build.bin`
"#,
    );
}

#[test]
fn malformed() {
    check(
        r#"cullet: 1
sources: { src: . }
steps:
  build: { inputs: { .: src }, run: x, outputs: { bin: out/app, doc: docs } }
  test:
    run: x
    matrix: { shard: [1, 2], os: [linux, mac] }
    outputs: { report: r.xml }
  s:
    run: x
    inputs: { a: "", b: .x, c: "a b", d: "build.", e: "test[shard=1].report.x", f: "test[shard=1", g: "test[shard=1]" }
"#,
        r#"11:18: error: `` is not an input such as `src`, `src:tests` or `build.bin`
11:25: error: `.x` is not an input; write SRC, SRC:SUBDIR, STEP.OUTPUT or STEP[AXIS=VALUE].OUTPUT
11:32: error: `a b` is not an input; write SRC, SRC:SUBDIR, STEP.OUTPUT or STEP[AXIS=VALUE].OUTPUT
11:42: error: `build.` is not an input; write SRC, SRC:SUBDIR, STEP.OUTPUT or STEP[AXIS=VALUE].OUTPUT
11:55: error: `test[shard=1].report.x` is not an input; write SRC, SRC:SUBDIR, STEP.OUTPUT or STEP[AXIS=VALUE].OUTPUT
11:84: error: `[` is not closed in `test[shard=1`; write it as `test[shard=2]`
11:103: error: `test[shard=1]` names no output; add the output's name, as in `test[shard=1].report`
"#,
    );
}

#[test]
fn part_of_an_output() {
    check(
        r#"cullet: 1
sources: { src: . }
steps:
  build: { inputs: { .: src }, run: x, outputs: { bin: out/app, doc: docs } }
  test:
    run: x
    matrix: { shard: [1, 2], os: [linux, mac] }
    outputs: { report: r.xml }
  s:
    run: x
    inputs: { a: "build.doc:html" }
"#,
        r#"11:18: error: an output cannot be taken in part; take `build.doc`, or make the part an output of its own
"#,
    );
}

#[test]
fn subdir_that_escapes() {
    check(
        r#"cullet: 1
sources: { src: . }
steps:
  build: { inputs: { .: src }, run: x, outputs: { bin: out/app, doc: docs } }
  test:
    run: x
    matrix: { shard: [1, 2], os: [linux, mac] }
    outputs: { report: r.xml }
  s:
    run: x
    inputs: { a: "src:../x", b: "src:/x", c: "src:" }
"#,
        r#"11:18: error: `../x` leaves the directory it is in; use no `..`
11:33: error: `/x` is absolute; this path must be relative; write `x`
11:46: error: the path is empty; write `.` for the directory itself
"#,
    );
}

#[test]
fn itself() {
    check(
        r#"cullet: 1
sources: { src: . }
steps:
  build: { inputs: { .: src }, run: x, outputs: { bin: out/app, doc: docs } }
  test:
    run: x
    matrix: { shard: [1, 2], os: [linux, mac] }
    outputs: { report: r.xml }
  s:
    run: x
    inputs: { a: s.o }
    outputs: { o: o }
    needs: [s]
"#,
        r#"11:18: error: the step `s` cannot need itself
13:13: error: the step `s` cannot need itself
"#,
    );
}
