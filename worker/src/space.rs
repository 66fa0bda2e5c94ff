//! Full disks: whose fault a failure is, and when a machine has no room for steps.

use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::{ExecuteError, Execution, Exit, Launch, LogSink, StepExecutor};

/// Free bytes below which a disk counts as full: 1 MiB. Whoever needs more than a few blocks has failed by then.
const FULL: u64 = 1 << 20;

/// Whether the filesystem of this path has no room for those who are not root. One that cannot be asked is not full.
pub fn is_full(path: &Path) -> bool {
    rustix::fs::statvfs(path).is_ok_and(|stat| {
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        // A filesystem that does not count blocks, or inodes, says that there are none at all.
        (stat.f_blocks > 0 && free < FULL) || (stat.f_files > 0 && stat.f_favail == 0)
    })
}

/// Whether a machine has room for steps. Clones share it.
#[derive(Debug, Clone)]
pub struct Room(Arc<watch::Sender<bool>>);

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(true)))
    }
}

impl Room {
    /// Whether there is.
    pub fn is_there(&self) -> bool {
        *self.0.borrow()
    }

    /// There is none, or there is again. Whether that is news.
    pub fn set(&self, is_there: bool) -> bool {
        self.0.send_if_modified(|known| std::mem::replace(known, is_there) != is_there)
    }

    pub(crate) fn changes(&self) -> watch::Receiver<bool> {
        self.0.subscribe()
    }
}

/// Between two looks at the free space while a step runs: what a step fills in less is looked at when it ends.
const LOOK: Duration = Duration::from_millis(100);

/// An executor for a machine that is one of many: a step that fails while the disk is full has not failed by itself,
/// and may fit elsewhere. It counts as one if the disk was full at any time while it ran: another step may have been
/// what filled it, and may be gone when this one ends.
#[derive(Debug)]
pub struct SpaceWatching {
    inner: Arc<dyn StepExecutor>,
    room: Room,
    is_full: fn(&Path) -> bool,
    /// When the disk was seen full last.
    seen_full: Mutex<Option<Instant>>,
}

impl SpaceWatching {
    /// Around this executor. That there is no room is said before a step is refused for it, so that it is tried again
    /// elsewhere; who says that there is again is somebody else.
    pub fn new(inner: Arc<dyn StepExecutor>, room: Room) -> Self {
        Self { inner, room, is_full, seen_full: Mutex::default() }
    }

    /// Looks, for all steps that run now.
    fn look(&self, place: &Path) {
        if (self.is_full)(place) {
            *self.seen_full.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
            if self.room.set(false) {
                tracing::error!(place = %place.display(), "the disk is full: takes no more steps until there is room");
            }
        }
    }

    fn was_full_since(&self, began: Instant) -> bool {
        let seen = *self.seen_full.lock().unwrap_or_else(PoisonError::into_inner);
        seen.is_some_and(|seen| seen >= began)
    }

    async fn look_for_ever(&self, place: &Path) -> Infallible {
        loop {
            sleep(LOOK).await;
            self.look(place);
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl StepExecutor for SpaceWatching {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    async fn execute(
        &self,
        launch: Launch,
        log: Box<dyn LogSink>,
        cancel: CancellationToken,
    ) -> Result<Execution, ExecuteError> {
        let (place, began) = (launch.scratch.clone(), Instant::now());
        let refused = || Err(ExecuteError::NoSpace { path: place.clone() });
        self.look(&place);
        if self.was_full_since(began) {
            return refused();
        }
        let executed = tokio::select! {
            executed = self.inner.execute(launch, log, cancel) => executed,
            never = self.look_for_ever(&place) => match never {},
        };
        // Nothing of the step is removed yet.
        self.look(&place);
        let execution = executed?;
        match execution.exit {
            Exit::Code(0) | Exit::Cancelled => Ok(execution),
            Exit::Code(_) | Exit::Signal(_) | Exit::TimedOut if self.was_full_since(began) => refused(),
            Exit::Code(_) | Exit::Signal(_) | Exit::TimedOut => Ok(execution),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::SystemTime;

    use super::*;
    use crate::Stream;

    #[derive(Debug)]
    struct Ends(Exit);

    #[async_trait]
    impl StepExecutor for Ends {
        fn name(&self) -> &'static str {
            "ends"
        }

        async fn execute(
            &self,
            _: Launch,
            _: Box<dyn LogSink>,
            _: CancellationToken,
        ) -> Result<Execution, ExecuteError> {
            let (started_at, duration) = (SystemTime::UNIX_EPOCH, Duration::ZERO);
            let usage = crate::Usage::default();
            Ok(Execution {
                exit: self.0,
                started_at,
                duration,
                usage,
                out_of_memory: 0,
                out_of_disk: 0,
                workspace: vec![],
                root_upper: None,
                engine_upper: None,
                services: Vec::new(),
            })
        }
    }

    struct Nobody;

    impl LogSink for Nobody {
        fn write(&mut self, _: Stream, _: &[u8]) {}
    }

    fn launch(seconds: u64) -> Launch {
        Launch {
            arguments: vec![],
            env: vec![],
            working_directory: String::new(),
            inputs: PathBuf::new(),
            scratch: PathBuf::new(),
            network: false,
            timeout: Duration::from_secs(seconds),
            limits: crate::StepLimits::default(),
            image: None,
            keeps_root: false,
            keeps_workspace: true,
            visit: None,
            secrets: Vec::new(),
            caches: vec![],
            services: Vec::new(),
        }
    }

    async fn execute(exit: Exit, is_full: fn(&Path) -> bool) -> Result<Execution, ExecuteError> {
        let executor = SpaceWatching { is_full, ..SpaceWatching::new(Arc::new(Ends(exit)), Room::default()) };
        executor.execute(launch(1), Box::new(Nobody), CancellationToken::new()).await
    }

    #[tokio::test]
    async fn a_failure_is_the_steps_own_while_there_is_room() {
        for exit in [Exit::Code(0), Exit::Code(3), Exit::Signal(9), Exit::TimedOut, Exit::Cancelled] {
            assert_eq!(execute(exit, |_| false).await.unwrap().exit, exit);
        }
    }

    #[tokio::test]
    async fn without_room_nothing_is_begun_and_no_failure_is_the_steps_own() {
        let room = Room::default();
        let executor = SpaceWatching {
            is_full: |_| true,
            ..SpaceWatching::new(Arc::new(Ends(Exit::Code(0))), room.clone())
        };
        assert!(executor.execute(launch(1), Box::new(Nobody), CancellationToken::new()).await.is_err());
        assert!(!room.is_there() && room.set(true) && !room.set(true));
        let refused = execute(Exit::Code(0), |_| true).await;
        assert!(matches!(refused, Err(ExecuteError::NoSpace { .. })), "{refused:?}");
        for (exit, is_own) in [
            (Exit::Code(0), true),
            (Exit::Cancelled, true),
            (Exit::Code(1), false),
            (Exit::Signal(7), false),
            (Exit::TimedOut, false),
        ] {
            assert_eq!(execute(exit, fills()).await.is_ok(), is_own, "{exit:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_ran_while_another_filled_the_disk_has_not_failed_by_itself() {
        #[derive(Debug)]
        struct Slow;

        #[async_trait]
        impl StepExecutor for Slow {
            fn name(&self) -> &'static str {
                "slow"
            }

            async fn execute(
                &self,
                launch: Launch,
                log: Box<dyn LogSink>,
                cancel: CancellationToken,
            ) -> Result<Execution, ExecuteError> {
                sleep(launch.timeout).await;
                Ends(Exit::Code(1)).execute(launch, log, cancel).await
            }
        }

        let executor =
            SpaceWatching { is_full: |_| false, ..SpaceWatching::new(Arc::new(Slow), Room::default()) };
        let run = |seconds| executor.execute(launch(seconds), Box::new(Nobody), CancellationToken::new());
        let fills = async {
            sleep(Duration::from_secs(2)).await;
            *executor.seen_full.lock().unwrap() = Some(Instant::now());
        };
        let (before, during, ()) = tokio::join!(run(1), run(3), fills);
        assert!(before.is_ok() && matches!(during, Err(ExecuteError::NoSpace { .. })), "{during:?}");
        assert!(run(1).await.is_ok(), "it began later");
    }

    /// There is room once, for each thread that asks.
    fn fills() -> fn(&Path) -> bool {
        thread_local!(static ASKED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) });
        ASKED.set(false);
        |_| ASKED.replace(true)
    }

    #[test]
    fn what_counts_no_blocks_is_not_full() {
        assert!(!is_full(Path::new("/proc")) && !is_full(Path::new("/does/not/exist")));
        assert!(!is_full(&std::env::temp_dir()));
    }
}
