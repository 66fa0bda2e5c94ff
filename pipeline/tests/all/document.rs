//! The file itself: YAML, top-level keys, definitions.

use crate::support::check;

#[test]
fn empty_file() {
    check(
        r#""#,
        r#"1:1: error: the file is empty; a pipeline begins with `cullet: 1`
"#,
    );
}

#[test]
fn only_a_comment() {
    check(
        r#"# nothing
"#,
        r#"1:1: error: the file is empty; a pipeline begins with `cullet: 1`
"#,
    );
}

#[test]
fn a_scalar() {
    check(
        r#"hello"#,
        r#"1:1: error: expected a map, found a string; its keys are cullet, name, params, images, sources, steps, outputs
"#,
    );
}

#[test]
fn a_list() {
    check(
        r#"- a"#,
        r#"1:1: error: expected a map, found a list; its keys are cullet, name, params, images, sources, steps, outputs
"#,
    );
}

#[test]
fn no_version() {
    check(
        r#"steps: { a: { run: x } }"#,
        r#"1:1: error: the key `cullet` is missing
"#,
    );
}

#[test]
fn other_version() {
    check(
        r#"cullet: 2
future: { is: here }"#,
        r#"1:9: error: this Cullet does not know version `2` of the language; write `cullet: 1`, or use a newer Cullet
"#,
    );
}

#[test]
fn version_of_another_type() {
    check(
        r#"cullet: [1]
steps: {}"#,
        r#"1:9: error: expected the version of the language, found a list; write `cullet: 1`
"#,
    );
}

#[test]
fn no_steps() {
    check(
        r#"cullet: 1"#,
        r#"1:1: error: the key `steps` is missing
"#,
    );
}

#[test]
fn empty_steps() {
    check(
        r#"cullet: 1
steps: {}"#,
        r#"2:1: error: a pipeline needs at least one step
"#,
    );
}

#[test]
fn steps_without_value() {
    check(
        r#"cullet: 1
steps:
"#,
        r#"2:6: error: expected a map, found nothing
"#,
    );
}

#[test]
fn unknown_top_key() {
    check(
        r#"cullet: 1
stpes: {}
steps: { a: { run: x } }"#,
        r#"2:1: error: unknown key `stpes`; did you mean `steps`?
"#,
    );
}

#[test]
fn merge_key() {
    check(
        r#"cullet: 1
<<: {}
steps: { a: { run: x } }"#,
        r#"2:1: error: unknown key `<<`; merge keys are not part of YAML 1.2
"#,
    );
}

#[test]
fn second_document() {
    check(
        r#"cullet: 1
steps: { a: { run: x } }
---
more: 1
"#,
        r#"3:1: error: a second YAML document begins here; a pipeline is one document; put the other one into a file of its own
"#,
    );
}

#[test]
fn duplicate_keys() {
    check(
        r#"cullet: 1
steps:
  a: { run: x }
  b: { run: x }
  a: { run: y }
"#,
        r#"5:3: error: the key `a` is here twice
"#,
    );
}

#[test]
fn key_that_is_a_list() {
    check(
        r#"cullet: 1
? [a, b]
: c
steps: { a: { run: x } }"#,
        r#"2:3: error: a key must be a string; this is a list
"#,
    );
}

#[test]
fn tab_indentation() {
    check(
        r#"cullet: 1
steps:
	a: { run: x }
"#,
        r#"3:2: error: this is not valid YAML: tabs disallowed within this context (block indentation); indent with spaces; YAML does not allow tabs there
"#,
    );
}

#[test]
fn unclosed_flow() {
    check(
        r#"cullet: 1
steps: { a: { run: x }
"#,
        r#"3:1: error: this is not valid YAML: while parsing a flow mapping, did not find expected ',' or '}'
"#,
    );
}

#[test]
fn unknown_anchor() {
    check(
        r#"cullet: 1
steps: { a: *nope }"#,
        r#"2:13: error: this is not valid YAML: while parsing node, found unknown anchor
"#,
    );
}

#[test]
fn alias_inside_itself() {
    check(
        r#"cullet: 1
steps: &s { a: *s }"#,
        r#"2:16: error: this alias stands inside of what it names
"#,
    );
}

#[test]
fn foreign_tag() {
    check(
        r#"cullet: 1
steps: { a: { run: !shell x } }"#,
        r#"2:20: error: the tag `!shell` does not fit this value; leave it out; the language uses no tags of its own
"#,
    );
}

#[test]
fn step_name_with_dot() {
    check(
        r#"cullet: 1
steps: { a.b: { run: x } }"#,
        r#"2:10: error: `a.b` cannot be the name of a step; use letters, digits, `_` and `-`
"#,
    );
}

#[test]
fn step_name_with_space() {
    check(
        r#"cullet: 1
steps: { "a b": { run: x } }"#,
        r#"2:10: error: `a b` cannot be the name of a step; use letters, digits, `_` and `-`
"#,
    );
}

#[test]
fn step_that_is_a_string() {
    check(
        r#"cullet: 1
steps: { a: make }"#,
        r#"2:13: error: expected a map, found a string; its keys are image, inputs, run, env, caches, outputs, resources, timeout, needs, matrix, network, services, secrets, reports, retries, if, effects, allow_failure
"#,
    );
}

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
steps: { a: { run: x } }
"#,
        r#"3:3: error: `host` always means the machine's own root; choose another name
4:6: error: the key `reference` is missing
5:6: error: `../x` leaves the directory it is in; use no `..`
6:6: error: `UPPER CASE` is not an image reference; write it as `registry.example/name:tag`, `oci-layout:DIR` or `docker-archive:FILE`
7:19: error: the reference has a digest and `digest` gives another
8:6: error: expected an image, found a number; quote it: "5"
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
