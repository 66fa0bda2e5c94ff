//! What is looked at.

use cullet_cache::Location;
use cullet_coordinator::resolve::describe;
use cullet_worker::docker::{Engine, EngineError};
use cullet_worker::sandbox::{Fact, SandboxReport, Tier};

use crate::commands::machine;
use crate::commands::run::behind;
use crate::config::{Config, SharedCacheConfig, SharedCacheMode, describe_limits};
use crate::error::CliError;
use crate::ui::{clean, size};

/// Free space below which a warning is due: a medium build would not fit.
const LITTLE_SPACE: u64 = 2 << 30;

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// As it should be.
    Good,
    /// Works, but less than it could.
    Limited,
    /// Pipelines cannot run.
    Broken,
}

impl Verdict {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Limited => "limited",
            Self::Broken => "broken",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) verdict: Verdict,
    pub(super) finding: String,
    pub(super) remedy: Option<String>,
}

impl Check {
    pub(super) fn good(name: &'static str, finding: String) -> Self {
        Self { name, verdict: Verdict::Good, finding, remedy: None }
    }

    pub(super) fn not(name: &'static str, verdict: Verdict, finding: String, remedy: Option<String>) -> Self {
        Self { name, verdict, finding, remedy }
    }
}

/// Everything, in the order in which it is shown.
pub(super) fn all(config: &Config) -> Vec<Check> {
    let engine = machine::engine(config);
    let report = machine::sandbox(config);
    let (limits, sandbox) = (limits(config, &report), sandbox(&report, engine.is_ok()));
    let mut checks =
        vec![machine(), settings(config), sandbox, limits, docker(engine), cache(config), space(config)];
    checks.extend(sub_ids(&report));
    checks.extend(secrets(config));
    checks.extend(shared_cache(config));
    checks
}

/// The cache that others share, where one is named: whether it answers.
fn shared_cache(config: &Config) -> Option<Check> {
    const NAME: &str = "shared";
    // Runs end with it as well.
    let wrong =
        |error: &CliError| Check::not(NAME, Verdict::Broken, describe(error), error.hints().first().cloned());
    let shared = match config.shared_cache(None) {
        Ok(shared) => shared?,
        Err(error) => return Some(wrong(&error)),
    };
    let location = shared.location.clone();
    let opened = match behind::open(&shared, &config.cache_dir, &config.registries) {
        Ok(opened) => opened,
        Err(error) => return Some(wrong(&error)),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let answered = runtime
        .map_err(|error| error.to_string())
        .and_then(|runtime| runtime.block_on(opened.ask()).map_err(|error| describe(&error)));
    Some(match answered {
        Ok(()) => Check::good(NAME, format!("{location}, {}", used(&shared))),
        Err(why) => {
            let how = match location.parse() {
                Ok(Location::Registry(_)) => "`cullet login HOST` is for one that wants a login",
                Ok(Location::Directory(_)) => "look whether it is there, and who may read it",
                _ => "variables AWS_*, GOOGLE_* or AZURE_* reach a bucket",
            };
            let remedy = format!("runs go on without it; {how}");
            Check::not(NAME, Verdict::Limited, format!("{location}: {why}"), Some(remedy))
        }
    })
}

/// How a shared cache is used.
fn used(shared: &SharedCacheConfig) -> String {
    let mode = match shared.mode {
        SharedCacheMode::Write => "read and written",
        SharedCacheMode::Read => "only read",
    };
    let trust = &shared.trust;
    let believed = match trust.trusted.as_deref().map(<[_]>::len) {
        None => "signatures are not asked for".to_owned(),
        Some(1) => "signatures of 1 key are asked for".to_owned(),
        Some(count) => format!("signatures of {count} keys are asked for"),
    };
    let signs = if trust.signing_key.is_some() { ", signs" } else { "" };
    format!("{mode} as {}, {believed}{signs}", clean::line(&trust.scope.to_string()))
}

fn machine() -> Check {
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let system = rustix::system::uname();
    let (os, release) = (system.sysname().to_string_lossy(), system.release().to_string_lossy());
    let user = if rustix::process::geteuid().is_root() { "root" } else { "not root" };
    Check::good("machine", format!("{os} {release} {}, {cpus} processors, {user}", std::env::consts::ARCH))
}

fn settings(config: &Config) -> Check {
    let finding = match &config.file {
        Some(path) => path.display().to_string(),
        None => "no configuration file".to_owned(),
    };
    Check::good("config", finding)
}

/// Whether the providers that are configured can be asked; nobody is.
fn secrets(config: &Config) -> Option<Check> {
    let names: Vec<&str> = config.secrets.provider_names().collect();
    let wrong = names.iter().find_map(|name| config.secrets.provider(name).err());
    match wrong {
        _ if names.is_empty() => None,
        None => Some(Check::good("secrets", format!("providers: {}", names.join(", ")))),
        Some(error) => Some(Check::not("secrets", Verdict::Limited, describe(&error), None)),
    }
}

/// Whether files of images have their owners, where that takes more than being who one is.
fn sub_ids(report: &SandboxReport) -> Option<Check> {
    let Fact { ok, why, remedy, .. } = report.sub_ids()?;
    Some(match ok {
        true => Check::good("sub-ids", why.clone()),
        false => {
            let finding = format!("files of images all belong to the step's user: {why}");
            Check::not("sub-ids", Verdict::Limited, finding, remedy.clone())
        }
    })
}

/// What keeps steps within their limits, and what those are that say nothing about them.
fn limits(config: &Config, report: &SandboxReport) -> Check {
    let usual = describe_limits(config.usual_limits());
    let usual = usual.map_or_else(|| "none by default".to_owned(), |limits| format!("by default {limits}"));
    match report.cgroups() {
        None => Check::good("limits", usual),
        Some(fact) if fact.ok => Check::good("limits", format!("{usual}; {}", fact.why)),
        Some(fact) => {
            let finding = format!("{usual}; {}", fact.why);
            Check::not("limits", Verdict::Limited, finding, fact.remedy.clone())
        }
    }
}

fn sandbox(report: &SandboxReport, has_engine: bool) -> Check {
    let plain = "or run steps without one: cullet run --executor plain";
    let landlock =
        report.no_landlock().map(|fact| format!("full, but without all of Landlock: {}", fact.why));
    match report.tier.clone() {
        Tier::Full => Check::good("sandbox", landlock.unwrap_or_else(|| "full".to_owned())),
        Tier::Degraded { missing, remedy } => Check::not("sandbox", Verdict::Limited, missing, Some(remedy)),
        Tier::Unavailable { reason } if has_engine => {
            let docker = "steps with an image run on Docker instead, others do not run";
            Check::not("sandbox", Verdict::Limited, reason, Some(format!("{docker}; {plain}")))
        }
        Tier::Unavailable { reason } => {
            Check::not("sandbox", Verdict::Broken, reason, Some(plain.to_owned()))
        }
    }
}

/// Nobody needs an engine who has the sandbox.
fn docker(engine: Result<Engine, EngineError>) -> Check {
    match engine {
        Ok(engine) => {
            let removed = match engine.facts().removed {
                0 => String::new(),
                count => format!("; removed {count} containers of processes that are gone"),
            };
            let (unenforced, is_weak) = machine::unenforced_by(&engine);
            let finding = format!("{}; {unenforced}{removed}", machine::about(&engine));
            let verdict = if is_weak { Verdict::Limited } else { Verdict::Good };
            Check::not("docker", verdict, finding, None)
        }
        Err(EngineError::Absent { .. }) => Check::good("docker", "no engine, and none is needed".to_owned()),
        Err(error) => Check::not("docker", Verdict::Limited, error.to_string(), None),
    }
}

fn cache(config: &Config) -> Check {
    let place = config.cache_dir.display();
    match cullet_cache::open(&config.cache_options()) {
        Ok(cache) if cache.disk.is_read_only() => Check::not(
            "cache",
            Verdict::Limited,
            format!("{place} cannot be written: results are read but not kept"),
            Some("choose another directory with --cache-dir or CULLET_CACHE_DIR".to_owned()),
        ),
        Ok(cache) => Check::good("cache", format!("{place}, at most {}", size::human(cache.disk.bound()))),
        Err(error) => {
            let remedy = crate::error::CliError::from(error.clone()).hints().first().cloned();
            Check::not("cache", Verdict::Broken, describe(&error), remedy)
        }
    }
}

fn space(config: &Config) -> Check {
    let existing = config.cache_dir.ancestors().find(|path| path.exists());
    let Some(stat) = existing.and_then(|path| rustix::fs::statvfs(path).ok()) else {
        return Check::not("space", Verdict::Limited, "cannot be determined".to_owned(), None);
    };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let finding = format!("{} free for the cache", size::human(free));
    if free < LITTLE_SPACE {
        let remedy = "free some, or move the cache with --cache-dir or CULLET_CACHE_DIR".to_owned();
        return Check::not("space", Verdict::Limited, finding, Some(remedy));
    }
    Check::good("space", finding)
}
