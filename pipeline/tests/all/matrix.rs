//! Matrices.

use crate::support::check;

#[test]
fn empty() {
    check(
        r#"cullet: 1
steps:
  s:
    run: x
    matrix: {}
"#,
        r#"5:13: error: the matrix is empty: no combination of values is left
"#,
    );
}

#[test]
fn empty_axis() {
    check(
        r#"cullet: 1
steps:
  s:
    run: x
    matrix: { a: [] }
"#,
        r#"5:15: error: the axis `a` has no values; leave it out, or give it values
"#,
    );
}

#[test]
fn not_a_map() {
    check(
        r#"cullet: 1
steps:
  s:
    run: x
    matrix: [1]
"#,
        r#"5:13: error: expected a map from names to lists of values, found a list
"#,
    );
}

#[test]
fn axis_not_a_list() {
    check(
        r#"cullet: 1
steps:
  s:
    run: x
    matrix: { a: 3 }
    run2: ${{ matrix.a }}
"#,
        r#"5:18: error: expected a list, found a number; write `[3]`
6:5: error: unknown key `run2`; did you mean `run`?
"#,
    );
}

#[test]
fn values_of_wrong_type() {
    check(
        r#"cullet: 1
steps:
  s:
    run: x
    matrix: { a: [[1], ~, { b: c }, 1] }
"#,
        r#"5:19: error: expected a string, a number or a boolean, found a list
5:24: error: expected a string, a number or a boolean, found nothing
5:27: error: expected a string, a number or a boolean, found a map
"#,
    );
}

#[test]
fn same_value_twice() {
    check(
        r#"cullet: 1
steps:
  s:
    run: x
    matrix: { a: [1, 2, 1] }
"#,
        r#"5:25: error: the combination a=1 is there twice
"#,
    );
}

#[test]
fn exclude() {
    check(
        r#"cullet: 1
steps:
  s:
    run: x
    matrix: { a: [1, 2], exclude: [{ a: 3 }, { b: 1 }] }
"#,
        r#"5:36: error: this leaves nothing out: no combination has these values
5:48: error: the matrix has no `b`; its axes are `a`
"#,
    );
}

#[test]
fn everything_excluded() {
    check(
        r#"cullet: 1
steps:
  s:
    run: x
    matrix: { a: [1, 2], exclude: [{ a: 1 }, { a: 2 }] }
"#,
        r#"5:13: error: the matrix is empty: no combination of values is left
"#,
    );
}

#[test]
fn include() {
    check(
        r#"cullet: 1
steps:
  s:
    run: x
    matrix: { a: [1], b: [2], include: [{ a: 3 }, { a: 1, b: 2 }, { a: 1, b: 3, c: 4 }] }
"#,
        r#"5:41: error: this combination does not give every axis a value; they are `a`, `b`
5:51: error: the combination a=1,b=2 is there twice
5:81: error: the matrix has no `c`; its axes are `a`, `b`
"#,
    );
}

#[test]
fn include_not_a_list() {
    check(
        r#"cullet: 1
steps:
  s:
    run: x
    matrix: { a: [1], include: { a: 2 } }
"#,
        r#"5:32: error: expected a list of maps, found a map
"#,
    );
}

#[test]
fn expression_in_value() {
    check(
        r#"cullet: 1
steps:
  s:
    run: x
    matrix: { a: ["${{ params.x }}"] }
"#,
        r#"5:19: error: there can be no expression here
"#,
    );
}

#[test]
fn axis_name() {
    check(
        r#"cullet: 1
steps:
  s:
    run: x
    matrix: { "a b": [1] }
"#,
        r#"5:15: error: `a b` cannot be the name of a matrix axis; use letters, digits, `_` and `-`
"#,
    );
}

#[test]
fn unknown_axis() {
    check(
        r#"cullet: 1
steps:
  s: { run: "echo ${{ matrix.shrad }}", matrix: { shard: [1] } }
"#,
        r#"3:30: error: the matrix has no `shrad`; did you mean `shard`?
"#,
    );
}

#[test]
fn no_matrix() {
    check(
        r#"cullet: 1
steps:
  s: { run: "echo ${{ matrix.a }}" }
"#,
        r#"3:30: error: there are no matrix values here; only a step with a `matrix` has them
"#,
    );
}
