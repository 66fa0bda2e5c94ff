//! Inputs and needs: paths, collisions, selectors, circles.

use crate::support::check;

#[test]
fn colliding_inputs() {
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
    inputs: { a/b: src, ./a//b: src, ./a/b/: build.bin, a: src }
"#,
        r#"11:25: error: `./a//b` has an empty part in it; write one `/` at a time
11:38: error: two inputs are at `a/b`
"#,
    );
}

#[test]
fn bad_paths() {
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
    inputs: { /workspace/a: src, /b: src, ../c: src, d//e: src }
"#,
        r#"11:15: error: `/workspace/a` is absolute; this path must be relative; write `a`
11:34: error: `/b` is absolute; this path must be relative; write `b`
11:43: error: `../c` leaves the directory it is in; use no `..`
11:54: error: `d//e` has an empty part in it; write one `/` at a time
"#,
    );
}

#[test]
fn collision_with_matrix_directory() {
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
    inputs: { r: test.report, "r/shard=1,os=linux": src }
"#,
        r#"11:31: error: two inputs are at `r/shard=1,os=linux`
"#,
    );
}

#[test]
fn needs_form() {
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
    needs: build
"#,
        r#"11:12: error: expected a list, found a string; write `[build]`
"#,
    );
}

#[test]
fn needs_unknown_and_twice() {
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
    needs: [biuld, test, test, build.bin, 5]
"#,
        r#"11:13: error: there is no step `biuld`; did you mean `build`?
11:26: error: `test` is needed twice
11:32: error: `build.bin` is not the name of a step; name the step alone: `build`
11:43: error: there is no step `5`
"#,
    );
}

#[test]
fn matrix_selectors() {
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
    inputs: { a: "test[shrad=1].report", b: "test[shard=3].report", c: "build[x=1].bin", d: "test[shard=1,shard=1].report" }
"#,
        r#"11:18: error: the matrix has no `shrad`; did you mean `shard`?
11:45: error: no instance of `test` has shard=3; there are `shard=1,os=linux`, `shard=1,os=mac`, `shard=2,os=linux`, `shard=2,os=mac`
11:72: error: the step `build` has no matrix; write `build`
11:93: error: `shard` is given twice
"#,
    );
}

#[test]
fn two_circles() {
    check(
        r#"cullet: 1
steps:
  a: { needs: [b], run: x }
  b: { needs: [c], run: x }
  c: { needs: [a], run: x }
  d: { needs: [e, a], run: x }
  e: { needs: [d], run: x }
"#,
        r#"3:3: error: steps need each other in a circle: a → b → c → a; take one of these inputs or needs away
6:3: error: steps need each other in a circle: d → e → d; take one of these inputs or needs away
"#,
    );
}

#[test]
fn circle_through_outputs() {
    check(
        r#"cullet: 1
steps:
  a: { inputs: { b: b.o }, run: x, outputs: { o: o } }
  b: { needs: [a], run: x, outputs: { o: o } }
"#,
        r#"3:3: error: steps need each other in a circle: a → b → a; take one of these inputs or needs away
"#,
    );
}
