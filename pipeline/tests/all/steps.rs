//! The keys of a step.

use crate::support::check;

#[test]
fn missing_run() {
    check(
        r#"cullet: 1
steps: { a: { env: {} } }"#,
        r#"2:13: error: the key `run` is missing
"#,
    );
}

#[test]
fn unknown_key() {
    check(
        r#"cullet: 1
steps:
  s:
    run: x
    tiemout: 1m
"#,
        r#"5:5: error: unknown key `tiemout`; did you mean `timeout`?
"#,
    );
}

#[test]
fn unknown_key_without_suggestion() {
    check(
        r#"cullet: 1
steps:
  s:
    run: x
    colour: red
"#,
        r#"5:5: error: unknown key `colour`; the keys here are image, from, inputs, run, env, caches, outputs, resources, limits, timeout, needs, matrix, network, services, secrets, reports, retries, if, effects, allow_failure
"#,
    );
}

#[test]
fn empty_script() {
    check(
        r#"cullet: 1
steps: { a: { run: "  " } }"#,
        r#"2:20: error: there is nothing to run
"#,
    );
}

#[test]
fn empty_arguments() {
    check(
        r#"cullet: 1
steps: { a: { run: [] } }"#,
        r#"2:20: error: there is no program to run
"#,
    );
}

#[test]
fn empty_program() {
    check(
        r#"cullet: 1
steps: { a: { run: ["", b] } }"#,
        r#"2:20: error: there is no program to run
"#,
    );
}

#[test]
fn run_of_wrong_type() {
    check(
        r#"cullet: 1
steps: { a: { run: 5 } }"#,
        r#"2:20: error: expected a script or a list of arguments, found a number
"#,
    );
}

#[test]
fn null_argument() {
    check(
        r#"cullet: 1
steps: { a: { run: [x, ~] } }"#,
        r#"2:24: error: expected a string, found nothing
"#,
    );
}

#[test]
fn nul_in_script() {
    check(
        r#"cullet: 1
steps: { a: { run: "a\0b" } }"#,
        r#"2:20: error: a NUL character cannot be passed to a program
"#,
    );
}

#[test]
fn env_of_other_types() {
    check(
        r#"cullet: 1
steps:
  s:
    run: x
    env: { A: 1, B: true, C: 1.10, D: ~, E: [x], "F=": x, "": x }
"#,
        r#"5:15: error: expected a string, found a number; quote it: "1"
5:21: error: expected a string, found a boolean; quote it: "true"
5:30: error: expected a string, found a number; quote it: "1.10"
5:39: error: expected a string, found nothing
5:45: error: expected a string, found a list
5:50: error: `F=` cannot be the name of a variable; it may not be empty nor contain `=`
5:59: error: `` cannot be the name of a variable; it may not be empty nor contain `=`
"#,
    );
}

#[test]
fn env_as_list() {
    check(
        r#"cullet: 1
steps:
  s:
    run: x
    env: [A=b]
"#,
        r#"5:10: error: expected a map, found a list
"#,
    );
}

#[test]
fn timeouts() {
    check(
        r#"cullet: 1
steps:
  s:
    run: x
    timeout: 90
"#,
        r#"5:14: error: expected a duration such as 90s, 10m or 1h30m, found a number; say the unit: `90s` or `90m`
"#,
    );
}

#[test]
fn timeout_zero() {
    check(
        r#"cullet: 1
steps:
  s:
    run: x
    timeout: 0s
"#,
        r#"5:14: error: `0s` leaves no time at all; write it as 90s, 10m, 1h30m or 500ms
"#,
    );
}

#[test]
fn timeout_words() {
    check(
        r#"cullet: 1
steps:
  s:
    run: x
    timeout: 5 minutes
"#,
        r#"5:14: error: `5 minutes` is not a duration; write it as 90s, 10m, 1h30m or 500ms
"#,
    );
}

#[test]
fn timeout_too_long() {
    check(
        r#"cullet: 1
steps:
  s:
    run: x
    timeout: 31d
"#,
        r#"5:14: error: `31d` is longer than 30d; write it as 90s, 10m, 1h30m or 500ms
"#,
    );
}

#[test]
fn timeout_order() {
    check(
        r#"cullet: 1
steps:
  s:
    run: x
    timeout: 30m1h
"#,
        r#"5:14: error: `30m1h` is not a duration; write it as 90s, 10m, 1h30m or 500ms
"#,
    );
}
