//! What a step prints, on its way from the engine to a log.

use std::pin::Pin;

use bollard::container::LogOutput;
use bollard::errors::Error as ClientError;
use futures_util::{Stream as Streaming, StreamExt as _};
use nix::errno::Errno;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};

use crate::{Exit, LogSink, Stream};

/// What the engine sends.
pub(super) type Output = Pin<Box<dyn Streaming<Item = Result<LogOutput, ClientError>> + Send>>;

/// Pieces that wait for the log: engines send at most 32 KiB in one, and stop reading the step's pipe beyond that.
const WAITING: usize = 8;

/// The most that a [`LogSink`] takes at once.
const CHUNK: usize = 64 << 10;

/// How the engine's init begins to say that it cannot run the step's program (tini, `src/tini.c`).
const FATAL: &[u8] = b"[FATAL tini (";
/// The longest such line: a name of 4,095 bytes, and words.
const LONGEST: usize = 4600;

/// Takes what the engine sends until it sends no more.
#[derive(Debug)]
pub(super) struct Listening {
    reading: JoinHandle<Result<(), ClientError>>,
    /// How that ended, where it was waited for.
    read: Option<Result<Result<(), ClientError>, JoinError>>,
    writing: JoinHandle<Said>,
}

impl Listening {
    /// Logs are written on a thread that may block.
    pub(super) fn start(mut output: Output, log: Box<dyn LogSink>) -> Self {
        let (sender, mut receiver) = mpsc::channel::<(Stream, bytes::Bytes)>(WAITING);
        let reading = tokio::spawn(async move {
            while let Some(piece) = output.next().await {
                let piece = match piece? {
                    LogOutput::StdOut { message } => (Stream::Stdout, message),
                    LogOutput::StdErr { message } => (Stream::Stderr, message),
                    LogOutput::StdIn { .. } | LogOutput::Console { .. } => continue,
                };
                if sender.send(piece).await.is_err() {
                    break;
                }
            }
            Ok(())
        });
        let writing = tokio::task::spawn_blocking(move || {
            let mut said = Said { log, held: Some(Vec::new()) };
            while let Some((stream, bytes)) = receiver.blocking_recv() {
                said.write(stream, &bytes);
            }
            said
        });
        Self { reading, read: None, writing }
    }

    /// Until the engine sends no more.
    pub(super) async fn ended(&mut self) {
        if self.read.is_none() {
            self.read = Some((&mut self.reading).await);
        }
    }

    /// Waits until all is written; `ended` is how the step's program `name` ended, as the engine has it. How it ended, as
    /// the sandbox has it, is the answer, or why not everything has come.
    pub(super) async fn finish(mut self, name: &str, ended: Exit) -> Result<Exit, String> {
        self.ended().await;
        let read = self.read.unwrap_or(Ok(Ok(()))).map_err(|error| error.to_string())?;
        let said = self.writing.await.map_err(|error| error.to_string())?;
        read.map_err(|error| super::error::said(&error))?;
        let name = name.to_owned();
        let finished = tokio::task::spawn_blocking(move || said.finish(&name, ended)).await;
        finished.map_err(|error| error.to_string())
    }
}

struct Said {
    log: Box<dyn LogSink>,
    /// The beginning of standard error while it may be what the init says. None once it is not.
    held: Option<Vec<u8>>,
}

impl std::fmt::Debug for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Said").field("held", &self.held).finish_non_exhaustive()
    }
}

impl Said {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        if stream == Stream::Stderr
            && let Some(held) = &mut self.held
        {
            held.extend_from_slice(bytes);
            let common = held.len().min(FATAL.len());
            if held[..common] == FATAL[..common] && held.len() <= LONGEST {
                return;
            }
            let held = std::mem::take(held);
            self.held = None;
            return self.pass(stream, &held);
        }
        self.pass(stream, bytes);
    }

    fn pass(&mut self, stream: Stream, bytes: &[u8]) {
        for piece in bytes.chunks(CHUNK) {
            self.log.write(stream, piece);
        }
    }

    /// What the init says of a program that cannot be run is said as the sandbox says it, with its exit code.
    fn finish(mut self, name: &str, ended: Exit) -> Exit {
        let held = self.held.take().unwrap_or_default();
        let (line, exit) = match refusal(&held, name, ended) {
            Some((line, exit)) => (line.into_bytes(), exit),
            None => (held, ended),
        };
        self.pass(Stream::Stderr, &line);
        exit
    }
}

/// `[FATAL tini (7)] exec NAME failed: REASON`.
fn refusal(held: &[u8], name: &str, ended: Exit) -> Option<(String, Exit)> {
    let text = std::str::from_utf8(held).ok()?.strip_suffix('\n')?;
    let (_, said) = text.split_once("] ")?;
    let reason = said.strip_prefix("exec ")?.strip_prefix(name)?.strip_prefix(" failed: ")?;
    let exit = match ended {
        Exit::Code(127) => ended,
        // What the kernel does not take has no code of its own there.
        Exit::Code(1 | 126) => Exit::Code(126),
        _ => return None,
    };
    // Cullet's own program says the number.
    let number = reason.strip_prefix('#').and_then(|number| number.parse().ok());
    let reason = number.map_or(reason, |number| Errno::from_raw(number).desc());
    (!reason.contains('\n')).then(|| (format!("cullet: cannot run '{name}': {reason}\n"), exit))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Heard(Arc<Mutex<Vec<(Stream, String)>>>);

    impl LogSink for Heard {
        fn write(&mut self, stream: Stream, bytes: &[u8]) {
            assert!(bytes.len() <= CHUNK);
            let mut heard = self.0.lock().unwrap();
            match heard.last_mut() {
                Some((last, text)) if *last == stream => text.push_str(std::str::from_utf8(bytes).unwrap()),
                _ => heard.push((stream, String::from_utf8(bytes.to_vec()).unwrap())),
            }
        }
    }

    fn heard(pieces: &[(Stream, &str)], ended: i32) -> (Vec<(Stream, String)>, Exit) {
        let heard = Heard::default();
        let mut said = Said { log: Box::new(heard.clone()), held: Some(Vec::new()) };
        for (stream, piece) in pieces {
            said.write(*stream, piece.as_bytes());
        }
        let exit = said.finish("prog", Exit::Code(ended));
        (heard.0.lock().unwrap().clone(), exit)
    }

    #[test]
    fn what_the_init_says_is_said_as_in_the_sandbox() {
        let err = |text: &str| vec![(Stream::Stderr, text.to_owned())];
        let missing = "[FATAL tini (7)] exec prog failed: No such file or directory\n";
        let (said, exit) = heard(&[(Stream::Stderr, missing)], 127);
        assert_eq!(
            (said, exit),
            (err("cullet: cannot run 'prog': No such file or directory\n"), Exit::Code(127))
        );
        let (said, _) = heard(&[(Stream::Stderr, "[FATAL tini (7)] exec prog failed: #013\n")], 126);
        assert_eq!(said, err("cullet: cannot run 'prog': Permission denied\n"));
        let parts = [
            (Stream::Stderr, "[FATAL ti"),
            (Stream::Stderr, "ni (7)] exec prog failed: Exec format error\n"),
        ];
        let (said, exit) = heard(&parts, 1);
        assert_eq!((said, exit), (err("cullet: cannot run 'prog': Exec format error\n"), Exit::Code(126)));
    }

    #[test]
    fn what_the_step_says_stays_as_it_is() {
        let missing = "[FATAL tini (7)] exec prog failed: No such file or directory\n";
        for (text, ended) in [
            (missing.to_owned(), 0),
            (missing.replace("prog", "other"), 127),
            (format!("{missing}and more\n"), 127),
            ("[FATAL tini (7)".to_owned(), 127),
            ("[FATAL other\n".to_owned(), 1),
            ("x".repeat(2 * CHUNK), 1),
            (String::from_utf8(FATAL.to_vec()).unwrap() + &"x".repeat(LONGEST), 1),
        ] {
            let (said, exit) = heard(&[(Stream::Stderr, &text)], ended);
            assert_eq!((said, exit), (vec![(Stream::Stderr, text)], Exit::Code(ended)));
        }
        let (said, _) =
            heard(&[(Stream::Stdout, missing), (Stream::Stderr, "a"), (Stream::Stdout, "b")], 127);
        let is = |stream, text: &str| (stream, text.to_owned());
        assert_eq!(said, [is(Stream::Stdout, missing), is(Stream::Stderr, "a"), is(Stream::Stdout, "b")]);
    }
}
