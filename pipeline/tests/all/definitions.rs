//! Top-level definitions: name, params, images, sources, outputs.

use crate::support::check;

#[test]
fn name_of_wrong_type() {
    check(
        r#"cullet: 1
name: 5
steps: { a: { run: x } }"#,
        r#"2:7: error: expected a name, found a number; quote it: "5"
"#,
    );
}

#[test]
fn params() {
    check(
        r#"cullet: 1
params:
  empty:
  bad: { default: x, values: [a, b] }
  mixed: { values: [1, a] }
  none: { values: [] }
  list: [1]
  typo: { defualt: 1 }
  expr: ${{ params.bad }}
  "sp ace": 1
steps: { a: { run: x } }
"#,
        r#"3:8: error: expected a default value, found nothing; write `""` for an empty string, or `{ description: … }` for no default
4:19: error: the default `x` is not among the values; they are `a`, `b`
5:24: error: this is a string, the first is a number; give all values one type
6:3: error: a parameter without any possible value
7:9: error: expected a string, a number or a boolean, found a list
8:11: error: unknown key `defualt`; did you mean `default`?
9:9: error: there can be no expression here
10:3: error: `sp ace` cannot be the name of a parameter; use letters, digits, `_` and `-`
"#,
    );
}

#[test]
fn images() {
    check(
        r#"cullet: 1
images:
  host: debian:12
  a: { digest: sha256:abc }
  b: "oci-layout:../x"
  c: "UPPER CASE"
  d: { reference: "a/b@sha256:00", digest: "sha256:0000000000000000000000000000000000000000000000000000000000000000" }
  e: 5
  f: { reference: "docker-archive:x.tar", digest: "sha256:0000000000000000000000000000000000000000000000000000000000000000" }
steps: { a: { run: x } }
"#,
        r#"3:3: error: `host` always means the machine's own root; choose another name
4:6: error: the key `reference` is missing
5:6: error: `../x` leaves the directory it is in; use no `..`
6:6: error: `UPPER CASE` is not an image reference; write it as `registry.example/name:tag`, `oci-layout:DIR` or `docker-archive:FILE`
7:19: error: the reference has a digest and `digest` gives another
8:6: error: expected an image, found a number; quote it: "5"
9:19: error: an archive has no digest that could be given here; leave out `digest`: `cullet lock` pins the archive
"#,
    );
}

#[test]
fn sources() {
    check(
        r#"cullet: 1
sources:
  a: /abs
  b: ../up
  c: { include: [x] }
  d: { path: ., exclude: docs/ }
  e: { path: ., include: ["a[", ""] }
  f: 5
steps: { a: { run: x } }
"#,
        r#"3:6: error: `/abs` is absolute; this path must be relative; write `abs`
4:6: error: `../up` leaves the directory it is in; use no `..`
5:6: error: the key `path` is missing
6:26: error: expected a list, found a string; write `[docs/]`
7:27: error: `a[` is not a valid glob: unclosed character class; missing ']'
7:33: error: the glob is empty; write `**` for everything
"#,
    );
}

#[test]
fn run_outputs() {
    check(
        r#"cullet: 1
steps: { a: { run: x, outputs: { o: o, p: p } } }
outputs: { x: a.o, ./x: a.p, x/y: a.o, ../z: a.o, /w: a.o, v: a, u: b.o, t: a.q, s: "a.o:sub" }
"#,
        r#"3:20: error: two outputs are at `x`
3:30: error: the output at `x/y` is inside of another one at `x`
3:40: error: `../z` leaves the directory it is in; use no `..`
3:51: error: `/w` is absolute; this path must be relative; write `w`
3:63: error: `a` is not an output of a step; write STEP.OUTPUT, as in `build.bin`
3:69: error: there is no step `b`
3:77: error: the step `a` has no output `q`; its outputs are `o`, `p`
3:85: error: an output cannot be taken in part; take `a.o`, or make the part an output of its own
"#,
    );
}

#[test]
fn run_output_that_is_everything() {
    check(
        r#"cullet: 1
steps: { a: { run: x, outputs: { o: o, p: p } } }
outputs: { .: a.o, b: a.p }
"#,
        r#"3:20: error: the output at `b` is inside of `.`
"#,
    );
}
