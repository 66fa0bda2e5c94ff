//! Further programs in containers that run.

use std::pin::Pin;

use bollard::exec::{ResizeExecOptions, StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use tokio::io::AsyncWrite;

use super::said::Output;
use super::{Engine, EngineError};

/// A program in a container. Dropping it closes its standard input.
pub(super) struct Exec {
    pub(super) program: Program,
    pub(super) output: Output,
    pub(super) input: Pin<Box<dyn AsyncWrite + Send>>,
}

/// What the engine knows a program by.
#[derive(Debug, Clone)]
pub(super) struct Program {
    engine: Engine,
    id: String,
}

/// Where it has its input and outputs.
pub(super) enum Seating {
    /// In pipes.
    Nowhere,
    /// At a terminal, with further variables.
    AtTerminal(Vec<String>),
}

const ACTION: &str = "run a program in a container";

impl Engine {
    /// Starts one, with the user, the variables and the place of the container's own.
    pub(super) async fn exec(
        &self,
        container: &str,
        command: &[String],
        seating: Seating,
    ) -> Result<Exec, EngineError> {
        let (tty, env) = match seating {
            Seating::Nowhere => (false, None),
            Seating::AtTerminal(env) => (true, Some(env)),
        };
        let config = ExecConfig {
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(command.to_vec()),
            tty: Some(tty),
            env,
            ..ExecConfig::default()
        };
        let options = StartExecOptions { detach: false, tty, output_capacity: None };
        let made = self.ask(ACTION, self.client().create_exec(container, config)).await?;
        match self.ask(ACTION, self.client().start_exec(&made.id, Some(options))).await? {
            StartExecResults::Attached { output, input } => {
                Ok(Exec { program: Program { engine: self.clone(), id: made.id }, output, input })
            }
            StartExecResults::Detached => Err(self.broke_off(ACTION, "it did not attach")),
        }
    }
}

impl Program {
    /// Its terminal has so many rows and columns.
    pub(super) async fn fit(&self, height: u16, width: u16) {
        let options = ResizeExecOptions { height, width };
        if let Err(error) = self.engine.client().resize_exec(&self.id, options).await {
            tracing::debug!(%error, "a terminal keeps its size");
        }
    }

    /// How it ended, once its output has.
    pub(super) async fn exit_code(&self) -> Result<i32, EngineError> {
        let found = self.engine.ask(ACTION, self.engine.client().inspect_exec(&self.id)).await?;
        let code = found.exit_code.and_then(|code| i32::try_from(code).ok());
        code.ok_or_else(|| self.engine.broke_off(ACTION, "it does not say how it ended"))
    }
}
