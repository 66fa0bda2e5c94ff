//! Steps are executed twice and compared.

use cullet_tests::{Checkout, User};
use serde_json::Value;

use super::images::made::Image;

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
    let ended = |step: &Value| {
        let ended = step["ended"].as_str();
        ended.is_some_and(|ended| ended.contains("exit code 7") || ended.contains("not executed twice"))
    };
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

const SOME: &str = "\
cullet: 1
params: { on: false }
steps:
  many:
    matrix: { os: [linux, 'mac,os'], shard: [1, 2] }
    run: echo same > out
    outputs: { out: out }
  ship: { matrix: { os: [linux, mac], shard: [1, 2] }, effects: true, run: 'true' }
  off: { if: params.on, run: 'true' }
  behind: { needs: [off], run: 'true' }
  flaky: { allow_failure: true, run: 'false' }
";

#[test]
fn part_of_a_matrix_means_to_verify_what_it_means_to_run() {
    let (user, checkout) = (User::new(), Checkout::of_pipeline(SOME));
    for (names, wanted) in [
        (&["many[shard=2]"][..], &["many[os=linux,shard=2]", "many[os=mac%2Cos,shard=2]"][..]),
        (&["many[shard=1,os=linux]"], &["many[os=linux,shard=1]"]),
        (&["many[os=mac%2Cos]"], &["many[os=mac%2Cos,shard=1]", "many[os=mac%2Cos,shard=2]"]),
    ] {
        let (code, said) = verify(&user, &checkout, names);
        let steps = said["steps"].as_array().unwrap();
        let steps: Vec<&str> = steps.iter().filter_map(|step| step["step"].as_str()).collect();
        assert_eq!((code, &*steps, said["same"].as_bool()), (Some(0), wanted, Some(true)), "{said}");
    }
}

#[test]
fn a_named_step_that_is_not_executed_twice_is_no_success() {
    let (user, checkout) = (User::new(), Checkout::of_pipeline(SOME));
    for (names, why) in [
        (["ship[shard=1]"], "acts on the outside world"),
        (["off"], "step 'off' is skipped"),
        (["behind"], "step 'behind' needs a step that is skipped"),
        (["many[shard=3]"], "shard=3"),
    ] {
        let refused = user.cullet(&checkout, [&["verify", "--format", "json"][..], &names[..]].concat());
        assert_eq!((refused.status.code(), &*refused.stdout), (Some(2), &b""[..]), "{refused:?}");
        assert!(String::from_utf8_lossy(&refused.stderr).contains(why), "{refused:?}");
    }
    let (code, said) = verify(&user, &checkout, &["flaky"]);
    assert_eq!((code, said["same"].as_bool()), (Some(1), Some(false)), "{said}");
    assert!(step(&said, "flaky")["ended"].as_str().unwrap().contains("not executed twice"), "{said}");
}

const CACHED: &str = "\
cullet: 1
name: cached
steps:
  plain:
    caches: { /opt/cache: a, /workspace/target: { volume: b, shared: locked } }
    run: |
      test ! -e /opt/cache/f || echo found > found
      echo x > /opt/cache/f; mkdir -p target/d; echo x > target/d/f
      echo same > out
    outputs: { all: '**' }
  rooted:
    image: oci-layout:base
    caches: { /var/cache/made: c }
    run: 'echo x > /var/cache/made/f; echo kept > /kept'
    outputs: { image: rootfs }
";

#[test]
fn that_there_are_caches_is_no_difference() {
    let (user, checkout) = (User::new(), Checkout::of_pipeline(CACHED));
    Image::default().layout(&checkout.path().join("base"));
    let (code, said) = verify(&user, &checkout, &[]);
    assert_eq!((code, said["same"].as_bool()), (Some(0), Some(true)), "{said}");
    assert_eq!(said["steps"].as_array().unwrap().len(), 2, "{said}");
    // What an earlier step left in one is.
    let (code, said) = verify(&user, &checkout, &["plain"]);
    assert_eq!(code, Some(1), "{said}");
    assert_eq!(step(&said, "plain")["files"][0]["path"], "found", "{said}");
}

const ROOTED: &str = "\
cullet: 1
steps:
  a:
    image: oci-layout:base
    run: |
      head -c 20000000 /dev/zero > /same
      head -c 20000000 /dev/zero > /large; busybox date +%s >> /large
      busybox mkdir -p /opt/d; busybox date +%s > /opt/d/stamp
      busybox ln -s $(busybox date +%s) /opt/d/link
    outputs: { image: rootfs }
";

#[test]
fn what_differs_in_a_root_is_named() {
    let (user, checkout) = (User::new(), Checkout::of_pipeline(ROOTED));
    Image::default().layout(&checkout.path().join("base"));
    let (code, said) = verify(&user, &checkout, &[]);
    assert_eq!(code, Some(1), "{said}");
    let files = step(&said, "a")["files"].as_array().unwrap();
    let told: Vec<(&str, &str)> =
        files.iter().map(|file| (file["path"].as_str().unwrap(), file["what"].as_str().unwrap())).collect();
    assert_eq!(
        told,
        [
            ("the root directory: /large", "content"),
            ("the root directory: /opt/d/link", "where the link leads"),
            ("the root directory: /opt/d/stamp", "content"),
        ],
        "{said}"
    );
    assert_eq!(files[2]["causes"], serde_json::json!(["time"]), "{said}");
}
