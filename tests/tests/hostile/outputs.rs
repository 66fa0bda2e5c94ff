//! What steps leave behind that is not what they said.

use cullet_tests::{Checkout, User};

use super::support::{expect, expect_right_cache, shell};

#[test]
fn each_is_named_with_what_to_do_and_stores_nothing() {
    let cases = [
        ("true", "o", "output 'o' is missing: the workspace is empty"),
        ("true", "o*", "nothing matches output 'o*'"),
        ("touch d", "d/x", "'d' is a file"),
        (
            "ln -s /etc/passwd o",
            "o",
            "symlink to '/etc/passwd', outside the workspace; copy what it points to",
        ),
        ("ln -s ../../etc o", "o/passwd", "outside the workspace"),
        ("mkdir o; ln -s /etc o/e", "o", "make it relative"),
        ("mkdir d; ln -s ../../x d/e", "d/**", "make it relative"),
        ("ln -s o o", "o", "more than 40 symlinks"),
        ("mkdir o; mkfifo o/f", "o", "'o/f' is a named pipe"),
        ("mkfifo o", "o", "'o' is a named pipe"),
        (r"mkdir o; touch o/$(printf 'l\344t')", "o", "not valid UTF-8"),
    ];
    let mut text = String::from("cullet: 1\nsteps:\n");
    for (number, (script, output, _)) in cases.iter().enumerate() {
        let script = script.replace('\'', "''");
        text.push_str(&format!("  s{number}: {{ run: '{script}', outputs: {{ o: '{output}' }} }}\n"));
    }
    let (user, checkout) = (User::new(), Checkout::of_pipeline(&text));
    let run = user.run_with(&checkout, ["--keep-going"]);
    assert_eq!(run.exit_code, 1, "{}", run.stderr);
    for (number, (script, _, words)) in cases.iter().enumerate() {
        let step = &run.steps[&format!("s{number}")];
        let reason = step.reason.as_deref().unwrap_or_default();
        assert!(step.status == "failed" && reason.contains(words), "{script}: {step:?}");
    }
    expect_right_cache(&user, &checkout);
    assert!(user.run_with(&checkout, ["--keep-going"]).cached().is_empty());
}

#[test]
fn odd_but_right_ones_are_kept_as_they_are() {
    let text = r#"
cullet: 1
steps:
  odd:
    run: |
      mkdir -p o/empty o/sub
      ln -s nowhere o/dangling
      ln -s ../empty o/sub/up
      touch "o/$(printf 'new\nline')" o/-rf
      truncate -s 3M o/sparse
      echo x > o/locked
      chmod 0 o/locked o/sub o .
    outputs: { o: o }
outputs: { o: odd.o }
"#;
    let (user, checkout) = (User::new(), Checkout::of_pipeline(text));
    for cached in [false, true] {
        let run = user.run_with(&checkout, ["--output", "out"]);
        run.assert_success();
        assert_eq!(run.steps["odd"].cached, cached);
        shell(checkout.path(), "test -d out/o/empty -a -h out/o/dangling -a -h out/o/sub/up -a -f out/o/-rf");
        shell(
            checkout.path(),
            "grep x out/o/locked; test $(stat -c %s out/o/sparse) = 3145728; ls out/o | wc -l",
        );
    }
    expect_right_cache(&user, &checkout);
}

#[test]
fn a_workspace_that_locks_itself_up_is_removed_all_the_same() {
    let text = "cullet: 1\nsteps:\n  a: { run: 'mkdir -p a/b/c; touch a/b/c/d; chmod 0 a/b/c a/b a .' }\n";
    let (user, checkout) = (User::new(), Checkout::of_pipeline(text));
    user.run(&checkout).assert_success();
    let left: Vec<_> = std::fs::read_dir(user.cache().join("work")).unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn outputs_that_meet_are_refused_before_anything_runs() {
    let text = "cullet: 1\nsteps:\n  a: { run: 'true', outputs: { x: o, y: o/p } }\n";
    let (user, checkout) = (User::new(), Checkout::of_pipeline(text));
    expect(&user.cullet(&checkout, ["run"]), 2, &["cullet.yaml:3", "o/p"]);
}

#[test]
fn links_that_were_in_the_inputs_are_held_to_the_same_rule() {
    let text = "cullet: 1\nsources: { given: given }\nsteps:\n  \
                bad: { inputs: { in: given }, run: 'true', outputs: { o: in } }\n  \
                good: { inputs: { in: given }, run: 'rm in/out/away', outputs: { o: in } }\n  \
                part: { inputs: { in: given }, run: 'true', outputs: { o: in/sub } }\n";
    let (user, checkout) = (User::new(), Checkout::of_pipeline(text));
    checkout.write("given/file", "sand\n");
    shell(
        checkout.path(),
        "cd given && mkdir -p out sub/deep && ln -s /etc out/away && ln -s ../../file sub/deep/up",
    );
    let run = user.run_with(&checkout, ["--keep-going"]);
    assert_eq!(run.exit_code, 1, "{}", run.stderr);
    let reason = |step: &str| run.steps[step].reason.as_deref().unwrap_or_default();
    assert!(reason("bad").contains("'in/out/away' to '/etc'"), "{}", reason("bad"));
    assert!(reason("part").contains("'in/sub/deep/up' to '../../file'"), "{}", reason("part"));
    assert_eq!(run.steps["good"].status, "succeeded", "{}", run.stderr);
    expect_right_cache(&user, &checkout);
}
