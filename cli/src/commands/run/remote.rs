//! `cullet run` on a cluster.

use std::collections::HashSet;
use std::future::Future;
use std::time::Duration;

use cullet_coordinator::Event;
use cullet_coordinator::event::Note;
use cullet_pipeline::Plan;
use cullet_pipeline::plan::InputFrom;
use cullet_proto::v1;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::deliver::Written;
use super::followed::Followed;
use super::interrupt::Caught;
use super::prepare::{self, Prepared};
use super::sources::Sources;
use super::trace::ClientTrace;
use super::watchers::{self, Watchers};
use super::{Planned, submit};
use crate::args::RunArgs;
use crate::cluster::follow::Past;
use crate::cluster::{Addresses, Cluster, ClusterError};
use crate::commands::pipeline_file::base_directory;
use crate::config::{Config, Executor, RunConfig};
use crate::diagnostics;
use crate::error::{CliError, ExitStatus};
use crate::history::Meta;
use crate::runtime;
use crate::telemetry::Telemetry;
use crate::ui::{Mode, Output, duration, short};

/// How long the answer to a submission that is under way is waited for after Ctrl-C: a run that was accepted is better
/// cancelled than left behind. Nothing is submitted after it.
const GRACE: Duration = Duration::from_secs(5);

/// Flags that mean nothing where the run goes are mistakes, not wishes.
pub(super) fn refuse_flags(args: &RunArgs, on_cluster: bool) -> Result<(), CliError> {
    let given =
        |flags: &[(&'static str, bool)]| flags.iter().find(|(_, given)| *given).map(|(name, _)| *name);
    if on_cluster {
        let workers = given(&[
            ("--executor", args.executor.is_some()),
            ("--jobs", args.jobs.is_some()),
            ("--memory", args.memory.is_some()),
        ]);
        if let Some(flag) = workers {
            return Err(CliError::usage(format!(
                "{flag} says how one machine executes, and a cluster does this"
            ))
            .hint("how much there is to use, and how, is decided by its workers; leave the flag out"));
        }
        if args.shell_on_failure {
            return Err(CliError::usage(
                "a shell in a step needs its terminal, and a cluster's steps are elsewhere",
            )
            .hint("run it on this machine: --cluster ''"));
        }
        if args.detach && args.output.is_some() {
            return Err(CliError::usage("with --detach nobody waits for the outputs")
                .hint("fetch them later: cullet attach RUN --output DIR"));
        }
        return Ok(());
    }
    let cluster = given(&[
        ("--detach", args.detach),
        ("--tenant", args.tenant.is_some()),
        ("--priority", args.priority.is_some()),
        ("--request-id", args.request_id.is_some()),
    ]);
    cluster.map_or(Ok(()), |flag| {
        Err(CliError::usage(format!("{flag} is about runs on a cluster, and none is named"))
            .hint("name one of its coordinators with --cluster URL or CULLET_CLUSTER"))
    })
}

/// Runs a checked plan on a cluster.
pub(super) fn run(
    args: &RunArgs,
    (config, run_config): (&Config, &RunConfig),
    addresses: &Addresses,
    text: String,
    planned: Planned,
    written: Option<Written>,
) -> Result<ExitStatus, CliError> {
    let Planned { plan, images } = planned;
    let base = base_directory(&args.pipeline.file);
    let prepared = prepare::prepare(config, Executor::Sandbox, &plan, &base)?;
    check_subtrees(&plan, &prepared.sources)?;
    let platform = images.platform.clone();
    let images = images.resolve(config)?;
    let mut request = submit::request(args, config, run_config, &prepared, (&images, &platform), text);
    submit::check_size(&request)?;
    // One thread tells what happens, one receives it.
    let runtime = runtime::of_threads(2)?;
    let ended = runtime.block_on(async {
        let remote = Remote {
            args,
            config,
            run_config,
            written,
            prepared: &prepared,
            cluster: Cluster::connect(addresses)?.known_as(config.cluster_token.as_ref()),
            watchers: Watchers::idle(),
            cancel: CancellationToken::new(),
        };
        if let Some(signals) = Caught::from_now_on() {
            signals.cancel(remote.cancel.clone(), remote.watchers.clone());
        }
        let telemetry = Telemetry::start(config, "run")?;
        let trace = ClientTrace::begin(Telemetry::tracer(telemetry.as_ref()), config.traceparent.as_deref());
        if let Some(trace) = &trace {
            request.traceparent = trace.submission();
        }
        let ended = remote.run(&request, &plan.name, addresses, trace.as_ref()).await;
        if let Some(trace) = trace {
            trace.end(failure(&ended));
        }
        Telemetry::finish(telemetry).await;
        ended
    });
    // A blocked thread that nobody waits for must not hold up the end.
    runtime.shutdown_background();
    ended
}

/// Why the command failed, for its trace.
fn failure(ended: &Result<ExitStatus, CliError>) -> Option<String> {
    match ended {
        Ok(ExitStatus::Success) => None,
        Ok(status) => Some(format!("exit code {}", status.code())),
        Err(error) => Some(error.to_string()),
    }
}

/// What a step takes of a source has to be there, as on one machine.
fn check_subtrees(plan: &Plan, sources: &Sources) -> Result<(), CliError> {
    let mut seen: HashSet<(u32, &str)> = HashSet::new();
    for input in plan.steps.iter().flat_map(|step| &step.inputs) {
        if let InputFrom::Source { source, subpath } = &input.from
            && seen.insert((*source, subpath))
        {
            sources.subtree(*source, subpath).map_err(prepare::unreadable)?;
        }
    }
    Ok(())
}

/// A run on its way to a cluster.
struct Remote<'a> {
    args: &'a RunArgs,
    config: &'a Config,
    run_config: &'a RunConfig,
    /// Where outputs go.
    written: Option<Written>,
    prepared: &'a Prepared,
    cluster: Cluster,
    watchers: Watchers,
    cancel: CancellationToken,
}

impl Remote<'_> {
    async fn run(
        self,
        request: &v1::SubmitRequest,
        pipeline: &str,
        addresses: &Addresses,
        trace: Option<&ClientTrace>,
    ) -> Result<ExitStatus, CliError> {
        let submitted = self.submitted(request).await;
        if let Some(trace) = trace {
            let run =
                submitted.as_ref().ok().and_then(Option::as_ref).map(|submitted| submitted.run.as_str());
            trace.submitted(run, submitted.as_ref().err().map(ToString::to_string));
        }
        let Some(submitted) = submitted? else {
            diagnostics::report("interrupted before the cluster said that it took the run\n");
            return Ok(ExitStatus::Interrupted);
        };
        let run = submitted.run.as_str();
        if self.args.detach {
            if self.cancel.is_cancelled() && !submitted.existed {
                self.cluster.cancel(run).await?;
                diagnostics::report(&format!("interrupted: run {} is cancelled\n", short(run)));
                return Ok(ExitStatus::Interrupted);
            }
            self.detach(run, submitted.existed);
            return Ok(ExitStatus::Success);
        }
        let past = match submitted.existed {
            true => Past::of(&self.cluster.run(run).await?),
            false => Past::default(),
        };
        self.watch(run, pipeline, addresses);
        tokio::spawn(cancel_with(self.cancel.clone(), self.cluster.clone(), run.to_owned()));
        let followed = Followed {
            config: self.config,
            cluster: &self.cluster,
            run,
            watchers: &self.watchers,
            past,
            output: self.written.clone(),
        };
        followed.show().await
    }

    /// The run; none where somebody changed their mind before there was one.
    async fn submitted(
        &self,
        request: &v1::SubmitRequest,
    ) -> Result<Option<v1::SubmitResponse>, ClusterError> {
        let send = || submit::send_sources(self.config, &self.cluster, self.prepared);
        let ask = || submit::submit(&self.cluster, request, &self.cancel);
        // Said before anything is read, and so that what follows knows all coordinators.
        let reached = self.unless_cancelled(Duration::ZERO, self.cluster.reach()).await;
        let Some(reached) = reached else { return Ok(None) };
        reached?;
        let Some(sent) = self.unless_cancelled(Duration::ZERO, send()).await else { return Ok(None) };
        sent?;
        let Some(answer) = self.unless_cancelled(GRACE, ask()).await else { return Ok(None) };
        match answer {
            Err(ClusterError::Stopped) => return Ok(None),
            // It may have been evicted in between: once more.
            Err(error) if submit::lacks_sources(&error) => {}
            answer => return answer.map(Some),
        }
        let Some(sent) = self.unless_cancelled(Duration::ZERO, send()).await else { return Ok(None) };
        sent?;
        match self.unless_cancelled(GRACE, ask()).await {
            None | Some(Err(ClusterError::Stopped)) => Ok(None),
            Some(answer) => answer.map(Some),
        }
    }

    async fn unless_cancelled<T>(&self, grace: Duration, work: impl Future<Output = T>) -> Option<T> {
        let cancelled = async {
            self.cancel.cancelled().await;
            tokio::time::sleep(grace).await;
        };
        tokio::select! {
            done = work => Some(done),
            () = cancelled => None,
        }
    }

    fn detach(&self, run: &str, existed: bool) {
        let mut out = Output::stdout();
        match self.config.terminal.mode(self.run_config.progress) {
            Mode::Json => {
                let time = duration::rfc3339(duration::now_ms());
                let object =
                    json!({ "event": "run_submitted", "time": time, "run": run, "existed": existed });
                out.push(&format!("{object}\n"));
            }
            Mode::Plain | Mode::Tty => {
                let name = short(run);
                let what = if existed { "was submitted before" } else { "submitted" };
                out.push(&format!("run {run} {what}; follow it with cullet attach {name}\n"));
            }
        }
    }

    fn watch(&self, run: &str, pipeline: &str, addresses: &Addresses) {
        let meta =
            Meta { cluster: Some(addresses.urls().join(",")), ..watchers::meta(self.args, run, pipeline) };
        let mut list = vec![watchers::renderer(self.config, self.run_config.progress)];
        list.extend(watchers::recorder(self.config, &meta));
        self.watchers.begin(list, meta.started_at_ms);
        for text in self.prepared.sources.warnings() {
            let level = "warning".to_owned();
            self.watchers.event_at(&Event::Note(Note { level, kind: None, step: None, text }), None);
        }
    }
}

/// Once the run is to be cancelled, the cluster is told; the run is followed to its end all the same.
async fn cancel_with(cancel: CancellationToken, cluster: Cluster, run: String) {
    cancel.cancelled().await;
    if let Err(error) = cluster.cancel(&run).await {
        let name = short(&run);
        diagnostics::report(&format!("warning: run {name} is not cancelled: {error}\n"));
    }
}
