//! Full disks: whose fault a failure is, and when a machine has no room for steps.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
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

/// An executor for a machine that is one of many: a step that fails while the disk is full has not failed by itself,
/// and may fit elsewhere. Looked at before anything of the step is removed, because it may be what fills the disk.
#[derive(Debug)]
pub struct SpaceWatching {
    inner: Arc<dyn StepExecutor>,
    is_full: fn(&Path) -> bool,
}

impl SpaceWatching {
    /// Around this executor.
    pub fn new(inner: Arc<dyn StepExecutor>) -> Self {
        Self { inner, is_full }
    }
}

fn refuse(place: PathBuf) -> Result<Execution, ExecuteError> {
    Err(ExecuteError::NoSpace { path: place })
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
        let place = launch.scratch.clone();
        if (self.is_full)(&place) {
            return refuse(place);
        }
        let execution = self.inner.execute(launch, log, cancel).await?;
        match execution.exit {
            Exit::Code(0) | Exit::Cancelled => Ok(execution),
            Exit::Code(_) | Exit::Signal(_) | Exit::TimedOut if (self.is_full)(&place) => refuse(place),
            Exit::Code(_) | Exit::Signal(_) | Exit::TimedOut => Ok(execution),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

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
            Ok(Execution { exit: self.0, started_at, duration, workspace: vec![] })
        }
    }

    struct Nobody;

    impl LogSink for Nobody {
        fn write(&mut self, _: Stream, _: &[u8]) {}
    }

    async fn execute(exit: Exit, is_full: fn(&Path) -> bool) -> Result<Execution, ExecuteError> {
        let launch = Launch {
            arguments: vec![],
            env: vec![],
            working_directory: String::new(),
            inputs: PathBuf::new(),
            scratch: PathBuf::new(),
            network: false,
            timeout: Duration::from_secs(1),
        };
        let executor = SpaceWatching { is_full, ..SpaceWatching::new(Arc::new(Ends(exit))) };
        executor.execute(launch, Box::new(Nobody), CancellationToken::new()).await
    }

    #[tokio::test]
    async fn a_failure_is_the_steps_own_while_there_is_room() {
        for exit in [Exit::Code(0), Exit::Code(3), Exit::Signal(9), Exit::TimedOut, Exit::Cancelled] {
            assert_eq!(execute(exit, |_| false).await.unwrap().exit, exit);
        }
    }

    #[tokio::test]
    async fn without_room_nothing_is_begun_and_no_failure_is_the_steps_own() {
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
