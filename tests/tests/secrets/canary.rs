//! Values from every place, printed in every form, on one machine: nothing that is left has one.

use std::process::{Command, Output};
use std::time::Duration;

use cullet_tests::cluster::until;
use cullet_tests::{Checkout, Outcome, User};

use crate::support::{LEAK, TOKEN, assert_clean, assert_clean_text, config, value, vault};

/// The places of values, as they are called in them.
const PLACES: [&str; 5] = ["env", "file", "command", "vault", "exposed"];

/// Files that have values.
const SOURCES: [&str; 3] = ["secret.txt", "other.txt", "vault-token"];

const SECRETS: &str = r#"
    secrets:
      FROM_ENV: env
      FROM_FILE: { file: secret.txt }
      FROM_COMMAND: { command: [cat, other.txt] }
      FROM_VAULT: { provider: vault, key: app#token, identity: true }
      EXPOSED: { env: OUTER, expose: env }
"#;

/// A project and somebody whose every file is in it or in the cache.
struct Canary {
    user: User,
    checkout: Checkout,
}

impl Canary {
    fn new(steps: &str) -> Self {
        let text =
            steps.replace("SECRETS", SECRETS.trim_matches('\n')).replace("LEAK", LEAK.trim_matches('\n'));
        let checkout = Checkout::of_pipeline(&format!("cullet: 1\nname: canary\nsteps:\n{text}"));
        checkout.write("secret.txt", &format!("{}\n", value("file")));
        checkout.write("other.txt", &format!("{}\n", value("command")));
        checkout.write("config.toml", &config(&vault(value("vault"))));
        checkout.write("vault-token", TOKEN);
        checkout.write("tmp/empty", "");
        Self { user: User::new(), checkout }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.user.command(self.checkout.path(), arguments.iter().copied());
        command.env("FROM_ENV", value("env")).env("OUTER", value("exposed")).env("CULLET_LOG", "trace");
        command.env("CULLET_CONFIG", "config.toml").env("TMPDIR", self.checkout.path().join("tmp"));
        command
    }

    fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn assert_clean(&self) {
        assert_clean(self.user.cache(), &PLACES, &[]);
        assert_clean(self.checkout.path(), &PLACES, &SOURCES);
    }

    /// What a command said, in which is no value.
    fn text(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert_clean_text(&text, &PLACES);
        text
    }
}

#[test]
fn no_value_is_left_of_steps_that_succeed_fail_and_take_too_long() {
    let canary = Canary::new(
        r#"
  good:
SECRETS
    run: |
LEAK
      wc -c < /run/secrets/FROM_VAULT > o
    outputs: { o: o }
  failing:
SECRETS
    run: |
LEAK
      printf '<testsuite><testcase name="%s"><failure/></testcase></testsuite>' "$EXPOSED" > r.xml
      exit 3
    reports: { junit: r.xml }
  slow:
SECRETS
    timeout: 2s
    run: |
LEAK
      cat /run/secrets/*; sleep 60
"#,
    );
    for progress in ["plain", "json"] {
        let output = canary.output(&["run", "--keep-going", "--progress", progress, "--no-cache"]);
        assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_clean_text(&text, &PLACES);
        assert!(text.contains("***"), "{text}");
        canary.assert_clean();
    }
    for arguments in [&["logs", "good"][..], &["logs", "failing"], &["logs", "slow"], &["status"], &["runs"]]
    {
        canary.text(arguments);
    }
    let log = canary.text(&["logs", "good"]);
    // Five secrets, each in fifteen forms, of which some are several lines.
    assert!(log.matches("***").count() >= 70, "{log}");
    let exposed = log.lines().find(|line| line.starts_with("EXPOSED=")).unwrap_or_default();
    assert_eq!(exposed, "EXPOSED=***", "{log}");
    canary.text(&["why", "good"]);
    canary.text(&["graph"]);
    canary.text(&["doctor"]);
}

#[test]
fn no_value_is_left_in_volumes() {
    let canary = Canary::new(
        r#"
  login:
SECRETS
    caches: { /tmp/a: a, /tmp/b: b, /tmp/c: c }
    run: |
      mkdir /tmp/a/.docker
      printf '{"auth": "%s"}' "$(printf 'user:%s' "$(cat /run/secrets/FROM_FILE)" | base64)" > /tmp/a/.docker/config.json
      printf '//registry/:_authToken=%s' "$EXPOSED" > /tmp/b/npmrc
      echo fine > /tmp/c/file
  after:
    needs: [login]
    caches: { /tmp/a: a, /tmp/b: b, /tmp/c: c }
    run: echo "[$(cd /tmp && find a b c -type f)]"
"#,
    );
    let text = canary.text(&["run", "--progress", "plain"]);
    for (volume, place, secret) in [("a", ".docker/config.json", "FROM_FILE"), ("b", "npmrc", "EXPOSED")] {
        let said = format!(
            "what it wrote to the cache '{volume}' is not kept: '{place}' has the value of the secret {secret} in it"
        );
        assert_eq!(text.matches(&said).count(), 1, "{said}: {text}");
    }
    assert_eq!(canary.text(&["logs", "after"]).lines().next(), Some("[c/file]"));
    canary.assert_clean();
}

#[test]
fn no_value_is_left_by_whoever_is_killed() {
    let canary = Canary::new(
        r#"
  s:
SECRETS
    run: |
LEAK
      i=0; while [ $i -lt 3000 ]; do cat /run/secrets/FROM_FILE; i=$((i + 1)); done
      head -c 7 /run/secrets/FROM_FILE; echo > /workspace/begun; sleep 60
"#,
    );
    for signal in ["-KILL", "-ABRT", "-QUIT"] {
        let mut command = canary.command(&["run", "--progress", "plain"]);
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        let mut child = command.spawn().unwrap();
        until("the step has printed", || begun(canary.user.cache()).then_some(()));
        std::thread::sleep(Duration::from_millis(300));
        let pid = child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        let status = child.wait().unwrap();
        assert!(!std::os::unix::process::ExitStatusExt::core_dumped(&status));
        canary.assert_clean();
        std::fs::remove_dir_all(canary.user.cache().join("work")).unwrap();
    }
}

/// Whether a step has made the file in its workspace.
fn begun(dir: &std::path::Path) -> bool {
    let mut pending = vec![dir.join("work")];
    while let Some(dir) = pending.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            if entry.file_name() == "begun" {
                return true;
            }
            pending.push(entry.path());
        }
    }
    false
}

#[test]
fn test_names_and_reasons_are_masked() {
    let checkout = Checkout::of_pipeline(
        r#"
cullet: 1
steps:
  tests:
    secrets: { SHORT: env }
    run: |
      printf '<testsuite><testcase name="of %s"><failure/></testcase></testsuite>' "$(cat /run/secrets/SHORT)" > r.xml
      exit 1
    reports: { junit: r.xml }
  missing:
    secrets: { SHORT: env }
    run: touch $(cat /run/secrets/SHORT)
    outputs: { o: o }
"#,
    );
    let user = User::new();
    let mut command = user.command(checkout.path(), ["run", "--keep-going", "--progress", "json"]);
    let outcome = Outcome::of(&command.env("SHORT", "shrt-s3c").output().unwrap());
    let text = format!("{:?}", outcome.events);
    assert!(!text.contains("shrt-s3c") && text.contains("of ***"), "{text}");
    let reason = outcome.steps["missing"].reason.clone().unwrap_or_default();
    assert!(reason.contains("is missing") && reason.contains("***"), "{reason}");
}
