//! Where in a string of which form a mistake in an expression is.

use crate::support::check;

#[test]
fn in_a_literal_block() {
    check(
        r#"cullet: 1
steps:
  s:
    run: |
      echo one

        echo ${{ params.a }}
      echo ${{ params.b }}
"#,
        r#"7:25: error: there is no parameter `a`
8:23: error: there is no parameter `b`
"#,
    );
}

#[test]
fn in_a_folded_block() {
    check(
        r#"cullet: 1
steps:
  s:
    run: >-
      echo one
      echo ${{ params.a }}
"#,
        r#"6:23: error: there is no parameter `a`
"#,
    );
}

#[test]
fn after_escapes() {
    check(
        r#"cullet: 1
steps:
  s: { run: "\t\u00e9 \"q\" ${{ params.a }}" }
"#,
        r#"3:40: error: there is no parameter `a`
"#,
    );
}

#[test]
fn after_doubled_quotes() {
    check(
        r#"cullet: 1
steps:
  s: { run: 'it''s ${{ params.a }}' }
"#,
        r#"3:31: error: there is no parameter `a`
"#,
    );
}

#[test]
fn in_a_wrapped_string() {
    check(
        r#"cullet: 1
steps:
  s:
    run: "echo a
      b ${{ params.a }}"
"#,
        r#"5:20: error: there is no parameter `a`
"#,
    );
}

#[test]
fn after_an_anchor() {
    check(
        r#"cullet: 1
steps:
  s:
    run: &r echo ${{ params.a }}
"#,
        r#"4:29: error: there is no parameter `a`
"#,
    );
}

#[test]
fn after_wide_characters() {
    check(
        r#"cullet: 1
steps:
  s: { run: "äöü 漢字 ${{ params.a }}" }
"#,
        r#"3:32: error: there is no parameter `a`
"#,
    );
}

#[test]
fn in_a_key() {
    check(
        r#"cullet: 1
sources: { src: . }
steps:
  s: { run: x, inputs: { "${{ params.a }}": src } }
"#,
        r#"4:38: error: there is no parameter `a`
"#,
    );
}

#[test]
fn value_that_is_no_path() {
    check(
        r#"cullet: 1
params: { p: /abs }
steps:
  s: { run: x, outputs: { o: "${{ params.p }}" } }
"#,
        r#"4:30: error: `/abs` is absolute; this path must be relative; write `abs`
"#,
    );
}

#[test]
fn condition_type() {
    check(
        r#"cullet: 1
params: { profile: release, n: 3, b: true }
steps:
  s:
    run: ${{ params.profile }} ${{ params.n }} ${{ params.b }}
    if: params.n
"#,
        r#"6:9: error: an `if` must be true or false; it is a number; compare it, as in `params.profile == 'release'`
"#,
    );
}

#[test]
fn condition_text() {
    check(
        r#"cullet: 1
params: { profile: release, n: 3, b: true }
steps:
  s:
    run: ${{ params.profile }} ${{ params.n }} ${{ params.b }}
    if: ${{ params.b }} && true
"#,
        r#"6:24: error: an `if` is one expression; nothing may follow its `}}`; write all of it inside of one `${{ }}`
"#,
    );
}

#[test]
fn condition_syntax() {
    check(
        r#"cullet: 1
params: { profile: release, n: 3, b: true }
steps:
  s:
    run: ${{ params.profile }} ${{ params.n }} ${{ params.b }}
    if: params.b &&
"#,
        r#"6:20: error: a value is missing here
"#,
    );
}

#[test]
fn condition_number() {
    check(
        r#"cullet: 1
params: { profile: release, n: 3, b: true }
steps:
  s:
    run: ${{ params.profile }} ${{ params.n }} ${{ params.b }}
    if: 5
"#,
        r#"6:9: error: expected a condition, found a number; write an expression such as `params.profile == 'release'`
"#,
    );
}

#[test]
fn condition_name() {
    check(
        r#"cullet: 1
params: { profile: release, n: 3, b: true }
steps:
  s:
    run: ${{ params.profile }} ${{ params.n }} ${{ params.b }}
    if: params.profil == "x"
"#,
        r#"6:16: error: there is no parameter `profil`; did you mean `profile`?
"#,
    );
}

#[test]
fn condition_stray_end() {
    check(
        r#"cullet: 1
params: { profile: release, n: 3, b: true }
steps:
  s:
    run: ${{ params.profile }} ${{ params.n }} ${{ params.b }}
    if: params.b }}
"#,
        r#"6:18: error: `}}` closes nothing
"#,
    );
}

#[test]
fn unquoted_in_a_flow_map() {
    check(
        "cullet: 1\nsteps: { s: { run: echo ${{ params.a }} } }\n",
        "2:26: error: this is not valid YAML: while parsing a flow mapping, did not find expected ',' or '}'; \
         inside of { } and [ ], put a string with `${{ }}` in quotes\n",
    );
}
