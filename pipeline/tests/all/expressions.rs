//! Expressions, and where in a string a mistake is.

use crate::support::check;

#[test]
fn unknown_param() {
    check(
        r#"cullet: 1
params: { profile: release, n: 3, b: true }
steps:
  s:
    run: a ${{ params.profil }} ${{ params.profile }} ${{ params.n }} ${{ params.b }}
"#,
        r#"5:23: error: there is no parameter `profil`; did you mean `profile`?
"#,
    );
}

#[test]
fn unknown_root() {
    check(
        r#"cullet: 1
params: { profile: release, n: 3, b: true }
steps:
  s:
    run: ${{ parms.profile }} ${{ env.X }} ${{ params }} ${{ params.profile }} ${{ params.n }} ${{ params.b }}
"#,
        r#"5:20: error: `parms` is neither `params` nor `matrix`; did you mean `params`?
5:39: error: `env` is neither `params` nor `matrix`; strings are written in quotes: 'text'
5:48: error: this names no parameter; write `params.NAME`
"#,
    );
}

#[test]
fn not_closed() {
    check(
        r#"cullet: 1
steps:
  s: { run: "a ${{ params.x" }
"#,
        r#"3:16: error: `${{` is not closed with `}}`; write `$${{` for the characters themselves
"#,
    );
}

#[test]
fn closed_inside_of_a_string() {
    check(
        r#"cullet: 1
steps:
  s: { run: "a ${{ '}}" }
"#,
        r#"3:20: error: this string is not closed with '
"#,
    );
}

#[test]
fn empty() {
    check(
        r#"cullet: 1
params: { profile: release, n: 3, b: true }
steps:
  s:
    run: a ${{ }} ${{ params.profile }} ${{ params.n }} ${{ params.b }}
"#,
        r#"5:16: error: a value is missing here
"#,
    );
}

#[test]
fn two_mistakes_in_one_string() {
    check(
        r#"cullet: 1
params: { profile: release, n: 3, b: true }
steps:
  s:
    run: ${{ params.x }} ${{ params.y }} ${{ params.profile }} ${{ params.n }} ${{ params.b }}
"#,
        r#"5:21: error: there is no parameter `x`
5:37: error: there is no parameter `y`
"#,
    );
}

#[test]
fn operators() {
    check(
        r#"cullet: 1
params: { profile: release, n: 3, b: true }
steps:
  s:
    run: ${{ params.n = 3 }} ${{ params.b & true }} ${{ 1 < 2 }} ${{ params.n + 1 }} ${{ params.profile }} ${{ params.n }} ${{ params.b }}
"#,
        r#"5:23: error: `=` has no meaning in an expression; `==` compares
5:43: error: `&` has no meaning in an expression; `&&` and `||` combine conditions
5:59: error: `<` has no meaning in an expression; there are names, strings, numbers, ==, !=, &&, ||, ! and parentheses
5:79: error: `+` has no meaning in an expression; there are names, strings, numbers, ==, !=, &&, ||, ! and parentheses
"#,
    );
}

#[test]
fn trailing() {
    check(
        r#"cullet: 1
params: { profile: release, n: 3, b: true }
steps:
  s:
    run: ${{ params.n params.b }} ${{ params.profile }} ${{ params.n }} ${{ params.b }}
"#,
        r#"5:23: error: `params.b` is not expected here
"#,
    );
}

#[test]
fn missing_operand() {
    check(
        r#"cullet: 1
params: { profile: release, n: 3, b: true }
steps:
  s:
    run: ${{ params.n == }} ${{ params.profile }} ${{ params.n }} ${{ params.b }}
"#,
        r#"5:26: error: a value is missing here
"#,
    );
}

#[test]
fn parenthesis() {
    check(
        r#"cullet: 1
params: { profile: release, n: 3, b: true }
steps:
  s:
    run: ${{ (params.b }} ${{ params.profile }} ${{ params.n }} ${{ params.b }}
"#,
        r#"5:14: error: this parenthesis is not closed
"#,
    );
}

#[test]
fn bad_number() {
    check(
        r#"cullet: 1
params: { profile: release, n: 3, b: true }
steps:
  s:
    run: ${{ 1x }} ${{ params.profile }} ${{ params.n }} ${{ params.b }}
"#,
        r#"5:14: error: `1x` is not a number
"#,
    );
}

#[test]
fn types() {
    check(
        r#"cullet: 1
params: { profile: release, n: 3, b: true }
steps:
  s:
    run: ${{ params.n == '3' }} ${{ !params.n }} ${{ params.b && params.profile }} ${{ params.profile }} ${{ params.n }} ${{ params.b }}
"#,
        r#"5:23: error: a number is never equal to a string; quote both sides or neither
5:38: error: this must be true or false; it is a number; compare it, as in `params.profile == 'release'`
5:66: error: this must be true or false; it is a string; compare it, as in `params.profile == 'release'`
"#,
    );
}
