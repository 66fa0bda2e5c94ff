//! Reads the log of one attempt and cuts it into lines.

use std::sync::Arc;
use std::time::Duration;

use cullet_cache::Stream;
use cullet_proto::v1;
use cullet_worker::logs::LineCutter;
use tokio::sync::{Semaphore, mpsc, watch};

use crate::cluster::{Cluster, LogTail, Missing};

/// Logs that are read at once while their steps run. Beyond, nobody could follow them anyway; each is read to its
/// end when its step has ended.
const RUNNING: usize = 64;

/// Logs that are read at once of steps that have ended, besides: enough to fill a network.
const ENDED: usize = 16;

/// How long the log of a step that has ended may bring nothing. Its worker may be gone and takes a while to be missed,
/// and then the log is in the store.
pub(super) const ENDED_PATIENCE: Duration = Duration::from_secs(10);

/// The same for an attempt that is followed by another one. Mostly its worker is lost, and its log with it.
pub(super) const AGAIN_PATIENCE: Duration = Duration::from_secs(3);

/// Room for those who read.
#[derive(Debug, Clone)]
pub(super) struct Room {
    running: Arc<Semaphore>,
    ended: Arc<Semaphore>,
}

impl Default for Room {
    fn default() -> Self {
        Self { running: Arc::new(Semaphore::new(RUNNING)), ended: Arc::new(Semaphore::new(ENDED)) }
    }
}

/// What comes of a log.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) step: Arc<str>,
    pub(super) attempt: u32,
    pub(super) what: What,
}

/// See [`Heard`].
#[derive(Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Lines of a stream, each with `\n` after it.
    Lines(&'static str, String),
    /// This was all. If not: why.
    End(Option<String>),
}

/// Reads one log.
pub(super) struct Reader {
    pub(super) cluster: Cluster,
    pub(super) run: String,
    pub(super) step: Arc<str>,
    pub(super) attempt: u32,
    /// Says when the attempt is over, and how long its log may bring nothing from then on.
    pub(super) over: watch::Receiver<Option<Duration>>,
    pub(super) room: Room,
    pub(super) to: mpsc::Sender<Heard>,
}

impl Reader {
    /// Reads to the end. The end is always said, last.
    pub(super) async fn read(self) {
        let problem = {
            // Neither is ever closed, so the permit always comes.
            let _permit = tokio::select! {
                biased;
                permit = self.room.running.acquire() => permit,
                _ = self.over() => self.room.ended.acquire().await,
            };
            self.follow().await
        };
        self.say(What::End(problem)).await;
    }

    /// Why not all of it came, if so.
    async fn follow(&self) -> Option<String> {
        let request = v1::ReadLogRequest {
            run: self.run.clone(),
            step: self.step.to_string(),
            attempt: self.attempt,
            offset: 0,
            follow: true,
        };
        // While the attempt runs there is no hurry: its end bounds the time.
        let mut tail = LogTail::new(self.cluster.clone(), request, Missing::MayCome, Duration::MAX);
        let (mut stdout, mut stderr) = (LineCutter::default(), LineCutter::default());
        let problem = loop {
            let printed = tokio::select! {
                biased;
                printed = tail.next() => printed,
                () = self.given_up() => break Some("it can no longer be reached".to_owned()),
            };
            let printed = match printed {
                Ok(Some(printed)) => printed,
                Ok(None) => break None,
                Err(error) => break Some(error.to_string()),
            };
            let (cutter, name) = match printed.stream {
                Stream::Stdout => (&mut stdout, "stdout"),
                Stream::Stderr => (&mut stderr, "stderr"),
            };
            let mut text = String::new();
            cutter.feed(&printed.data, &mut text);
            self.lines(name, text).await;
        };
        for (mut cutter, name) in [(stdout, "stdout"), (stderr, "stderr")] {
            let mut text = String::new();
            cutter.finish(&mut text);
            self.lines(name, text).await;
        }
        problem
    }

    async fn given_up(&self) {
        tokio::time::sleep(self.over().await).await;
    }

    async fn over(&self) -> Duration {
        let mut over = self.over.clone();
        // Where nobody is left to say so, it is over as well.
        let said = over.wait_for(Option::is_some).await.ok().and_then(|patience| *patience);
        said.unwrap_or(ENDED_PATIENCE)
    }

    async fn lines(&self, stream: &'static str, text: String) {
        if !text.is_empty() {
            self.say(What::Lines(stream, text)).await;
        }
    }

    async fn say(&self, what: What) {
        let heard = Heard { step: Arc::clone(&self.step), attempt: self.attempt, what };
        // Nobody listens any more once the follower is dropped.
        let _ = self.to.send(heard).await;
    }
}
