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
        r#"1:1: error: expected a map, found a string; its keys are cullet, name, params, images, sources, source_date_epoch, platform, steps, outputs
"#,
    );
}

#[test]
fn a_list() {
    check(
        r#"- a"#,
        r#"1:1: error: expected a map, found a list; its keys are cullet, name, params, images, sources, source_date_epoch, platform, steps, outputs
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
        r#"2:13: error: expected a map, found a string; its keys are image, from, inputs, run, env, caches, outputs, resources, limits, timeout, needs, matrix, network, services, secrets, reports, retries, if, effects, allow_failure
"#,
    );
}

#[test]
fn a_platform_that_images_call_otherwise() {
    check(
        r#"cullet: 1
platform: linux/x86_64
steps: { a: { run: x } }"#,
        r#"2:11: error: `linux/x86_64` is not a platform; images call this architecture amd64, as in linux/amd64
"#,
    );
}
