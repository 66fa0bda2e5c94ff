//! What can be asked once a run is over.

use cullet_tests::{Checkout, User};

const PIPELINE: &str = r#"
cullet: 1
name: talkative
sources: { text: { path: ., include: [/text] } }
steps:
  talk:
    inputs: { .: text }
    run: echo crystal; cat text
"#;

fn stdout(user: &User, checkout: &Checkout, arguments: &[&str]) -> String {
    let output = user.cullet(checkout, arguments.iter().copied());
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn logs_are_there_afterwards_and_from_the_cache() {
    let (user, checkout) = (User::new(), Checkout::of_pipeline(PIPELINE));
    checkout.write("text", "sand\n");
    for cached in [false, true] {
        let run = user.run(&checkout);
        run.assert_success();
        assert_eq!(run.steps["talk"].cached, cached);
        assert_eq!(stdout(&user, &checkout, &["logs", "talk"]), "crystal\nsand\n");
    }
    assert_eq!(stdout(&user, &checkout, &["runs"]).matches("talkative").count(), 2);
    assert!(stdout(&user, &checkout, &["status"]).contains("talk"));
}

#[test]
fn why_names_the_file_that_changed() {
    let (user, checkout) = (User::new(), Checkout::of_pipeline(PIPELINE));
    checkout.write("text", "sand\n");
    user.run(&checkout).assert_success();
    checkout.edit("text", "sand", "flint");
    user.run(&checkout).assert_success();
    assert!(stdout(&user, &checkout, &["why", "talk"]).contains("text"));
    checkout.edit("cullet.yaml", "echo crystal", "echo glass");
    user.run(&checkout).assert_success();
    assert!(stdout(&user, &checkout, &["why", "talk"]).contains("echo glass"));
}
