//! An executor that is started when it is first needed: a run that the cache answers needs none.

use std::fmt;

use async_trait::async_trait;
use cullet_worker::{ExecuteError, Execution, Launch, LogSink, StepExecutor};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

/// Makes an executor; blocks for some milliseconds.
type Start = Box<dyn Fn() -> Result<Box<dyn StepExecutor>, ExecuteError> + Send + Sync>;

/// See the module.
pub(super) struct LazyExecutor {
    name: &'static str,
    start: Start,
    executor: OnceCell<Box<dyn StepExecutor>>,
}

impl LazyExecutor {
    pub(super) fn new(name: &'static str, start: Start) -> Self {
        Self { name, start, executor: OnceCell::new() }
    }
}

impl fmt::Debug for LazyExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LazyExecutor").field("name", &self.name).finish_non_exhaustive()
    }
}

#[async_trait]
impl StepExecutor for LazyExecutor {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn execute(
        &self,
        launch: Launch,
        log: Box<dyn LogSink>,
        cancel: CancellationToken,
    ) -> Result<Execution, ExecuteError> {
        let executor = self.executor.get_or_try_init(|| async { (self.start)() }).await?;
        executor.execute(launch, log, cancel).await
    }
}
