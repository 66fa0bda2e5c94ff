//! What happens, and what is seen, when something is wrong.

use cullet_tests::{Checkout, User};

const PIPELINE: &str = r#"
cullet: 1
name: failing
sources: { text: { path: ., include: [/text] } }
steps:
  good:
    inputs: { text: text:text }
    run: echo quietly; cp text copy
    outputs: { copy: copy }
  bad:
    run: |
      echo shattered >&2
      exit 7
  after:
    needs: [bad]
    run: echo never
"#;

fn checkout() -> Checkout {
    let checkout = Checkout::of_pipeline(PIPELINE);
    checkout.write("text", "sand\n");
    checkout
}

#[test]
fn a_failed_step_fails_the_run_and_shows_its_log() {
    let (user, checkout) = (User::new(), checkout());
    let output = user.cullet(&checkout, ["run", "--progress", "plain", "--keep-going"]);
    let shown =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert!(shown.contains("shattered"), "{shown}");
    assert!(shown.contains('7'), "{shown}");
}

#[test]
fn a_failure_is_not_remembered_and_a_success_is() {
    let (user, checkout) = (User::new(), checkout());
    let first = user.run_with(&checkout, ["--keep-going"]);
    assert_eq!(first.exit_code, 1);
    assert_eq!(first.steps["bad"].status, "failed");
    assert_eq!(first.steps["after"].status, "skipped");
    let second = user.run_with(&checkout, ["--keep-going"]);
    assert_eq!(second.exit_code, 1);
    assert!(second.steps["good"].cached);
    assert!(!second.steps["bad"].cached);
}

#[test]
fn a_wrong_pipeline_is_refused_with_a_place() {
    let (user, checkout) =
        (User::new(), Checkout::of_pipeline("cullet: 1\nname: x\nsteps:\n  a: { rum: true }\n"));
    let output = user.cullet(&checkout, ["run"]);
    let shown = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{shown}");
    assert!(shown.contains("cullet.yaml:4:8"), "{shown}");
    assert!(shown.contains("run"), "{shown}");
}

#[test]
fn outputs_can_be_edited_without_harm_to_the_cache() {
    let pipeline = PIPELINE.split("  bad:").next().unwrap().to_owned() + "outputs: { copy: good.copy }\n";
    let (user, checkout) = (User::new(), Checkout::of_pipeline(&pipeline));
    checkout.write("text", "sand\n");
    user.run_with(&checkout, ["--output", "out"]).assert_success();
    checkout.edit("out/copy", "sand", "glass");
    let again = user.run_with(&checkout, ["--output", "again"]);
    again.assert_success();
    assert!(again.steps["good"].cached);
    assert_eq!(std::fs::read_to_string(checkout.path().join("again/copy")).unwrap(), "sand\n");
}
