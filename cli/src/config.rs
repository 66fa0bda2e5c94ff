//! What flags, environment and configuration file say together. This is the only place that reads the
//! environment; flags win over environment over file over defaults.

mod cluster_token;
mod env;
mod file;
mod glass;
mod limits;
mod otlp;
mod places;
mod policy;
mod registries;
mod secrets;
mod shared_cache;
mod shared_trust;
mod store;
mod volumes;
mod worker;

use std::path::PathBuf;

use clap::ValueEnum;
use cullet_worker::StepLimits;
use serde::Deserialize;

use crate::args::{GlobalArgs, RunArgs, parse_cpus, parse_tenant};
use crate::error::CliError;
use crate::paths;
use crate::ui::{Terminal, size};

pub use cluster_token::ClusterToken;
use env::Env;
pub use glass::{Approver, GlassSettings};
pub(crate) use limits::describe as describe_limits;
pub use limits::{LimitKind, UsualLimits, parse_limit};
pub use otlp::OtlpSettings;
pub use policy::policy;
pub use registries::{Registry, RegistrySettings};
pub use secrets::{SecretSettings, environment};
pub use shared_cache::{SharedCacheConfig, SharedCacheMode};
pub use shared_trust::SharedTrust;
pub use store::StoreSettings;
pub use volumes::VolumeSizes;
pub use worker::WorkerSettings;

/// When output is coloured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Color {
    /// On terminals.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Progress {
    /// `tty` on a terminal, `plain` elsewhere and in CI
    #[default]
    Auto,
    /// A list redrawn in place
    Tty,
    /// A line for each step that starts or ends
    Plain,
    /// One JSON object a line, nothing else on standard output
    Json,
}

/// How diagnostics are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

/// How steps are executed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Executor {
    /// In the sandbox; or on Docker, where the machine allows no sandbox
    #[default]
    Auto,
    /// In namespaces of their own
    Sandbox,
    /// In containers of a Docker engine, for steps with an image (docs/docker.md)
    Docker,
    /// As plain processes that see the whole machine
    Plain,
}

impl Executor {
    /// Whether steps may have cache volumes.
    pub const fn has_volumes(self) -> bool {
        !matches!(self, Self::Plain)
    }
}

/// What every command needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the cache is.
    pub cache_dir: PathBuf,
    /// How large it may grow, in bytes; none for the cache's own default.
    pub cache_size: Option<u64>,
    /// What cache volumes of steps may take.
    pub volumes: VolumeSizes,
    /// When to colour.
    pub color: Color,
    /// The terminal.
    pub terminal: Terminal,
    /// The configuration file, if there is one.
    pub file: Option<PathBuf>,
    /// `PATH`: where the tools of the machine are.
    pub path: String,
    /// The home directory of whoever runs this.
    pub home: Option<PathBuf>,
    /// `TERM`: the kind of terminal that this runs at.
    pub term: Option<String>,
    /// `CULLET_LOG`: which diagnostics of Cullet itself go to standard error.
    pub log: Option<String>,
    /// `CULLET_LOG_FORMAT`: how they are written.
    pub log_format: LogFormat,
    /// Where spans go.
    pub otlp: OtlpSettings,
    /// Who this is to a cluster.
    pub cluster_token: Option<ClusterToken>,
    /// The blobs that machines share.
    pub store: StoreSettings,
    /// What environment and file say of the cache behind that of this machine.
    shared_cache: shared_cache::Settings,
    /// What breaking the glass takes.
    pub glass: GlassSettings,
    /// Where images come from.
    pub registries: RegistrySettings,
    /// Where secrets come from.
    pub secrets: SecretSettings,
    /// `DOCKER_HOST`: where a Docker engine listens, where that is not the usual place.
    pub docker_host: Option<String>,
    /// `TRACEPARENT`: the trace that whoever runs this is part of (W3C Trace Context).
    pub traceparent: Option<String>,
    run: RunDefaults,
}

/// What `cullet run` needs to know beyond [`Config`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunConfig {
    /// How to show progress.
    pub progress: Progress,
    /// How to execute.
    pub executor: Executor,
    /// Thousandths of a processor; none for all there are.
    pub cpu_millis: Option<u32>,
    /// Bytes of memory; none for all there is.
    pub memory_bytes: Option<u64>,
    /// What a step may take that says nothing about it itself.
    pub limits: StepLimits,
    /// Who pays for runs on a cluster; the cluster's default where it is empty.
    pub tenant: String,
}

/// What environment and file say about runs.
#[derive(Debug, Clone, Default)]
struct RunDefaults {
    progress: Option<Progress>,
    executor: Option<Executor>,
    cpu_millis: Option<u32>,
    memory_bytes: Option<u64>,
    limits: UsualLimits,
    cluster: Option<String>,
    tenant: Option<String>,
    secrets: Option<PathBuf>,
}

impl Config {
    /// Reads the process's environment and the configuration file.
    ///
    /// # Errors
    /// Something in one of them is wrong, or there is no place for a cache.
    pub fn load(flags: &GlobalArgs) -> Result<Self, CliError> {
        let variable = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        Self::from_sources(flags, &variable)
    }

    /// As [`Config::load`], with `variable` in place of the environment.
    pub fn from_sources(
        flags: &GlobalArgs,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, CliError> {
        let env = Env { variable };
        let (path, file) = file::load(&env)?;
        let cache_dir = match flags.cache_dir.clone().or_else(|| env.path("CULLET_CACHE_DIR")) {
            Some(dir) => dir,
            None => file.cache_dir.clone().map_or_else(|| paths::default_cache_dir(variable), Ok)?,
        };
        let cache_dir = paths::absolute(cache_dir)?;
        Ok(Self {
            glass: GlassSettings::of(&env, &file, &cache_dir),
            cache_dir,
            cache_size: first(
                flags.cache_size,
                env.parsed("CULLET_CACHE_SIZE", size::parse)?,
                file.cache_size,
            ),
            volumes: VolumeSizes::of(flags, &env, &file)?,
            color: flags.color.or(file.color).unwrap_or_default(),
            terminal: Terminal::detect(variable),
            path: env.text("PATH").unwrap_or_default(),
            home: env.path("HOME"),
            term: env.text("TERM"),
            log: env.text("CULLET_LOG"),
            store: StoreSettings::of(&env),
            shared_cache: shared_cache::Settings::of(&env, &file)?,
            registries: RegistrySettings::of(&env, &file),
            secrets: SecretSettings::of(&env, file.secrets.clone(), path.as_deref()),
            log_format: env.parsed("CULLET_LOG_FORMAT", choice)?.unwrap_or_default(),
            otlp: OtlpSettings::of(&env),
            cluster_token: ClusterToken::of(&env)?,
            docker_host: env.text("DOCKER_HOST"),
            traceparent: env.text("TRACEPARENT"),
            run: RunDefaults {
                progress: env.parsed("CULLET_PROGRESS", choice)?.or(file.progress),
                executor: env.parsed("CULLET_EXECUTOR", choice)?.or(file.executor),
                cpu_millis: env.parsed("CULLET_JOBS", parse_cpus)?.or(file.jobs),
                memory_bytes: env.parsed("CULLET_MEMORY", size::parse)?.or(file.memory),
                limits: limits::usual(&env, &file.limits)?,
                cluster: env.text("CULLET_CLUSTER").or(file.cluster),
                tenant: env.parsed("CULLET_TENANT", parse_tenant)?.or(file.tenant),
                secrets: env.path("CULLET_SECRETS"),
            },
            file: path,
        })
    }

    /// What `cullet run` needs to know.
    pub fn run(&self, args: &RunArgs) -> RunConfig {
        let defaults = &self.run;
        RunConfig {
            progress: self.progress(args.progress),
            executor: args.executor.or(defaults.executor).unwrap_or_default(),
            cpu_millis: args.jobs.or(defaults.cpu_millis),
            memory_bytes: args.memory.or(defaults.memory_bytes),
            limits: self.step_limits(&args.limits),
            tenant: args.tenant.clone().or_else(|| defaults.tenant.clone()).unwrap_or_default(),
        }
    }

    /// What a step may take that says nothing about it itself.
    pub fn step_limits(&self, flags: &[(LimitKind, u64)]) -> StepLimits {
        limits::of_steps(&limits::with(&self.run.limits, flags))
    }

    /// The same as environment and file say it.
    pub const fn usual_limits(&self) -> &UsualLimits {
        &self.run.limits
    }

    /// How to show progress.
    pub fn progress(&self, flag: Option<Progress>) -> Progress {
        flag.or(self.run.progress).unwrap_or_default()
    }

    /// The cluster that is meant, as it was written. A flag that says nothing takes back what environment and file
    /// say: then this machine is meant.
    pub fn cluster(&self, flag: Option<&str>) -> Option<String> {
        let named = flag.map(str::to_owned).or_else(|| self.run.cluster.clone());
        named.filter(|text| !text.is_empty())
    }

    /// Who pays for runs on a cluster, if environment or file say so.
    pub fn tenant(&self) -> Option<&str> {
        self.run.tenant.as_deref()
    }

    /// How to execute steps, as environment and file say.
    pub const fn executor(&self) -> Option<Executor> {
        self.run.executor
    }

    /// How to open the cache for looking at it; whoever runs steps names an owner as well.
    pub fn cache_options(&self) -> cullet_cache::OpenOptions {
        let usual = cullet_cache::OpenOptions::new(&self.cache_dir);
        cullet_cache::OpenOptions { bound: self.cache_size.unwrap_or(usual.bound), ..usual }
    }

    /// How to open the cache for running steps: they must be able to change copies of what is in it.
    pub fn run_cache_options(&self) -> cullet_cache::OpenOptions {
        cullet_cache::OpenOptions { owner: self.step_owner(), ..self.cache_options() }
    }

    /// User and group that steps run as, where those are not this process's.
    pub fn step_owner(&self) -> Option<(u32, u32)> {
        cullet_worker::sandbox::sandbox_owner().map(|id| (id, id))
    }

    /// The tools of this machine that steps may use.
    pub fn host_tools(&self) -> cullet_worker::host::HostTools {
        cullet_worker::host::HostTools::discover(&self.path, self.home.as_deref())
    }
}

fn first<T>(flag: Option<T>, env: Option<T>, file: Option<T>) -> Option<T> {
    flag.or(env).or(file)
}

fn choice<T: ValueEnum>(text: &str) -> Result<T, String> {
    T::from_str(text, true).map_err(|_| {
        let names = T::value_variants().iter().filter_map(ValueEnum::to_possible_value);
        let names: Vec<String> = names.map(|value| value.get_name().to_owned()).collect();
        format!("'{text}' is not one of {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests;
