//! Somebody who sits at a terminal.

use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cullet_tests::{Checkout, User, within};

/// Starts its arguments at a terminal: script(1) takes them as one line for a shell.
const TERMINAL: &str = r#"for word; do line="$line '$word'"; done; exec script -qec "$line" /dev/null"#;

/// A person at a terminal, which script(1) makes.
pub(crate) struct Person {
    pub(crate) script: Child,
    seen: Arc<Mutex<String>>,
}

impl Person {
    pub(crate) fn starts(user: &User, checkout: &Checkout, arguments: &[&str]) -> Self {
        Self::of(&user.command(checkout.path(), arguments.iter().copied()))
    }

    /// With a command of whatever environment.
    pub(crate) fn of(cullet: &Command) -> Self {
        let mut script = within("sh", ["-c", TERMINAL, "sh"], cullet);
        let mut script =
            script.env("TERM", "xterm").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let seen = Arc::new(Mutex::new(String::new()));
        let (mut screen, seeing) = (script.stdout.take().unwrap(), Arc::clone(&seen));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = screen.read(&mut buffer) {
                seeing.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
        });
        Self { script, seen }
    }

    pub(crate) fn sees(&self, text: &str) {
        let deadline = Instant::now() + Duration::from_secs(150);
        while !self.seen.lock().unwrap().contains(text) {
            assert!(Instant::now() < deadline, "no '{text}' in {}", self.seen.lock().unwrap());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn types(&mut self, text: &str) {
        self.script.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// The exit code, and everything on the screen.
    pub(crate) fn ends(mut self) -> (Option<i32>, String) {
        let status = self.script.wait().unwrap();
        std::thread::sleep(Duration::from_millis(100));
        (status.code(), self.seen.lock().unwrap().clone())
    }
}

/// The same command, deaf to the end of its terminal, as `nohup` starts it.
pub(crate) fn deaf(command: &Command) -> Command {
    within("sh", ["-c", "trap '' HUP; exec \"$@\"", "sh"], command)
}
