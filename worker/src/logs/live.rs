//! A bounded queue of lines from running steps to whoever shows them.
//!
//! A reader that keeps reading sees every line: where it is slower than a step, that step waits for it, and no
//! other does. A reader that has stopped altogether stops no step: after [`STALL`] without any progress lines
//! are counted instead of kept, until there is room again. The stored log is complete either way.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::LogEvents;
use crate::executor::Stream;

/// How long a step waits for a reader that does not read at all. Longer than a terminal or a disk hesitates.
const STALL: Duration = Duration::from_secs(2);

/// Some lines of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveLines {
    /// Whose: as given to [`LiveSource::sender`].
    pub tag: u64,
    /// Which stream.
    pub stream: Stream,
    /// Whole lines, each ended by `\n`.
    pub text: String,
    /// How many lines of this step went by unseen just before these.
    pub unseen: u64,
}

/// Makes the sending ends. The queue ends when it and all of them are dropped.
#[derive(Debug, Clone)]
pub struct LiveSource(Arc<End>);

/// The receiving end.
#[derive(Debug)]
pub struct LiveReader(Arc<Queue>);

/// The sending end of one step.
#[derive(Debug)]
pub struct LiveSender {
    end: Arc<End>,
    tag: u64,
    unseen: u64,
}

/// Closes the queue when the last sender is gone.
#[derive(Debug)]
struct End(Arc<Queue>);

#[derive(Debug)]
struct Queue {
    state: Mutex<State>,
    room: Condvar,
    filled: Notify,
    limit: usize,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<LiveLines>,
    bytes: usize,
    taken: u64,
    closed: bool,
    abandoned: bool,
}

/// A queue that holds about `limit` bytes of text; 1 MiB is plenty for any reader that is merely slow.
pub fn live_log(limit: usize) -> (LiveSource, LiveReader) {
    let queue = Queue {
        state: Mutex::default(),
        room: Condvar::new(),
        filled: Notify::new(),
        // Room for one full call of the sink at least, or nothing would ever fit.
        limit: limit.max(256 << 10),
    };
    let queue = Arc::new(queue);
    (LiveSource(Arc::new(End(Arc::clone(&queue)))), LiveReader(queue))
}

impl LiveSource {
    /// The sending end of the step that the caller knows as `tag`.
    pub fn sender(&self, tag: u64) -> LiveSender {
        LiveSender { end: Arc::clone(&self.0), tag, unseen: 0 }
    }
}

impl LiveReader {
    /// The next lines; none when no step can send any more. May be dropped and called again.
    pub async fn next(&mut self) -> Option<LiveLines> {
        loop {
            {
                let mut state = self.0.lock();
                if let Some(lines) = state.lines.pop_front() {
                    state.bytes -= lines.text.len();
                    state.taken += 1;
                    self.0.room.notify_all();
                    return Some(lines);
                }
                if state.closed {
                    return None;
                }
            }
            // A permit is stored if the queue was filled in between: there is one reader.
            self.0.filled.notified().await;
        }
    }
}

impl LogEvents for LiveSender {
    fn lines(&mut self, stream: Stream, text: &str) {
        let queue = &*self.end.0;
        let mut state = queue.lock();
        if state.bytes + text.len() > queue.limit && self.unseen == 0 {
            state = queue.wait_for_room(state, text.len());
        }
        if state.abandoned {
            return;
        }
        if state.bytes + text.len() > queue.limit {
            self.unseen += text.lines().count() as u64;
            return;
        }
        let unseen = std::mem::take(&mut self.unseen);
        state.bytes += text.len();
        state.lines.push_back(LiveLines { tag: self.tag, stream, text: text.to_owned(), unseen });
        drop(state);
        queue.filled.notify_one();
    }
}

impl Drop for LiveSender {
    fn drop(&mut self) {
        if self.unseen > 0 {
            // No text, so no room is needed: at most one such entry for each step.
            let last =
                LiveLines { tag: self.tag, stream: Stream::Stdout, text: String::new(), unseen: self.unseen };
            self.end.0.lock().lines.push_back(last);
            self.end.0.filled.notify_one();
        }
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_for_room<'a>(&'a self, mut state: MutexGuard<'a, State>, bytes: usize) -> MutexGuard<'a, State> {
        let (mut seen, mut since) = (state.taken, Instant::now());
        while state.bytes + bytes > self.limit && !state.abandoned && since.elapsed() < STALL {
            let waited = self.room.wait_timeout(state, STALL.saturating_sub(since.elapsed()));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.taken != seen {
                (seen, since) = (state.taken, Instant::now());
            }
        }
        state
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.filled.notify_one();
    }
}

impl Drop for LiveReader {
    fn drop(&mut self) {
        self.0.lock().abandoned = true;
        self.0.room.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_slow_reader_sees_every_line() {
        let (source, mut reader) = live_log(0);
        let mut sender = source.sender(7);
        drop(source);
        let writer = std::thread::spawn(move || {
            let chunk = "0123456789\n".repeat(4000);
            (0..50).for_each(|_| sender.lines(Stream::Stdout, &chunk));
        });
        let (mut lines, mut most) = (0, 0);
        while let Some(some) = reader.next().await {
            assert_eq!((some.tag, some.unseen), (7, 0));
            lines += some.text.lines().count();
            most = most.max(reader.0.lock().bytes);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        writer.join().unwrap();
        assert_eq!(lines, 50 * 4000);
        assert!(most <= 256 << 10);
    }

    #[tokio::test]
    async fn a_reader_that_has_stopped_stops_no_step_and_is_told_what_it_missed() {
        let (source, mut reader) = live_log(0);
        let (mut stuck, mut sender) = (source.sender(1), source.sender(2));
        let chunk = "x".repeat(200 << 10) + "\n";
        stuck.lines(Stream::Stdout, &chunk);
        let started = Instant::now();
        for _ in 0..100 {
            sender.lines(Stream::Stderr, &chunk);
        }
        assert!(started.elapsed() < 3 * STALL);
        assert_eq!(reader.next().await.map(|lines| lines.tag), Some(1));
        sender.lines(Stream::Stderr, "after\n");
        let after = LiveLines { tag: 2, stream: Stream::Stderr, text: "after\n".to_owned(), unseen: 100 };
        assert_eq!(reader.next().await, Some(after));
        drop(reader);
        sender.lines(Stream::Stderr, &chunk);
        sender.lines(Stream::Stderr, &chunk);
    }
}
