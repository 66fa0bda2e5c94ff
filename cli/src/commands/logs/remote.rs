//! Logs of a cluster's runs.

mod select;

use std::io::Write;
use std::time::Duration;

use cullet_cache::Stream;
use cullet_coordinator::Event;
use cullet_coordinator::event::from_wire;
use cullet_proto::v1;
use tonic::Code;

use super::titled;
use crate::args::{LogStreams, LogsArgs};
use crate::cluster::{Addresses, Cluster, ClusterError, LogTail, Missing, Watch};
use crate::commands::on_cluster;
use crate::config::Config;
use crate::diagnostics;
use crate::error::{CliError, ErrorKind, ExitStatus};
use crate::ui::model::cause;
use crate::ui::safe::SafeWriter;
use crate::ui::{Style, clean, short};
use select::{Selected, is_over, select};

/// How long nobody may answer before the rest of a log is given up; as long as for a run that is followed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Prints what steps printed.
pub(super) fn logs(
    args: &LogsArgs,
    config: &Config,
    addresses: &Addresses,
    out: &mut dyn Write,
) -> Result<ExitStatus, CliError> {
    on_cluster::block_on(addresses, async |cluster| {
        let Selected { run, steps, implicit } = select(&cluster, &args.what, config.tenant()).await?;
        let terminal = &config.terminal;
        let style = terminal.stdout.then(|| terminal.stdout_style(config.color));
        let printer = Printer { cluster, run, streams: args.stream, style };
        match (&*steps, args.follow) {
            ([step], true) if !implicit => printer.follow(step, out).await.map(|()| ExitStatus::Success),
            (steps, true) => Err(printer.not_one(steps, implicit)),
            (steps, false) => printer.all(steps, implicit, config, out).await,
        }
    })
}

/// What the steps of one run are printed with.
struct Printer {
    cluster: Cluster,
    run: String,
    streams: LogStreams,
    /// Given where a terminal reads: then nothing but text and colours goes there. Others get the bytes as they are.
    style: Option<Style>,
}

impl Printer {
    fn not_one(&self, steps: &[v1::StepState], implicit: bool) -> CliError {
        let name = short(&self.run);
        let hint = format!("cullet logs -f {name} STEP");
        if implicit {
            return CliError::usage("one step can be followed, and none is named").hint(hint);
        }
        let names: Vec<String> = steps.iter().take(5).map(|step| clean::line(&step.name)).collect();
        CliError::usage(format!("one step can be followed, and these are {}", steps.len()))
            .hint(format!("{hint}, such as {}", names.join(", ")))
    }

    async fn all(
        &self,
        steps: &[v1::StepState],
        implicit: bool,
        config: &Config,
        out: &mut dyn Write,
    ) -> Result<ExitStatus, CliError> {
        let name = short(&self.run);
        match steps {
            [] => {
                let text = format!("no step of run {name} failed; name one: cullet logs {name} STEP\n");
                diagnostics::report(&text);
                return Ok(ExitStatus::Success);
            }
            [step] => {
                if implicit {
                    let step_name = clean::line(&step.name);
                    diagnostics::report(&format!("{step_name} of run {name}: {}\n", why(step)));
                }
                self.whole(step, out).await?;
                return Ok(ExitStatus::Success);
            }
            _ => {}
        }
        let mut status = ExitStatus::Success;
        for step in steps {
            titled(&clean::line(&step.name), &step.status, &why(step), config, out)?;
            match self.whole(step, out).await {
                Err(error) if error.kind() != ErrorKind::Unread => {
                    // The others may still have theirs.
                    diagnostics::error(&error, config.terminal.stderr_style(config.color));
                    status = error.status();
                }
                printed => printed?,
            }
        }
        Ok(status)
    }

    /// What there is.
    async fn whole(&self, step: &v1::StepState, out: &mut dyn Write) -> Result<(), CliError> {
        if step.attempt == 0 && !step.cached {
            let why = if is_over(step) { why(step) } else { step.status.clone() };
            let name = clean::line(&step.name);
            return Err(CliError::usage(format!("{name} printed nothing: it did not run ({why})")));
        }
        if step.cached {
            let name = clean::line(&step.name);
            diagnostics::report(&format!("{name} came from the cache; this is the log of its execution\n"));
        }
        self.read(&step.name, step.attempt, false, out).await
    }

    /// What there is and what comes, attempt by attempt, until the step has ended.
    async fn follow(&self, step: &v1::StepState, out: &mut dyn Write) -> Result<(), CliError> {
        if is_over(step) {
            return self.whole(step, out).await;
        }
        let mut watch = Watch::new(self.cluster.clone(), &self.run);
        let mut read = false;
        loop {
            match from_wire(watch.next().await?) {
                Some(Event::StepStarted(start))
                    if start.step == step.name && start.attempt >= step.attempt =>
                {
                    self.read(&step.name, start.attempt, true, out).await?;
                    read = true;
                }
                Some(Event::StepFinished(end)) if end.step == step.name => {
                    if read || !end.cached {
                        return Ok(());
                    }
                    return self.read(&step.name, 0, false, out).await;
                }
                Some(Event::RunFinished(_)) => return Ok(()),
                _ => {}
            }
        }
    }

    async fn read(
        &self,
        step: &str,
        attempt: u32,
        follow: bool,
        out: &mut dyn Write,
    ) -> Result<(), CliError> {
        let (run, step_name) = (self.run.clone(), step.to_owned());
        let request = v1::ReadLogRequest { run, step: step_name, attempt, offset: 0, follow };
        let missing = if follow { Missing::MayCome } else { Missing::IsFinal };
        let mut tail = LogTail::new(self.cluster.clone(), request, missing, PATIENCE);
        let gone = |error: ClusterError| match error {
            ClusterError::Refused { code: Code::NotFound, message } => {
                CliError::infra(format!("the log of {} is not in the cluster: {message}", clean::line(step)))
                    .hint("run the step again, with --no-cache if need be")
            }
            error => error.into(),
        };
        match self.style {
            Some(style) => {
                let mut safe = SafeWriter::new(out, style);
                self.copy(&mut tail, follow, &mut safe).await?.map_err(gone)?;
                safe.finish().map_err(CliError::output)
            }
            None => self.copy(&mut tail, follow, out).await?.map_err(gone),
        }
    }

    async fn copy(
        &self,
        tail: &mut LogTail,
        follow: bool,
        out: &mut dyn Write,
    ) -> Result<Result<(), ClusterError>, CliError> {
        loop {
            let printed = match tail.next().await {
                Ok(Some(printed)) => printed,
                Ok(None) => return Ok(Ok(())),
                Err(error) => return Ok(Err(error)),
            };
            let wanted = match printed.stream {
                Stream::Stdout => self.streams != LogStreams::Stderr,
                Stream::Stderr => self.streams != LogStreams::Stdout,
            };
            if wanted {
                out.write_all(&printed.data).map_err(CliError::output)?;
                if follow {
                    out.flush().map_err(CliError::output)?;
                }
            }
        }
    }
}

/// Why it ended as it did, in a few words.
fn why(step: &v1::StepState) -> String {
    let exit_code = step.has_exit_code.then_some(step.exit_code);
    let reason = (!step.reason.is_empty()).then_some(&*step.reason);
    cause(&step.status, exit_code, reason, step.finished_at_ms.saturating_sub(step.started_at_ms))
}
