//! Breaking the glass: a pipeline of a cluster that is down, on one machine, on record.

mod approving;
mod rehearsing;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use cullet_tests::{Checkout, Outcome, User, within};
use serde_json::Value;

use super::shell::person::Person;

const PIPELINE: &str = r#"
cullet: 1
name: glass
sources: { one: { path: ., include: [/one] } }
steps:
  make: { inputs: { .: one }, run: 'echo making; cp one made', outputs: { made: made } }
  use: { inputs: { made: make.made }, run: 'cat made > used', outputs: { used: used } }
outputs: { used: use.used }
"#;

const ALL: [&str; 2] = ["make", "use"];
const NOTHING: [&str; 0] = [];

/// Nobody listens there.
const AWAY: &str = "http://127.0.0.1:9";

fn checkout() -> Checkout {
    let checkout = Checkout::of_pipeline(PIPELINE);
    checkout.write("one", "sand\n");
    checkout
}

/// A run that breaks the glass.
fn breaking(user: &User, checkout: &Checkout, arguments: &[&str]) -> Command {
    let all = ["run", "--progress", "json", "--break-glass"].into_iter().chain(arguments.iter().copied());
    user.command(checkout.path(), all)
}

fn broken(user: &User, checkout: &Checkout, arguments: &[&str]) -> Outcome {
    Outcome::of(
        &breaking(user, checkout, &[&["--reason", "it is down"], arguments].concat()).output().unwrap(),
    )
}

fn journal(user: &User, arguments: &[&str]) -> Output {
    user.command(user.cache(), ["journal"].into_iter().chain(arguments.iter().copied())).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What is on record.
fn entries(user: &User) -> Vec<Value> {
    let listed = journal(user, &["list", "--format", "json"]);
    assert!(listed.status.success());
    text(&listed.stdout).lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn file(user: &User) -> PathBuf {
    user.cache().join("break-glass/journal.jsonl")
}

#[test]
fn a_run_is_on_record_with_who_why_and_what() {
    let (user, checkout) = (User::new(), checkout());
    let mut command = breaking(&user, &checkout, &["--reason", "it is down"]);
    command.env("CULLET_CLUSTER", AWAY).env("USER", "ada").env("CULLET_SHARED_CACHE", "/nowhere/at/all");
    let run = Outcome::of(&command.output().unwrap());
    run.assert_success();
    assert_eq!(run.executed(), ALL);
    for away in [AWAY, "/nowhere/at/all"] {
        let said = run
            .stderr
            .lines()
            .find(|line| line.starts_with("not there for this run: ") && line.contains(away));
        assert!(said.is_some(), "{away}: {}", run.stderr);
    }
    assert!(run.stderr.contains("results belong to quarantine/ada"), "{}", run.stderr);
    let [begun, finished] = &entries(&user)[..] else { panic!("not two entries") };
    assert_eq!(
        (&begun["event"], &begun["reason"], &begun["who"]["user"]),
        (&"begun".into(), &"it is down".into(), &"ada".into())
    );
    assert_eq!((&begun["pipeline"]["name"], &begun["scope"]), (&"glass".into(), &"quarantine/ada".into()));
    assert!(begun["sources"]["one"].is_string(), "{begun}");
    assert_eq!((&finished["outcome"], &finished["executed"]), (&"succeeded".into(), &2.into()));
    for step in finished["steps"].as_array().unwrap() {
        let name = step["step"].as_str().unwrap();
        assert_eq!(step["action_digest"].as_str(), run.steps[name].action_digest.as_deref());
        assert!(step["result_digest"].is_string() && step["cached_from"].is_null(), "{step}");
    }
    let verified = journal(&user, &["verify"]);
    assert!(verified.status.success() && text(&verified.stdout).starts_with("2 entries, unchanged"));
    let listed = text(&journal(&user, &["list"]).stdout);
    assert!(listed.contains("ada@") && listed.contains("because: it is down"), "{listed}");
    // What it printed can be read afterwards.
    let mut logs = user.command(checkout.path(), ["logs", "make"]);
    assert_eq!(text(&logs.env("USER", "ada").output().unwrap().stdout), "making\n");
    // An empty cache is no empty journal.
    assert!(user.cullet(&checkout, ["cache", "clear"]).status.success());
    assert_eq!(entries(&user).len(), 2);
}

#[test]
fn what_it_makes_is_for_the_next_such_run_and_for_nobody_else() {
    let (user, checkout, shared) = (User::new(), checkout(), tempfile::tempdir().unwrap());
    let with = |mut command: Command| {
        command.env("CULLET_SHARED_CACHE", shared.path()).env("CULLET_SHARED_CACHE_MODE", "write");
        let outcome = Outcome::of(&command.output().unwrap());
        outcome.assert_success();
        outcome
    };
    let breaks = |user: &User| with(breaking(user, &checkout, &["--reason", "x"]));
    let usual = |user: &User| with(user.command(checkout.path(), ["run", "--progress", "json"]));
    assert_eq!(breaks(&user).executed(), ALL);
    assert_eq!(breaks(&user).executed(), NOTHING, "here");
    assert_eq!(breaks(&User::new()).executed(), NOTHING, "there");
    assert_eq!(usual(&User::new()).executed(), ALL, "nobody else takes it");
    let one = User::new();
    let mut protected = one.command(checkout.path(), ["run", "--progress", "json", "--no-cache"]);
    protected.env("CULLET_SCOPE", "protected");
    with(protected);
    assert_eq!(breaks(&User::new()).executed(), NOTHING);
}

#[test]
fn what_it_makes_is_not_taken_by_usual_runs_of_the_machine_and_theirs_is_by_it() {
    let (user, checkout) = (User::new(), checkout());
    broken(&user, &checkout, &[]).assert_success();
    assert_eq!(user.run(&checkout).executed(), ALL);
    let why = text(&user.cullet(&checkout, ["why", "make"]).stdout);
    assert!(why.contains("this is the first time"), "{why}");
    let other = User::new();
    other.run(&checkout).assert_success();
    let run = broken(&other, &checkout, &["--output", "out"]);
    run.assert_success();
    assert_eq!(run.executed(), NOTHING);
    assert_eq!(fs::read(checkout.path().join("out/used")).unwrap(), b"sand\n");
    let finished = entries(&other).pop().unwrap();
    assert_eq!((&finished["cached"], &finished["steps"][0]["cached_from"]), (&2.into(), &"local".into()));
}

#[test]
fn nobody_breaks_the_glass_without_a_reason_or_a_journal() {
    let (user, checkout) = (User::new(), checkout());
    let refused = |arguments: &[&str]| {
        let output = breaking(&user, &checkout, arguments).output().unwrap();
        assert_eq!(text(&output.stdout), "", "nothing begins");
        (output.status.code().unwrap(), text(&output.stderr))
    };
    let (code, why) = refused(&[]);
    assert!(code == 2 && why.contains("--reason") && why.contains("CULLET_BREAK_GLASS_REASON"), "{why}");
    assert_eq!(refused(&["--reason", "a\nb"]).0, 2);
    assert_eq!(refused(&["--reason", "x", "--cluster", AWAY]).0, 2);
    assert!(!file(&user).exists());
    // Not even root makes a directory of a file.
    fs::write(user.cache().join("break-glass"), "").unwrap();
    let (code, why) = refused(&["--reason", "x"]);
    assert!(code == 3 && why.contains("journal"), "{why}");
}

#[test]
fn secrets_are_named_in_the_journal_and_nothing_more() {
    let text_of =
        "cullet: 1\nname: s\nsteps:\n  s: { run: 'test -s /run/secrets/TOKEN', secrets: { TOKEN: env } }\n";
    let (user, checkout) = (User::new(), Checkout::of_pipeline(text_of));
    let doctor = |token: &str| {
        let mut command = user.command(checkout.path(), ["doctor"]);
        text(&command.env("TOKEN", token).output().unwrap().stdout)
    };
    assert!(doctor("").contains("the secret `TOKEN` cannot be had"), "{}", doctor(""));
    assert!(doctor("hunter2-and-more").contains("0 of 1 steps have results"));
    let mut command = breaking(&user, &checkout, &["--reason", "x"]);
    Outcome::of(&command.env("TOKEN", "hunter2-and-more").output().unwrap()).assert_success();
    assert_eq!(entries(&user)[0]["secrets"], serde_json::json!(["TOKEN"]));
    assert!(!fs::read_to_string(file(&user)).unwrap().contains("hunter2"));
}

#[test]
fn on_a_full_disk_nothing_begins() {
    let (user, checkout) = (User::new(), checkout());
    let dir = user.cache().join("break-glass");
    fs::create_dir(&dir).unwrap();
    let full =
        "mount -t tmpfs -o size=16k none \"$0\" && (cat /dev/zero > \"$0/fill\" 2> /dev/null; exec \"$@\")";
    let arguments = ["-m", "sh", "-c", full, dir.to_str().unwrap()];
    let refused =
        within("unshare", arguments, &breaking(&user, &checkout, &["--reason", "x"])).output().unwrap();
    let why = text(&refused.stderr);
    assert!(refused.status.code() == Some(3) && why.contains("journal"), "{why}");
    assert_eq!(text(&refused.stdout), "");
}

#[test]
fn a_person_at_a_terminal_is_asked_why() {
    let (user, checkout) = (User::new(), checkout());
    let mut person = Person::starts(&user, &checkout, &["run", "--break-glass"]);
    person.sees("Why? ");
    person.types("the cluster burns\n");
    let (code, screen) = person.ends();
    assert_eq!(code, Some(0), "{screen}");
    assert_eq!(entries(&user)[0]["reason"], "the cluster burns");
}

/// Waits until it is on record that a run began.
fn wait_for_begin(user: &User) {
    let is_there = || {
        std::thread::sleep(Duration::from_millis(2));
        fs::read(file(user)).is_ok_and(|bytes| !bytes.is_empty())
    };
    assert!((0..15_000).any(|_| is_there()), "it never began");
}

fn start(user: &User, checkout: &Checkout) -> std::process::Child {
    let mut command = breaking(user, checkout, &["--reason", "x"]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn signal(child: &std::process::Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

#[test]
fn a_run_that_is_killed_is_missed_and_one_that_is_interrupted_says_so() {
    let checkout = Checkout::of_pipeline(
        "cullet: 1\nname: slow\nsteps:\n  slow: { run: 'sleep 60' }\n  quick: { run: 'true' }\n",
    );
    let user = User::new();
    let mut killed = start(&user, &checkout);
    wait_for_begin(&user);
    let listed = text(&journal(&user, &["list"]).stdout);
    assert!(listed.contains("running"), "{listed}");
    signal(&killed, "-KILL");
    killed.wait().unwrap();
    let listed = text(&journal(&user, &["list"]).stdout);
    assert!(listed.contains("NEVER FINISHED"), "{listed}");
    let verified = text(&journal(&user, &["verify"]).stdout);
    assert!(verified.contains("the run of entry 1 never came to its end"), "{verified}");
    let next = broken(&user, &checkout, &["quick"]);
    next.assert_success();
    assert!(
        next.stderr.contains("entry 1") && next.stderr.contains("never came to its end"),
        "{}",
        next.stderr
    );
    assert!(!broken(&user, &checkout, &["quick"]).stderr.contains("never came"), "it was said");
    let other = User::new();
    let mut interrupted = start(&other, &checkout);
    wait_for_begin(&other);
    signal(&interrupted, "-INT");
    assert_eq!(interrupted.wait().unwrap().code(), Some(130));
    assert_eq!(entries(&other)[1]["outcome"], "cancelled");
}

/// Writes a journal down with a change.
fn change(from: &Path, to: &Path, change: impl FnOnce(&mut Vec<String>)) {
    let mut lines: Vec<String> = fs::read_to_string(from).unwrap().lines().map(str::to_owned).collect();
    change(&mut lines);
    fs::write(to, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
}

#[test]
fn an_exported_journal_is_verified_elsewhere_and_a_change_is_named() {
    let (user, checkout, dir) = (User::new(), checkout(), tempfile::tempdir().unwrap());
    broken(&user, &checkout, &[]).assert_success();
    broken(&user, &checkout, &[]).assert_success();
    let exported = dir.path().join("exported");
    fs::write(&exported, journal(&user, &["export"]).stdout).unwrap();
    let elsewhere = User::new();
    let verify = |path: &Path, more: &[&str]| {
        let output = journal(&elsewhere, &[&["verify", path.to_str().unwrap()], more].concat());
        (output.status.code(), text(&output.stdout))
    };
    let (code, said) = verify(&exported, &[]);
    assert!(code == Some(0) && said.starts_with("4 entries"), "{said}");
    let key = said.trim().rsplit(' ').next().unwrap();
    assert_eq!(verify(&exported, &["--key", key]).0, Some(0));
    let other = format!("ed25519:{}", "ab".repeat(32));
    assert_eq!(verify(&exported, &["--key", &other]).0, Some(1));
    let changed = dir.path().join("changed");
    change(&exported, &changed, |lines| lines[2] = lines[2].replace("it is down", "it was me!"));
    assert_eq!(
        verify(&changed, &[]),
        (Some(1), "entry 3 was changed: its signature does not fit\n".to_owned())
    );
    change(&exported, &changed, |lines| drop(lines.remove(1)));
    assert_eq!(verify(&changed, &[]), (Some(1), "entry 2 is missing before entry 3\n".to_owned()));
    // On the machine itself, the end is missed as well.
    change(&exported, &file(&user), |lines| lines.truncate(2));
    let own = journal(&user, &["verify"]);
    assert_eq!(
        (own.status.code(), text(&own.stdout)),
        (Some(1), "entries 3 to 4 are missing at the end\n".to_owned())
    );
}

#[test]
fn doctor_says_beforehand_what_such_a_run_would_find() {
    let (user, checkout) = (User::new(), checkout());
    let findings = || {
        let output = user.cullet(&checkout, ["doctor", "--format", "json"]);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let checks = report["checks"].as_array().unwrap().clone();
        move |name: &str| {
            let check = checks.iter().find(|check| check["check"] == name).unwrap();
            (
                text(check["verdict"].as_str().unwrap().as_bytes()),
                text(check["finding"].as_str().unwrap().as_bytes()),
            )
        }
    };
    let before = findings();
    assert_eq!(before("results").1, "0 of 2 steps have results; these would be executed: make, use");
    assert!(before("journal").1.contains("nothing on record yet"));
    assert!(!user.cache().join("break-glass").exists(), "looking leaves nothing");
    broken(&user, &checkout, &[]).assert_success();
    let after = findings();
    assert_eq!(after("results").1, "2 of 2 steps have results");
    assert_eq!(after("journal").0, "good");
    checkout.edit("cullet.yaml", "outputs: { used: use.used }", "  ship: { effects: true, run: 'true' }\n");
    let (verdict, finding) = findings()("approval");
    assert!(verdict == "limited" && finding.contains("ship: 1 other must approve, and 0 may"), "{finding}");
    change(&file(&user), &file(&user), |lines| lines[0] = lines[0].replace("it is down", "it was up!"));
    let (verdict, finding) = findings()("journal");
    assert!(verdict == "limited" && finding.contains("entry 1 was changed"), "{finding}");
}
