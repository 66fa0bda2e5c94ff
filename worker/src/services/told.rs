//! What is said of services.

use std::collections::VecDeque;
use std::time::Duration;

use crate::Exit;
use crate::sandbox::protocol::Ending;

/// How many lines are quoted, and how many characters of each: the log has the rest.
const LINES: usize = 3;
const CHARACTERS: usize = 200;

/// The last lines of something that prints.
#[derive(Debug, Default)]
pub(crate) struct LastLines {
    whole: VecDeque<String>,
    /// Without its end so far.
    partial: Vec<u8>,
}

impl LastLines {
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = (4 * CHARACTERS).saturating_sub(self.partial.len());
            let text = piece.strip_suffix(b"\n");
            self.partial.extend(text.unwrap_or(piece).iter().take(room));
            if text.is_some() {
                let line = shown(&std::mem::take(&mut self.partial));
                self.whole.extend(line);
                while self.whole.len() > LINES {
                    self.whole.pop_front();
                }
            }
        }
    }

    /// As the end of a sentence about whoever printed them; nothing where there are none.
    pub(crate) fn told(&self, who: &str) -> String {
        let partial = shown(&self.partial);
        let lines: Vec<&str> = self.whole.iter().chain(&partial).map(String::as_str).collect();
        let last = &lines[lines.len().saturating_sub(LINES)..];
        if last.is_empty() { String::new() } else { format!("; {who} said: {}", last.join(" / ")) }
    }
}

/// One line, if there is something to see in it.
fn shown(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim();
    let cut: String = text.chars().take(CHARACTERS).collect();
    let more = if cut.len() < text.len() { "…" } else { "" };
    (!text.is_empty()).then(|| format!("{cut}{more}"))
}

/// How a process ended, as the end of a sentence.
pub(crate) fn ended(ending: Ending) -> String {
    match ending {
        Ending::Code(code) => format!("ended with exit code {code}"),
        Ending::Signal(signal) => format!("was killed by signal {signal}"),
    }
}

/// How a service ended by itself; none where it was stopped.
pub(crate) fn by_itself(exit: Exit) -> Option<String> {
    match exit {
        Exit::Code(code) => Some(ended(Ending::Code(code))),
        Exit::Signal(signal) => Some(ended(Ending::Signal(signal))),
        Exit::TimedOut | Exit::Cancelled => None,
    }
}

/// One that was not ready in time.
pub(crate) fn late(name: &str, waited: Duration, trouble: &str, last: &LastLines) -> String {
    format!("the service '{name}' was not ready within {waited:?}: {trouble}{}", last.told("the service"))
}

/// One that did not live to see the step begin.
pub(crate) fn early(name: &str, how: &str, lived: Duration, last: &LastLines) -> String {
    let lived = lived.as_secs_f64();
    let said = last.told("it");
    format!("the service '{name}' {how} after {lived:.1} seconds, before the step began{said}")
}

/// One that did not last as long as the step.
pub(crate) fn meanwhile(name: &str, how: &str, last: &LastLines) -> String {
    format!("the service '{name}' {how} while the step ran{}", last.told("it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_short() {
        let mut last = LastLines::default();
        assert_eq!(last.told("it"), "");
        last.add(b"one\ntwo\n\nthr");
        last.add(b"ee\n  four");
        assert_eq!(last.told("it"), "; it said: two / three / four");
        let mut long = LastLines::default();
        for _ in 0..1000 {
            long.add("ä".repeat(1000).as_bytes());
        }
        let told = long.told("it");
        assert_eq!(told.chars().filter(|c| *c == 'ä').count(), CHARACTERS);
        assert!(told.ends_with('…'));
    }

    #[test]
    fn sentences_say_who_how_and_what_it_said() {
        let mut last = LastLines::default();
        last.add(b"FATAL: no\n");
        let (waited, trouble) = (Duration::from_secs(30), "nothing listens at port 5432");
        let said = "the service 'db' was not ready within 30s: nothing listens at port 5432; the service said: FATAL: no";
        assert_eq!(late("db", waited, trouble, &last), said);
        let how = by_itself(Exit::Code(1)).unwrap();
        let said = "the service 'db' ended with exit code 1 after 1.5 seconds, before the step began; it said: FATAL: no";
        assert_eq!(early("db", &how, Duration::from_millis(1500), &last), said);
        let how = by_itself(Exit::Signal(9)).unwrap();
        let said = "the service 'db' was killed by signal 9 while the step ran; it said: FATAL: no";
        assert_eq!(meanwhile("db", &how, &last), said);
        assert_eq!(by_itself(Exit::Cancelled), None);
    }
}
