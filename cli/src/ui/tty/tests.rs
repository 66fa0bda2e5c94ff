use std::sync::{Arc, Mutex};
use std::time::Duration;

use cullet_coordinator::{RunEnd, RunStart, StepLog, StepStart};

use super::*;

/// A terminal of a given size that a [`Tty`] draws on.
struct Screen {
    parser: Arc<Mutex<vt100::Parser>>,
    size: Arc<Mutex<(usize, usize)>>,
    tty: Tty,
    elapsed: Duration,
}

struct Feed(Arc<Mutex<vt100::Parser>>);

impl std::io::Write for Feed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().process(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Screen {
    fn new(columns: usize, rows: usize) -> Self {
        let parser = Arc::new(Mutex::new(vt100::Parser::new(rows as u16, columns as u16, 1000)));
        let size = Arc::new(Mutex::new((columns, rows)));
        let asked = Arc::clone(&size);
        let out = Output::new(Box::new(Feed(Arc::clone(&parser))));
        let style = Style { color: true, unicode: true };
        let tty = Tty::new(out, style, Box::new(move || *asked.lock().unwrap()));
        Self { parser, size, tty, elapsed: Duration::ZERO }
    }

    fn resize(&mut self, columns: usize, rows: usize) {
        *self.size.lock().unwrap() = (columns, rows);
        self.parser.lock().unwrap().screen_mut().set_size(rows as u16, columns as u16);
    }

    fn now(&self) -> Moment {
        Moment { elapsed: self.elapsed, wall_ms: 0 }
    }

    fn event(&mut self, event: Event) {
        self.tty.event(&event, self.now());
    }

    fn start(&mut self, steps: &[&str]) {
        let steps = steps.iter().map(|step| (*step).to_owned()).collect();
        let run = "0123456789abcdef0123456789abcdef".to_owned();
        self.event(Event::RunStarted(RunStart { run, pipeline: "app".to_owned(), steps }));
    }

    fn step(&mut self, step: &str) {
        let start = StepStart { step: step.to_owned(), attempt: 1, worker: "local".to_owned() };
        self.event(Event::StepStarted(start));
    }

    fn log(&mut self, step: &str, text: &str) {
        let log = StepLog { step: step.to_owned(), stream: "stdout".to_owned(), text: text.to_owned() };
        self.event(Event::StepLog(log));
    }

    fn finish(&mut self, step: &str, status: &str, cached: bool) {
        let exit_code = (status == "failed").then_some(1);
        let (step, status) = (step.to_owned(), status.to_owned());
        let end = StepEnd { step, status, cached, exit_code, duration_ms: 1500, ..StepEnd::default() };
        self.event(Event::StepFinished(end));
    }

    fn tick(&mut self) {
        self.elapsed += Duration::from_millis(100);
        let now = self.now();
        self.tty.tick(now);
    }

    /// What stands on the screen, without empty lines at the end.
    fn text(&self) -> String {
        self.parser.lock().unwrap().screen().contents().trim_end().to_owned()
    }
}

#[test]
fn running_steps_show_their_last_lines_and_finished_ones_scroll_above() {
    let mut screen = Screen::new(60, 20);
    screen.start(&["lint", "build", "test"]);
    screen.finish("lint", "succeeded", true);
    screen.step("build");
    screen.log("build", "Compiling \x1b[32mfoo\x1b[0m");
    screen.log("build", "10%\r20%");
    screen.tick();
    let expected =
        "app 100ms 1/3 done · 1 cached · 1 running\n  ● build 100ms\n    │ Compiling foo\n    │ 20%";
    assert_eq!(screen.text(), expected);

    screen.finish("build", "succeeded", false);
    screen.step("test");
    screen.tick();
    let expected = "✓ build 1.5s\napp 200ms 2/3 done · 1 cached · 1 running\n  ● test 100ms";
    assert_eq!(screen.text(), expected);
}

#[test]
fn a_failure_is_shown_at_once_and_again_at_the_end() {
    let mut screen = Screen::new(70, 30);
    screen.start(&["build"]);
    screen.step("build");
    screen.log("build", "error: no");
    screen.finish("build", "failed", false);
    assert!(screen.text().starts_with("✗ build: exit code 1 1.5s\n    error: no\n"), "{}", screen.text());

    let end = RunEnd {
        status: "failed".to_owned(),
        executed: 1,
        failed: 1,
        duration_ms: 1600,
        ..RunEnd::default()
    };
    screen.event(Event::RunFinished(end));
    let now = screen.now();
    screen.tty.close(&Closing::default(), now);
    let expected = "✗ build: exit code 1 1.5s\n    error: no\n\n--- build: exit code 1 ---\nerror: no\n\n\
                    Failed\n  ✗ build: exit code 1\n\n✗ failed app in 1.6s · 1 executed · 0 cached · 1 failed\n  \
                    log: cullet logs 0123456789ab build\n  key: cullet why build --run 0123456789ab";
    assert_eq!(screen.text(), expected);
}

#[test]
fn many_steps_fit_any_terminal() {
    let names: Vec<String> = (0..40).map(|n| format!("a-step-with-a-long-name-日本語[n={n}]")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for (columns, rows) in [(80, 24), (20, 5), (10, 2), (1, 1), (200, 100)] {
        let mut screen = Screen::new(columns, rows);
        screen.start(&names);
        for name in &names {
            screen.step(name);
            screen.log(name, &"wide 日本語 ".repeat(40));
        }
        for _ in 0..3 {
            screen.tick();
        }
        let text = screen.text();
        let lines = text.lines().count();
        assert!(lines <= rows, "{columns}x{rows}: {lines} lines\n{text}");
        let headers = screen.parser.lock().unwrap().screen().contents().matches("app ").count();
        assert!(headers <= 1, "{columns}x{rows}: drawn twice\n{text}");
    }
}

#[test]
fn resizing_never_erases_what_was_above() {
    let mut screen = Screen::new(80, 24);
    screen.start(&["a", "b", "c"]);
    screen.step("a");
    screen.finish("a", "succeeded", false);
    screen.step("b");
    screen.log("b", &"x".repeat(70));
    screen.tick();
    for (columns, rows) in [(30, 24), (120, 40), (50, 10)] {
        screen.resize(columns, rows);
        screen.tick();
        assert!(screen.text().contains("✓ a 1.5s"), "{columns}x{rows}\n{}", screen.text());
    }
}

#[test]
fn a_short_run_draws_nothing_but_its_summary() {
    let mut screen = Screen::new(80, 24);
    screen.start(&["a"]);
    screen.finish("a", "succeeded", true);
    let end = RunEnd {
        status: "succeeded".to_owned(),
        cached: 1,
        duration_ms: 7,
        saved_ms: 2000,
        ..RunEnd::default()
    };
    screen.event(Event::RunFinished(end));
    assert_eq!(screen.text(), "");
    let now = screen.now();
    screen.tty.close(&Closing { outputs: Some(("out".into(), 1)), ..Closing::default() }, now);
    let expected = "✓ succeeded app in 7ms · 0 executed · 1 cached (saved 2.0s)\n  1 output written to out";
    assert_eq!(screen.text(), expected);
}
