use cullet_coordinator::TestSummary;
use cullet_coordinator::event::{SharedUse, StepEnd, Usage};

use super::*;
use crate::ui::testing::{Paper, at, ended, finished, log, run, started};

fn show(events: &[Event], closing: &Closing) -> String {
    let paper = Paper::default();
    let mut plain = Plain::new(paper.output(), Style::PLAIN);
    for event in events {
        plain.event(event, at(1500));
    }
    plain.close(closing, at(2500));
    paper.text()
}

#[test]
fn a_failed_run_reads_like_this() {
    let tests = TestSummary {
        tests: 25,
        failed: 22,
        skipped: 0,
        failures: (0..22).map(|n| format!("suite::case_{n}")).collect(),
    };
    let mut events = vec![run(&["lint", "build", "test[shard=1]", "deploy", "notify"])];
    events.push(finished("lint", "succeeded", |end| end.cached = true));
    events.push(started("build", 1));
    events.push(log("build", "of no interest"));
    events.push(finished("build", "succeeded", |_| {}));
    events.push(started("test[shard=1]", 1));
    events.push(log("test[shard=1]", "first attempt"));
    events.push(started("test[shard=1]", 2));
    let (level, text) = ("warning".to_owned(), "careful".to_owned());
    events.push(Event::Note(Note { level, kind: None, step: None, text }));
    events.extend((0..203).map(|line| log("test[shard=1]", &format!("line {line}"))));
    events.push(finished("test[shard=1]", "failed", |end| {
        end.exit_code = Some(101);
        end.tests = Some(tests);
    }));
    for step in ["deploy", "notify"] {
        events.push(finished(step, "skipped", |end| end.reason = Some("test[shard=1] failed".to_owned())));
    }
    events.push(ended("failed", |end| {
        (end.executed, end.cached, end.failed, end.skipped, end.saved_ms) = (2, 1, 1, 2, 61_000);
    }));
    let text = show(&events, &Closing::default());
    let (before, rest) = text.split_once("line 3\n").unwrap();
    let (lines, after) = rest.split_once("line 202\n").unwrap();
    assert_eq!(before, include_str!("failed-before.txt"));
    assert_eq!(lines.lines().count(), 198);
    assert_eq!(after, include_str!("failed-after.txt"));
}

#[test]
fn a_large_run_from_the_cache_is_a_few_lines() {
    let names: Vec<String> = (0..10_000).map(|n| format!("s{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut events = vec![run(&names)];
    events.extend(names.iter().map(|name| finished(name, "succeeded", |end| end.cached = true)));
    events.push(ended("succeeded", |end| (end.cached, end.saved_ms) = (10_000, 3_600_000)));
    let text = show(&events, &Closing { outputs: Some(("dist".into(), 2)), ..Closing::default() });
    let expected = "[   1.5s] app: 10000 steps, run 0123456789abcdef0123456789abcdef\n\
                    + succeeded app in 2.5s, 0 executed, 10000 cached (saved 1h 00m)\n  \
                    2 outputs written to dist\n";
    assert_eq!(text, expected);
}

#[test]
fn what_a_shared_cache_did_is_said() {
    let text_of = |change: fn(&mut SharedUse)| {
        let mut shared = SharedUse { location: "s3://team/ci".to_owned(), ..SharedUse::default() };
        change(&mut shared);
        let shared = Some(shared);
        let events = [
            run(&["a"]),
            ended("succeeded", |end| {
                (end.cached, end.shared_cache) = (12, shared);
            }),
        ];
        show(&events, &Closing::default())
    };
    let text = text_of(|shared| (shared.cached_shared, shared.downloaded_bytes) = (9, 3_600_000));
    assert!(text.ends_with("0 executed, 12 cached (9 from s3://team/ci), 3.4 MiB downloaded\n"), "{text}");
    let text = text_of(|shared| shared.uploaded_bytes = 1 << 20);
    assert!(text.ends_with("0 executed, 12 cached, 1.0 MiB uploaded\n"), "{text}");
    assert!(text_of(|_| ()).ends_with("0 executed, 12 cached\n"));
}

#[test]
fn what_a_run_took_is_said_where_it_is_much() {
    let took = |cpu_ms, peak_memory_bytes| {
        let (read_bytes, written_bytes) = (1 << 20, 3 << 20);
        move |end: &mut StepEnd| {
            end.usage = Some(Usage { cpu_ms, peak_memory_bytes, read_bytes, written_bytes });
        }
    };
    let events = |last| {
        [
            run(&["a", "b"]),
            finished("a", "succeeded", took(9_000, 3 << 30)),
            finished("b", "succeeded", took(last, 1 << 20)),
            ended("succeeded", |end| end.executed = 2),
        ]
    };
    let closing = Closing::default();
    let said = "  took 1m 30s of processor time, and at most 3.0 GiB of memory (a); \
                read 2.0 MiB and wrote 6.0 MiB\n";
    let text = show(&events(81_000), &closing);
    assert!(text.ends_with(said), "{text}");
    assert!(!show(&events(10), &closing).contains("processor"));
}

#[test]
fn nobody_reading_does_not_stop_the_run() {
    struct Gone;
    impl std::io::Write for Gone {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut plain = Plain::new(Output::new(Box::new(Gone)), Style::PLAIN);
    plain.event(&run(&["a"]), at(0));
    plain.tick(at(100));
    plain.event(&started("a", 1), at(0));
    plain.close(&Closing::default(), at(200));
}
