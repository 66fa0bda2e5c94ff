//! `cullet why` knows of a cluster's runs what it knows of those of one machine.

use std::path::Path;

use cullet_tests::cluster::{Answer, Cluster, settled, until};

/// A pipeline with these steps.
fn pipeline(steps: &str) -> String {
    format!("cullet: 1\nname: app\nsources: {{ src: {{ path: ., include: ['*.txt'] }} }}\nsteps:\n{steps}")
}

/// Runs that differ, one after the other, with `run`; `why` says of some of their steps why.
fn story(dir: &Path, run: &dyn Fn(&[&str]) -> i32, why: &dyn Fn(&str) -> Answer) -> Vec<String> {
    let mut told = Vec::new();
    let mut ask = |step: &str| {
        let answer = why(step);
        assert_eq!(answer.exit_code, 0, "{step}: {}", answer.stderr);
        told.push(masked(&answer.stdout));
    };
    let write = |steps: &str| std::fs::write(dir.join("cullet.yaml"), pipeline(steps)).unwrap();
    let first = "  make: { inputs: { .: src }, run: 'cat a.txt > o', outputs: { o: o } }\n  \
                 fail: { inputs: { in: make.o }, run: 'exit 3', allow_failure: true }\n  \
                 ship: { run: echo shipped, effects: true }\n";
    std::fs::write(dir.join("a.txt"), "1\n").unwrap();
    std::fs::write(dir.join("b.txt"), "1\n").unwrap();
    write(first);
    assert_eq!(run(&[]), 0);
    ask("make");
    assert_eq!(run(&[]), 0);
    ["make", "fail", "ship"].into_iter().for_each(&mut ask);
    // The output stays as it was.
    std::fs::remove_file(dir.join("b.txt")).unwrap();
    std::fs::write(dir.join("c.txt"), "1\n").unwrap();
    write(&first.replace("exit 3", "exit 4").replace("effects: true", "env: { FOO: bar }"));
    assert_eq!(run(&[]), 0);
    ["make", "fail", "ship"].into_iter().for_each(&mut ask);
    assert_eq!(run(&["--no-cache"]), 0);
    ask("make");
    write("  a: { run: exit 7 }\n  later: { needs: [a], run: 'true' }\n");
    assert_eq!(run(&["--keep-going"]), 1);
    ask("later");
    told
}

/// Without what differs between two runs: names of runs, times, and how long something took.
fn masked(text: &str) -> String {
    let lines = text.lines().map(|line| match line.split_once("it was executed at ") {
        Some((_, rest)) => {
            let run = rest.split_once(" in run ").map_or("", |(_, rest)| rest.split(' ').next().unwrap());
            format!("it was executed in run {run}")
        }
        None => line.to_owned(),
    });
    let lines = lines.map(|line| {
        let words = line.split(' ').map(|word| {
            let digits = word.trim_end_matches([':', ',']);
            let is_run = digits.len() == 12 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            if is_run { word.replace(digits, "RUN") } else { word.to_owned() }
        });
        words.collect::<Vec<_>>().join(" ")
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_answers_are_those_of_one_machine() {
    let cluster = Cluster::start(3, 1);
    cluster.with_workers(1);
    let there = cluster.pipeline("there", "");
    let run = |arguments: &[&str]| cluster.run(&there, arguments).exit_code;
    // Whichever coordinator is asked.
    let asked = std::cell::Cell::new(0);
    let why = |step: &str| {
        let url = cluster.url(asked.replace((asked.get() + 1) % 3));
        cluster.cullet(&["why", step, "--cluster", &url])
    };
    let remote = story(&there, &run, &why);
    let here = cluster.pipeline("here", "");
    let run = |arguments: &[&str]| {
        let mut command = cluster.command();
        command.env("CULLET_CACHE_DIR", cluster.dir().join("alone")).current_dir(&here);
        command.arg("run").args(arguments).output().unwrap().status.code().unwrap()
    };
    let why = |step: &str| {
        let mut command = cluster.command();
        command.env("CULLET_CACHE_DIR", cluster.dir().join("alone"));
        command.args(["why", step]).output().unwrap().into()
    };
    assert_eq!(remote, story(&here, &run, &why));
    let [new, hit, failed, shipped, inputs, script, variable, all, skipped] = &remote[..] else {
        panic!("{remote:#?}")
    };
    for (text, part) in [
        (new, "because: this is the first time"),
        (hit, "it was executed in run RUN"),
        (failed, "the same key failed before, in run RUN: only successes are reused"),
        (shipped, "it has `effects`: such results are never reused"),
        (inputs, "input b.txt is gone\n  input c.txt is new"),
        (script, "    - exit 3\n    + exit 4"),
        (variable, "variable FOO is new: 'bar'"),
        (all, "because: the run was started with --no-cache"),
        (skipped, "later did not run in RUN and has no key: needs a, which failed"),
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

#[test]
fn runs_are_named_as_elsewhere_and_survive_the_leader() {
    let mut cluster = Cluster::start(3, 1);
    cluster.with_workers(1);
    let step = |body: &str| pipeline(&format!("  x: {{ run: {body} }}\n"));
    let dir = cluster.pipeline("p", &step("echo 1"));
    let first = cluster.run(&dir, &[]);
    first.assert_success();
    let first = first.events[0]["run"].as_str().unwrap().to_owned();
    cluster.pipeline("p", &step("echo 2"));
    cluster.run(&dir, &["--tenant", "another"]).assert_success();
    cluster.run(&dir, &[]).assert_success();
    let leader = cluster.leader_of(&cluster.agreed_leader());
    cluster.kill_coordinator(leader);
    let why = |arguments: &[&str]| {
        let mut command = cluster.command();
        command.env("CULLET_CLUSTER", cluster.urls()).arg("why").args(arguments);
        let answer = Answer::from(command.output().unwrap());
        (answer.exit_code, answer.stdout + &answer.stderr)
    };
    let says = |arguments: &[&str], exit_code: i32, part: &str| {
        let (code, text) = why(arguments);
        assert!(code == exit_code && text.contains(part), "{arguments:?}: {code}\n{text}");
    };
    // The run of another tenant executed the key, and is not the one before.
    says(&["x"], 0, "x was answered by the cache");
    says(&[&first, "x"], 0, "because: this is the first time");
    says(&["x", "--run", &first[..8]], 0, &format!("x was executed in {}", &first[..12]));
    says(&[&first, "x", "--run", &first], 2, "one step of one run");
    says(&["y"], 2, "has no step 'y'");
    says(&["x", "--run", &"0".repeat(32)], 2, "there is no run");
    // What the command remembers of it by itself would be half the truth.
    let alone = cluster.cullet(&["why", "x"]);
    assert_eq!(alone.exit_code, 2, "{}", alone.stdout);
    assert!(alone.stderr.contains("add --cluster http://"), "{}", alone.stderr);
}

#[test]
fn runs_that_overlap_know_of_each_other() {
    let cluster = Cluster::start(1, 1);
    cluster.with_workers(1);
    let url = cluster.url(0);
    let why = |run: &str, step: &str| cluster.cullet(&["why", run, step, "--cluster", &url]);
    let ended = |run: &str| until("x ends", || Some(why(run, "x")).filter(|answer| answer.exit_code == 0));
    let wait = "  wait: { needs: [x], run: sleep 600, effects: true }\n";
    let one = pipeline(&format!("  x: {{ run: sleep 1; echo 1 }}\n{wait}"));
    let one = cluster.detach(&cluster.pipeline("one", &one));
    // Submitted before `x` of the other ends, and begins its own afterwards.
    let two = format!("  first: {{ run: sleep 5 }}\n  x: {{ needs: [first], run: echo 2 }}\n{wait}");
    let two = cluster.detach(&cluster.pipeline("two", &pipeline(&two)));
    assert!(ended(&one).stdout.contains("this is the first time"));
    let live = why(&one, "wait");
    assert_eq!(live.exit_code, 2, "{}", live.stdout);
    assert!(
        live.stderr.contains("step 'wait' of run") && live.stderr.contains("has not ended"),
        "{}",
        live.stderr
    );
    let text = ended(&two).stdout;
    assert!(text.contains(&format!("differs from that of run {}", &one[..12])), "{text}");
    assert!(text.contains("+ echo 2"), "{text}");
    assert!(ended(&one).stdout.contains("this is the first time"), "what came later changes nothing");
}

/// Removes every file with this content.
fn lose(dir: &Path, content: &str) -> usize {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let lost = entries.map(|path| {
        if path.is_dir() {
            return lose(&path, content);
        }
        let is_it = std::fs::read(&path).is_ok_and(|bytes| bytes == content.as_bytes());
        if is_it {
            std::fs::remove_file(&path).unwrap();
        }
        usize::from(is_it)
    });
    lost.sum()
}

#[test]
fn a_result_that_was_not_whole_is_the_reason() {
    let cluster = Cluster::start(1, 1);
    cluster.with_workers(1);
    let dir = cluster.pipeline("p", &pipeline("  x: { run: echo melted > o, outputs: { o: o } }\n"));
    cluster.run(&dir, &[]).assert_success();
    settled(cluster.store());
    assert_eq!(lose(cluster.store(), "melted\n"), 1);
    let again = cluster.run(&dir, &[]);
    again.assert_success();
    assert_eq!(again.executed(), ["x"]);
    let answer = cluster.cullet(&["why", "x", "--cluster", &cluster.url(0)]);
    assert_eq!(answer.exit_code, 0, "{}", answer.stderr);
    let said = "because: the cached result of x is not whole (1 blob is missing): running it again";
    assert!(answer.stdout.contains(said), "{}", answer.stdout);
}
