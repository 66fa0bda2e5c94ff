use std::path::{Path, PathBuf};

use crate::{run, stderr, stdout};

/// A project in a directory of its own, with a cache in `home`.
struct Project<'a> {
    home: &'a Path,
    dir: PathBuf,
}

impl<'a> Project<'a> {
    fn new(home: &'a Path, dir: &str) -> Self {
        let dir = home.join(dir);
        std::fs::create_dir_all(&dir).unwrap();
        Self { home, dir }
    }

    /// Runs steps, each a name and its body, and gives the name of the run.
    fn run(&self, head: &str, steps: &[(&str, &str)], args: &[&str]) -> String {
        let steps: String = steps.iter().map(|(name, body)| format!("  {name}: {{ {body} }}\n")).collect();
        let path = self.dir.join("cullet.yaml");
        std::fs::write(&path, format!("cullet: 1\n{head}steps:\n{steps}")).unwrap();
        let mut words =
            vec!["run", "--executor", "plain", "--progress", "json", "-f", path.to_str().unwrap()];
        words.extend(args);
        let output = run(self.home, &words);
        assert!(matches!(output.status.code(), Some(0 | 1)), "{}\n{}", stdout(&output), stderr(&output));
        let text = stdout(&output);
        let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        first["run"].as_str().unwrap().to_owned()
    }

    fn why(&self, args: &[&str]) -> String {
        let words: Vec<&str> = ["why"].into_iter().chain(args.iter().copied()).collect();
        let output = run(self.home, &words);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        stdout(&output)
    }

    /// Which of the identical steps `a` and `b` of the last run came first, and the other.
    fn executed_and_follower(&self) -> (&'static str, &'static str) {
        let events = stdout(&run(self.home, &["status", "--format", "json"]));
        let started = events.lines().find(|line| line.contains("step_started")).unwrap();
        let event: serde_json::Value = serde_json::from_str(started).unwrap();
        if event["step"] == "a" { ("a", "b") } else { ("b", "a") }
    }

    fn evict_everything(&self) {
        let output = run(self.home, &["cache", "gc", "--to", "0"]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
}

const NAMED: &str = "name: app\n";

#[track_caller]
fn assert_says(text: &str, part: &str) {
    assert!(text.contains(part), "{part:?} is not in\n{text}");
}

#[test]
fn a_key_that_returns_after_another_failed_before() {
    let home = tempfile::tempdir().unwrap();
    let app = Project::new(home.path(), "app");
    let first = app.run(NAMED, &[("x", "run: exit 3")], &[]);
    let second = app.run(NAMED, &[("x", "run: exit 4")], &[]);
    app.run(NAMED, &[("x", "run: exit 3")], &[]);
    assert_says(&app.why(&["x"]), &format!("the same key failed before, in run {}", &first[..12]));
    assert_says(&app.why(&["x", "--run", &first]), "because: this is the first time");
    let text = app.why(&["x", "--run", &second]);
    assert_says(&text, &format!("differs from that of run {}", &first[..12]));
    assert_says(&text, "+ exit 4");
}

#[test]
fn an_evicted_result_is_said_to_be_evicted() {
    let home = tempfile::tempdir().unwrap();
    let app = Project::new(home.path(), "app");
    let first = app.run(NAMED, &[("x", "run: echo a")], &[]);
    app.run(NAMED, &[("x", "run: echo b")], &[]);
    app.evict_everything();
    app.run(NAMED, &[("x", "run: echo a")], &[]);
    let text = app.why(&["x"]);
    assert_says(&text, &format!("nothing changed since run {}", &first[..12]));
    assert_says(&text, "its result was evicted from the cache at ");
    // What came later explains nothing of an earlier run.
    let text = app.why(&["x", "--run", &first]);
    assert_says(&text, "because: this is the first time");
    assert!(!text.contains("evicted"), "{text}");
}

#[test]
fn a_cache_that_was_not_asked_and_effects_are_reasons() {
    let home = tempfile::tempdir().unwrap();
    let app = Project::new(home.path(), "app");
    let steps = [("x", "run: echo a"), ("ship", "run: echo b, effects: true")];
    app.run(NAMED, &steps, &[]);
    app.run(NAMED, &steps, &[]);
    assert_says(&app.why(&["x"]), "x was answered by the cache in ");
    assert_says(&app.why(&["ship"]), "it has `effects`: such results are never reused");
    assert_eq!(stdout(&run(home.path(), &["logs", "ship"])), "b\n");
    app.run(NAMED, &steps, &["--no-cache"]);
    assert_says(&app.why(&["x"]), "because: the run was started with --no-cache");
}

#[test]
fn pipelines_without_a_name_are_not_compared_with_each_other() {
    let home = tempfile::tempdir().unwrap();
    let (one, two) = (Project::new(home.path(), "one"), Project::new(home.path(), "two"));
    one.run("", &[("build", "run: echo one")], &[]);
    two.run("", &[("build", "run: echo two")], &[]);
    assert_says(&two.why(&["build"]), "because: this is the first time");
    // Another checkout, and another step beside it.
    let again = Project::new(home.path(), "elsewhere/one");
    again.run("", &[("build", "run: echo three"), ("test", "run: 'true'")], &[]);
    assert_says(&again.why(&["build"]), "- echo one");
}

#[test]
fn what_identical_steps_share_is_told_and_shown() {
    let home = tempfile::tempdir().unwrap();
    let app = Project::new(home.path(), "app");
    app.run(NAMED, &[("a", "run: 'echo oh; exit 3'"), ("b", "run: 'echo oh; exit 3'")], &["--keep-going"]);
    let (executed, follower) = app.executed_and_follower();
    let text = app.why(&[follower]);
    let shared = format!("its result is shared with the identical step {executed} of this run");
    assert_says(&text, &shared);
    assert_says(&text, "exit code 3");
    assert!(!text.contains("by the cache"), "{text}");
    let logs = run(home.path(), &["logs", follower]);
    assert_eq!((logs.status.code(), stdout(&logs).as_str()), (Some(0), "oh\n"), "{}", stderr(&logs));
    let steps = [("a", "run: echo oh"), ("b", "run: echo oh")];
    app.run(NAMED, &steps, &[]);
    let (executed, follower) = app.executed_and_follower();
    let shared = format!("its result is shared with the identical step {executed} of this run");
    assert_says(&app.why(&[follower]), &shared);
    app.run(NAMED, &steps, &[]);
    assert_says(&app.why(&["b"]), "b was answered by the cache in ");
}

#[test]
fn a_step_whose_outputs_were_lost_is_explained_end_by_end() {
    let home = tempfile::tempdir().unwrap();
    let app = Project::new(home.path(), "app");
    let steps = |run| {
        let used: &'static str = run;
        [("make", "run: 'echo melted > made', outputs: { made: made }"), ("use", used)]
    };
    let first = steps("run: 'cat made', inputs: { made: make.made }");
    app.run(NAMED, &first, &[]);
    let cache = home.path().join(".cache/cullet/cas");
    // A file that is gone is noticed when the result is looked up.
    damage(&cache, "melted\n", &|path| std::fs::remove_file(path).unwrap());
    app.run(NAMED, &steps("run: 'cat made made', inputs: { made: make.made }"), &[]);
    let text = app.why(&["make"]);
    assert_says(&text, "because: the cached result of make is not whole");
    assert_eq!(text.matches("because").count(), 1, "{text}");
    assert_says(&app.why(&["use"]), "+ cat made made");
    // One that rotted, when it is read.
    damage(&cache, "melted\n", &|path| {
        std::fs::remove_file(path).unwrap();
        std::fs::write(path, "Melted\n").unwrap();
    });
    app.run(NAMED, &steps("run: 'cat ./made', inputs: { made: make.made }"), &[]);
    let text = app.why(&["make"]);
    assert_says(&text, "make was executed again in ");
    assert_says(&text, "because: outputs of make can no longer be read");
    assert_says(&text, "before that, in the same run:\n  make was answered by the cache");
    assert_eq!(text.matches("because").count(), 1, "{text}");
}

/// Does something to each file with this content, whatever it is called.
fn damage(dir: &Path, content: &str, harm: &dyn Fn(&Path)) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            damage(&path, content, harm);
        } else if std::fs::read(&path).is_ok_and(|bytes| bytes == content.as_bytes()) {
            harm(&path);
        }
    }
}
