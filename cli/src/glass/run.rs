//! A run that breaks the glass: what it needs before it begins, and what it says when it ends.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use clap::ValueEnum as _;
use cullet_cache::{LocalCache, PublicKey};
use cullet_coordinator::glass::{Approved, Begun, Event, Pipeline, Who, check, hex, sha256};
use cullet_coordinator::images::Images;
use cullet_pipeline::Plan;

use super::approval::{Approving, Standing, others, standing};
use super::journal::{Appended, Journal, Running, head, is_running};
use super::record::Record;
use super::request::{Request, VALID};
use super::{key, reason::reason, repository};
use crate::args::RunArgs;
use crate::cluster::{Addresses, Cluster, ClusterError};
use crate::commands::pipeline_file::base_directory;
use crate::commands::run::sources::Sources;
use crate::config::Config;
use crate::diagnostics;
use crate::error::CliError;
use crate::ui::clean;
use crate::ui::duration::{now_ms, rfc3339};

/// How long a cluster that is said to be down is asked whether it is; less than it takes until waiting for one is talked about.
const CLUSTER: Duration = Duration::from_millis(1400);

/// A run that may begin once it is known what it is to do.
#[derive(Debug)]
pub(crate) struct Glass {
    config: Config,
    journal: Journal,
    who: Who,
    reason: String,
    tokens: Vec<String>,
    /// Of the pipeline file.
    digest: String,
    /// What is known to be away.
    away: Vec<String>,
}

/// A run that has begun, on record. One that is dropped before it finished is on record as failed.
#[derive(Debug)]
pub(crate) struct Broken {
    journal: Journal,
    who: Who,
    run: String,
    scope: String,
    seq: u64,
    record: Record,
    away: Vec<String>,
    is_finished: bool,
    _running: Running,
}

impl Glass {
    /// Asks for what a person has to give, and makes sure that there is a journal.
    ///
    /// # Errors
    /// No reason, or no journal.
    pub(crate) fn open(args: &RunArgs, config: &Config) -> Result<Self, CliError> {
        let reason = reason(args.reason.as_deref(), config.glass.reason.as_deref())?;
        let journal = Journal::open(&config.glass)?;
        tell_state(&journal, config);
        let who = who(config);
        let mut away = Vec::new();
        match cluster(config) {
            Some((place, true)) => warn(&format!(
                "the cluster {place} answers: `cullet run` without --break-glass has it run there"
            )),
            Some((place, false)) => away.push(format!("the cluster {place}, which does not answer")),
            None => {}
        }
        let (config, tokens, digest) = (config.clone(), args.approval.clone(), String::new());
        Ok(Self { config, journal, who, reason, tokens, digest, away })
    }

    /// Takes note of the pipeline's text.
    pub(crate) fn read(&mut self, text: &str) {
        self.digest = hex(&sha256(text.as_bytes()));
    }

    /// Begins a run on record, if everybody has approved of it who has to.
    ///
    /// # Errors
    /// An approval is missing, or the journal cannot be written: then nothing may be executed.
    pub(crate) fn begin(
        self,
        run: String,
        args: &RunArgs,
        plan: &Plan,
        sources: &Sources,
        images: &Images,
    ) -> Result<Broken, CliError> {
        let mut begun = self.begun(args, plan, sources, images);
        begun.approvals = self.approvals(&begun)?;
        let Self { journal, who, away, .. } = self;
        let running = journal.running(&run)?;
        let scope = begun.scope.clone();
        let Appended { seq, notes } = journal.append(&who, &run, Event::Begun(Box::new(begun)))?;
        notes.iter().for_each(|note| warn(note));
        let record = Record::of(plan);
        Ok(Broken { journal, who, run, scope, seq, record, away, is_finished: false, _running: running })
    }

    fn begun(&self, args: &RunArgs, plan: &Plan, sources: &Sources, images: &Images) -> Begun {
        let file = &args.pipeline.file;
        let absolute = std::path::absolute(file).unwrap_or_else(|_| file.clone());
        let (trees, names) = sources.trees();
        let executor = self.config.run(args).executor.to_possible_value();
        let steps = || plan.steps.iter().filter(|step| step.skip.is_none());
        let secrets: BTreeSet<&str> =
            steps().flat_map(|step| &step.settings.secrets).map(|secret| &*secret.name).collect();
        Begun {
            reason: self.reason.clone(),
            pipeline: Pipeline {
                name: plan.name.clone(),
                file: absolute.to_string_lossy().into_owned(),
                digest: self.digest.clone(),
            },
            git: repository::of(&base_directory(file)),
            sources: names
                .iter()
                .zip(trees.iter())
                .map(|(name, tree)| (name.clone(), tree.root().to_string()))
                .collect(),
            images: images.iter().map(|(image, digest)| (image.to_owned(), digest.to_owned())).collect(),
            targets: args.targets.clone(),
            params: args.pipeline.params.iter().cloned().collect(),
            executor: executor.map(|value| value.get_name().to_owned()).unwrap_or_default(),
            secrets: secrets.into_iter().map(str::to_owned).collect(),
            effects: acting(plan, &args.push),
            approvals: Vec::new(),
            scope: self.config.quarantine().to_string(),
        }
    }

    /// Who approved; nobody, where nobody has to.
    fn approvals(&self, begun: &Begun) -> Result<Vec<Approved>, CliError> {
        let settings = &self.config.glass;
        if begun.effects.is_empty() {
            return Ok(Vec::new());
        }
        let steps = clean::line(&begun.effects.join(", "));
        let needed = match standing(settings) {
            Standing::Waived => return Ok(Vec::new()),
            Standing::Possible(needed, _) => needed,
            Standing::Impossible(needed, there) => {
                return Err(CliError::usage(format!(
                    "this acts on the outside world ({steps}), which {} must approve, and {there} may",
                    others(needed)
                ))
                .hint(
                    "say who may in the configuration file: [break-glass] approvers = [\"ed25519:… grace\"]",
                )
                .hint("or that nobody has to: [break-glass] approvals = 0"));
            }
        };
        let machine = self.journal.key();
        let own: Vec<PublicKey> = self.config.own_keys().into_iter().chain([machine]).collect();
        let now = now_ms() / 1000;
        let request = Request::of(begun, &self.who, &machine.to_string(), now + VALID.as_secs());
        let approving = Approving { approvers: &settings.approvers, own: &own, now };
        let approved = approving.check_all(&self.tokens, &request);
        let (why, have) = match approved {
            Ok(approved) if approved.len() >= needed => return Ok(approved),
            Ok(approved) => (None, approved.len()),
            Err(refused) => (Some(refused), 0),
        };
        let problem = match why {
            Some(refused) => format!("an approval does not count: {refused}"),
            None => format!(
                "this acts on the outside world ({steps}), which {} must approve, and {have} did; nothing was started",
                others(needed)
            ),
        };
        Err(CliError::usage(problem)
            .hint(format!(
                "somebody else approves with: cullet approve {} --signing-key KEY",
                request.encode()
            ))
            .hint(format!(
                "then repeat this command with --approval TOKEN, before {}",
                rfc3339(request.until * 1000)
            )))
    }
}

impl Broken {
    /// Who has to hear of everything that happens.
    pub(crate) fn watcher(&self) -> Box<dyn crate::ui::Observer> {
        Box::new(self.record.clone())
    }

    /// Writes down how it ended, and says what a person should know.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub(crate) fn finish(mut self, cache: &LocalCache) -> Result<(), CliError> {
        self.is_finished = true;
        let finished = Event::Finished(self.record.finished(Some(cache)));
        let appended = self.journal.append(&self.who, &self.run, finished).map_err(|error| {
            CliError::infra(
                "the run went to its end, and only that is not in the journal of break-glass runs",
            )
            .because(error)
            .hint("what it did is done: look at it before you run it again")
        });
        let Appended { seq, notes } = appended?;
        notes.iter().for_each(|note| warn(note));
        for away in self.away.iter().chain(&self.record.troubles()) {
            diagnostics::report(&format!("not there for this run: {}\n", clean::line(away)));
        }
        let (path, scope) = (self.journal.path(), clean::line(&self.scope));
        diagnostics::report(&format!(
            "break glass: on record as entries {} and {seq} of {}; results belong to {scope}\n",
            self.seq,
            path.display()
        ));
        Ok(())
    }
}

impl Drop for Broken {
    fn drop(&mut self) {
        if self.is_finished {
            return;
        }
        let finished = Event::Finished(self.record.finished(None));
        if let Err(error) = self.journal.append(&self.who, &self.run, finished) {
            warn(&format!("the end of this run is not in the journal: {error}"));
        }
    }
}

/// What acts on the outside world: steps, and images that are pushed once these have succeeded.
fn acting(plan: &Plan, pushes: &[String]) -> Vec<String> {
    let steps = plan.steps.iter().filter(|step| step.skip.is_none() && step.settings.effects);
    let pushes = pushes.iter().map(|push| format!("push {push}"));
    steps.map(|step| step.name.to_string()).chain(pushes).collect()
}

/// Whoever runs this.
fn who(config: &Config) -> Who {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    Who { user: config.glass.user.clone(), uid: rustix::process::getuid().as_raw(), host }
}

fn warn(text: &str) {
    diagnostics::report(&format!("warning: {}\n", clean::line(text)));
}

/// Says whether the journal is what was written, and which runs before this one never came to an end. What cannot be read is
/// said by who writes next.
fn tell_state(journal: &Journal, config: &Config) {
    let dir: &Path = &config.glass.dir;
    let Ok(bytes) = std::fs::read(journal.path()) else { return };
    let keys = key::known(&config.glass).ok();
    let checked = check(&bytes, keys.as_ref(), head(dir).as_ref());
    if let Some(problem) = checked.problems.first() {
        warn(&format!(
            "the journal is not what was written: {problem} (cullet journal verify says everything)"
        ));
    }
    for entry in checked.newly_unfinished().into_iter().filter(|entry| !is_running(dir, &entry.run)) {
        warn(&format!(
            "the break-glass run {} of {} (entry {}, {}) never came to its end: nobody knows what it did after that",
            entry.run, entry.who.user, entry.seq, entry.time
        ));
    }
}

/// The cluster that environment and file name, and whether it answers.
fn cluster(config: &Config) -> Option<(String, bool)> {
    let named = config.cluster(None)?;
    let addresses: Addresses = named.parse().ok()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let answers = runtime.block_on(async {
        let asked = async { Cluster::connect(&addresses)?.reach().await };
        let asked: Result<Result<(), ClusterError>, _> = tokio::time::timeout(CLUSTER, asked).await;
        matches!(asked, Ok(Ok(())))
    });
    runtime.shutdown_background();
    Some((named, answers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_acts_on_the_outside_world_as_steps_with_effects_do() {
        let text = "cullet: 1\nsteps:\n  a: { run: x }\n  ship: { effects: true, run: x }\n";
        let plan = |targets: &[String]| cullet_pipeline::load("f", text).unwrap().plan(&[], targets).unwrap();
        let push = ["app=registry.example/app:1".to_owned()];
        assert_eq!(acting(&plan(&[]), &[]), ["ship"]);
        assert_eq!(acting(&plan(&["a".to_owned()]), &[]), [""; 0]);
        assert_eq!(acting(&plan(&["a".to_owned()]), &push), ["push app=registry.example/app:1"]);
    }
}
