//! What is probably not meant.

use crate::support::check;

#[test]
fn unused() {
    check(
        r#"cullet: 1
params: { p: 1 }
images: { i: a/b }
sources: { s: . }
steps: { a: { run: x } }
"#,
        r#"2:11: warning: nothing uses the parameter `p`; leave it out
3:11: warning: nothing uses the image `i`; leave it out
4:12: warning: nothing uses the source `s`; leave it out
"#,
    );
}

#[test]
fn effects_with_outputs() {
    check(
        r#"cullet: 1
steps:
  s:
    run: x
    effects: true
    outputs: { a: a }
"#,
        r#"6:5: warning: outputs of a step with `effects: true` are never cached; make them in a step of their own, without `effects`
"#,
    );
}
