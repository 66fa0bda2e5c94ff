//! An executor that is started when it is first needed: a run that the cache answers needs none.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use cullet_worker::docker::Engine;
use cullet_worker::{ExecuteError, Execution, Launch, LogSink, StepExecutor};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

/// Makes an executor; blocks for some milliseconds.
type Start = dyn Fn() -> Result<Ready, ExecuteError> + Send + Sync;

/// An executor, and the engine that it runs steps in, if it does.
pub(super) struct Ready {
    pub(super) executor: Box<dyn StepExecutor>,
    pub(super) engine: Option<Engine>,
}

/// See the module.
pub(super) struct LazyExecutor {
    name: &'static str,
    start: Arc<Start>,
    ready: OnceCell<Ready>,
}

impl LazyExecutor {
    pub(super) fn new(name: &'static str, start: Box<Start>) -> Self {
        Self { name, start: start.into(), ready: OnceCell::new() }
    }

    /// The engine that steps run in; none where that is the sandbox.
    pub(super) async fn engine(&self) -> Result<Option<&Engine>, ExecuteError> {
        Ok(self.ready.get_or_try_init(|| self.begin()).await?.engine.as_ref())
    }

    /// Off the async threads, which have other things to do meanwhile.
    async fn begin(&self) -> Result<Ready, ExecuteError> {
        let start = Arc::clone(&self.start);
        let started = tokio::task::spawn_blocking(move || start()).await;
        started.map_err(|error| ExecuteError::Setup {
            action: "start the executor".to_owned(),
            source: std::io::Error::other(error),
        })?
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
        let ready = self.ready.get_or_try_init(|| self.begin()).await?;
        ready.executor.execute(launch, log, cancel).await
    }
}
