//! What a step takes, leaves and may do: resources, retries, flags, outputs.

use crate::support::check;

#[test]
fn resources() {
    check(
        r#"cullet: 1
steps:
  s:
    run: x
    resources: { cpu: 0, memory: 2G, gpu: 1 }
"#,
        r#"5:23: error: `0` processors cannot run anything; write it as 2, 0.5 or 500m
5:34: error: `2G` is not a size; did you mean `2GiB`?
5:38: error: unknown key `gpu`; did you mean `cpu`?
"#,
    );
}

#[test]
fn resources_types() {
    check(
        r#"cullet: 1
steps:
  s:
    run: x
    resources: { cpu: [1], memory: 1024 }
"#,
        r#"5:23: error: expected a number of processors such as 2, 0.5 or 500m, found a list
5:36: error: expected a size such as 512MiB or 2GiB, found a number; say the unit: `1024B` or `1024MiB`
"#,
    );
}

#[test]
fn limits() {
    check(
        r#"cullet: 1
steps:
  s:
    run: x
    resources: { memory: 2GiB }
    limits: { cpu: -1, memory: 1GiB, processes: 5000, disk: 7, output: much, log: [] }
"#,
        r#"6:20: error: `-1` is not a number of processors; write it as 2, 0.5 or 500m
6:32: error: it may take less memory than `resources` keeps free for it; raise one or lower the other
6:49: error: `5000` is not a number from 1 to 4096
6:61: error: expected a size such as 512MiB or 2GiB, found a number; say the unit: `7B` or `7MiB`
6:72: error: `much` is not a size; write it as 512MiB, 2GiB or 1.5GB
6:83: error: expected a size such as 512MiB or 2GiB, found a list
"#,
    );
}

#[test]
fn resources_not_a_map() {
    check(
        r#"cullet: 1
steps:
  s:
    run: x
    resources: 2
"#,
        r#"5:16: error: expected a map, found a number; its keys are cpu, memory
"#,
    );
}

#[test]
fn network() {
    check(
        r#"cullet: 1
steps:
  s:
    run: x
    network: nnone
"#,
        r#"5:14: error: `nnone` is no kind of network; it is `none` or `full`
"#,
    );
}

#[test]
fn network_type() {
    check(
        r#"cullet: 1
steps:
  s:
    run: x
    network: true
"#,
        r#"5:14: error: expected `none` or `full`, found a boolean
"#,
    );
}

#[test]
fn retries() {
    check(
        r#"cullet: 1
steps:
  s:
    run: x
    retries: 11
"#,
        r#"5:14: error: `11` is not a number from 0 to 10
"#,
    );
}

#[test]
fn retries_map() {
    check(
        r#"cullet: 1
steps:
  s:
    run: x
    retries: { failure: -1, infra: many, other: 1 }
"#,
        r#"5:25: error: `-1` is not a number from 0 to 10
5:36: error: `many` is not a number from 0 to 10
5:42: error: unknown key `other`; the keys here are failure, infra
"#,
    );
}

#[test]
fn retries_bool() {
    check(
        r#"cullet: 1
steps:
  s:
    run: x
    retries: true
"#,
        r#"5:14: error: expected a number or a map, found a boolean; write `retries: 1`
"#,
    );
}

#[test]
fn flags() {
    check(
        r#"cullet: 1
steps:
  s:
    run: x
    effects: yes
    allow_failure: 1
"#,
        r#"5:14: error: `yes` is neither true nor false; YAML 1.2 has no yes, no, on and off
6:20: error: expected true or false, found a number
"#,
    );
}

#[test]
fn effects_with_retries_and_outputs() {
    check(
        r#"cullet: 1
steps:
  s:
    run: x
    effects: true
    retries: 1
    outputs: { a: a }
"#,
        r#"6:5: error: a step with `effects: true` is never started twice on its own; leave `retries` out
7:5: warning: outputs of a step with `effects: true` are never cached; make them in a step of their own, without `effects`
"#,
    );
}

#[test]
fn outputs_at_one_path() {
    check(
        r#"cullet: 1
steps:
  s:
    run: x
    outputs: { a: out, b: ./out/, c: out/x, d: outer }
"#,
        r#"5:27: error: two outputs are at `out`
5:38: error: the output at `out/x` is inside of another one at `out`
"#,
    );
}

#[test]
fn outputs_of_wrong_form() {
    check(
        r#"cullet: 1
steps:
  s:
    run: x
    outputs: { a: /abs, b: ../up, c: a//b, d: "", e: ., f: [], g: { path: x }, "h.i": x, j: "a[" , k: ["*.o", "*.o"], l: "../*", m: "/a/*" }
"#,
        r#"5:19: error: `/abs` is absolute; this path must be relative; write `abs`
5:28: error: `../up` leaves the directory it is in; use no `..`
5:38: error: `a//b` has an empty part in it; write one `/` at a time
5:47: error: the path is empty; write `.` for the directory itself
5:54: error: the whole workspace is no output; name a file or a directory in it, or write `**` for all of it
5:57: error: the output `f` is empty
5:67: error: expected a path or a glob, found a map
5:80: error: `h.i` cannot be the name of an output; use letters, digits, `_` and `-`
5:93: error: `a[` is not a valid glob: unclosed character class; missing ']'
5:111: error: the glob `*.o` is here twice
5:122: error: `../*` leaves the directory it is in; use no `..`
5:133: error: `/a/*` is absolute; this path must be relative; write `a/*`
"#,
    );
}

#[test]
fn reports() {
    check(
        r#"cullet: 1
steps:
  s:
    run: x
    reports: { junt: x, junit: /abs }
"#,
        r#"5:16: error: unknown key `junt`; did you mean `junit`?
5:32: error: `/abs` is absolute; this path must be relative; write `abs`
"#,
    );
}
