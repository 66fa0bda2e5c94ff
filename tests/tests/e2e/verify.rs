//! Steps are executed twice and compared.

use cullet_tests::{Checkout, User};
use serde_json::Value;

const PIPELINE: &str = "\
cullet: 1
name: twice
source_date_epoch: 1767225600
steps:
  steady:
    run: echo $SOURCE_DATE_EPOCH > out
    outputs: { out: out }
  clock:
    run: |
      date -u +%H:%M:%S > out
      mkdir dir && date +%s > dir/stamp && echo same > dir/same
    outputs: { out: out, dir: dir }
  tested:
    run: |
      echo \"<testsuite tests='1'><testcase name='$(date +%s)'/></testsuite>\" > junit.xml
      echo same > out
    outputs: { out: out }
    reports: { junit: junit.xml }
  after:
    inputs: { in: clock.out }
    run: cp in out
    outputs: { out: out }
  ship:
    effects: true
    inputs: { in: after.out }
    run: echo shipped >> /tmp/never
  announce:
    needs: [ship]
    run: 'true'
";

fn verify(user: &User, checkout: &Checkout, arguments: &[&str]) -> (Option<i32>, Value) {
    let output = user.cullet(checkout, [&["verify", "--format", "json"], arguments].concat());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{output:?}"));
    (output.status.code(), value)
}

fn step<'a>(said: &'a Value, name: &str) -> &'a Value {
    let steps = said["steps"].as_array().unwrap();
    steps.iter().find(|step| step["step"] == name).unwrap_or_else(|| panic!("{name}: {said}"))
}

#[test]
fn what_differs_is_named_and_what_only_has_other_inputs_is_not() {
    let (user, checkout) = (User::new(), Checkout::of_pipeline(PIPELINE));
    let (code, said) = verify(&user, &checkout, &[]);
    assert_eq!((code, said["same"].as_bool()), (Some(1), Some(false)), "{said}");
    assert_eq!(said["steps"].as_array().unwrap().len(), 4, "what acts outside is not executed: {said}");
    assert_eq!(step(&said, "steady")["same"], true);
    assert_eq!(step(&said, "after")["same"], true);
    assert_eq!(step(&said, "tested")["same"], true, "reports are nobody's input: {said}");
    let files = step(&said, "clock")["files"].as_array().unwrap();
    let paths: Vec<&str> = files.iter().filter_map(|file| file["path"].as_str()).collect();
    assert_eq!(paths, ["dir/stamp", "out"], "{said}");
    assert!(files.iter().all(|file| file["causes"] == serde_json::json!(["time"])), "{said}");
    assert!(files[1]["excerpt"][0].as_str().unwrap().starts_with("- "), "{said}");
    // Nothing of it is in the cache.
    let outcome = user.run(&checkout);
    assert!(!outcome.steps["steady"].cached && !outcome.steps["clock"].cached);
}

#[test]
fn one_step_is_verified_with_inputs_from_the_cache() {
    let (user, checkout) = (User::new(), Checkout::of_pipeline(PIPELINE));
    let first = user.cullet(&checkout, ["run", "clock"]);
    assert!(first.status.success(), "{first:?}");
    let output = user.cullet(&checkout, ["verify", "after"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 step executed twice, all the same"), "{said}");
    assert!(said.contains("clock: cached"), "{said}");
    for step in ["ship", "announce"] {
        let refused = user.cullet(&checkout, ["verify", step]);
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        assert!(
            String::from_utf8_lossy(&refused.stderr).contains("acts on the outside world"),
            "{refused:?}"
        );
    }
}

#[test]
fn a_step_that_fails_once_is_not_the_same() {
    // Steps see nothing that changes between two executions but the clock.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let script = format!("left=$(({} - $(date +%s))); [ $left -gt 0 ] || exit 7; sleep $left", now + 6);
    let text = format!("cullet: 1\nsteps:\n  odd: {{ run: '{script}' }}\n");
    let (user, checkout) = (User::new(), Checkout::of_pipeline(&text));
    let (code, said) = verify(&user, &checkout, &[]);
    assert_eq!(code, Some(1), "{said}");
    // On a machine that takes six seconds to begin, the first execution fails, and there is no second.
    let steps = said["steps"].as_array().unwrap();
    let ended = |step: &Value| step["ended"].as_str().is_some_and(|ended| ended.contains("exit code 7"));
    assert!(steps.iter().all(ended), "{said}");
}

/// Values of less than 12 bytes may be in outputs.
const WITH_SECRETS: &str = "\
cullet: 1
steps:
  leaky:
    secrets: { PASSWORD: env, LONG: env }
    run: |
      p=$(cat /run/secrets/PASSWORD)
      echo \"$(printf %0155d 0) $p $(date +%s%N)\" > text
      printf '\\000\\001%s%s' \"$(date +%s%N)\" $p > binary
      mkdir dir && ln -s \"$p/$(date +%s%N)\" dir/link && date +%s%N > \"dir/$p\"
      head -n 1 /run/secrets/LONG > line; date +%s%N >> line
    outputs: { text: text, binary: binary, dir: dir, line: line }
";

#[test]
fn values_are_masked_in_what_differs() {
    let (user, checkout) = (User::new(), Checkout::of_pipeline(WITH_SECRETS));
    for format in ["json", "human"] {
        let mut command = user.command(checkout.path(), ["verify", "leaky", "--format", format]);
        let output = command.env("PASSWORD", "hnt2r-pw").env("LONG", "first-line-of-it\nsecond-one").output();
        let output = output.unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        for shown in ["dir/link", "dir/***", "text", "binary", "line", "- ***", "***/"] {
            assert!(said.contains(shown), "{shown}: {said}");
        }
        // Not even the beginning of one, where a line was cut.
        for hidden in ["hnt2r", "nt2r-pw", "68 6e 74", "first-line"] {
            assert!(!said.contains(hidden), "{hidden}: {said}");
        }
    }
}
