//! Outputs with secrets in them.

use cullet_tests::{Checkout, Outcome, User};

use crate::support::assert_clean;

const VALUE: &str = "cnry/output+0123456789=&\"x'output";

fn run(run: &str, outputs: &str) -> (Outcome, User, Checkout) {
    let text = format!(
        "cullet: 1\nsteps:\n  s:\n    secrets: {{ TOKEN: env }}\n    run: |\n      {run}\n    outputs: {{ {outputs} }}\n"
    );
    let (user, checkout) = (User::new(), Checkout::of_pipeline(&text));
    let mut command = user.command(checkout.path(), ["run", "--progress", "json"]);
    let outcome = Outcome::of(&command.env("TOKEN", VALUE).output().unwrap());
    (outcome, user, checkout)
}

#[test]
fn an_output_with_a_secret_fails_the_step_and_is_not_kept() {
    for (script, outputs, place) in [
        ("cp /run/secrets/TOKEN o", "o: o", "'o'"),
        ("mkdir -p d/e; echo fine > d/a; echo \"a: $(cat /run/secrets/TOKEN)\" > d/e/b", "d: d", "'d/e/b'"),
        (
            "mkdir d; printf 'user:%s' \"$(cat /run/secrets/TOKEN)\" | base64 -w0 > d/config.json",
            "d: d",
            "'d/config.json'",
        ),
        (
            "mkdir d; ln -s \"$(tr / _ < /run/secrets/TOKEN)/x\" d/l; cp /run/secrets/TOKEN d/b",
            "d: d/**",
            "'d/b'",
        ),
    ] {
        let (outcome, user, _checkout) = run(script, outputs);
        assert_eq!(outcome.exit_code, 1, "{script}: {}", outcome.stderr);
        let reason = outcome.steps["s"].reason.clone().unwrap_or_default();
        let said = format!("the output {place} has the value of the secret TOKEN in it");
        assert!(reason.starts_with(&said), "{script}: {reason}");
        assert_clean(user.cache(), &["output"], &[]);
    }
}

#[test]
fn what_is_no_output_and_what_has_no_secret_is_fine() {
    let (outcome, user, _checkout) = run("cp /run/secrets/TOKEN x; cp x /tmp/y; wc -c < x > o", "o: o");
    outcome.assert_success();
    assert_clean(user.cache(), &["output"], &[]);
}
