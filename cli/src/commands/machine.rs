//! What this machine gives to steps: a way to execute them, and room.

use std::path::PathBuf;
use std::time::Duration;

use cullet_coordinator::resolve::describe;
use cullet_coordinator::session::Capacity;
use cullet_pipeline::Plan;
use cullet_worker::docker::{Address, DockerExecutor, Engine, EngineError};
use cullet_worker::host::HostTools;
use cullet_worker::plain::PlainExecutor;
use cullet_worker::sandbox::{LauncherCommand, Sandbox, SandboxConfig, SandboxReport, Tier, probe};
use cullet_worker::{ExecuteError, StepExecutor, StepLimits};

use crate::config::{Config, Executor};
use crate::images::ENGINE_USERS;

/// How long a step that is told to end has before it is killed; as in the sandbox.
const GRACE: Duration = Duration::from_secs(2);

/// An executor that is ready.
pub(super) struct Started {
    pub(super) executor: Box<dyn StepExecutor>,
    /// Where it runs steps in containers: whose, and why, in a sentence.
    pub(super) docker: Option<(Engine, String)>,
    /// In which way it is weaker than documented. It is used all the same, but not in silence.
    pub(super) weakness: Option<String>,
    /// That some of the limits asked for are only planned with, in a sentence for each reason.
    pub(super) unenforced: Vec<String>,
}

/// Every kind of limit that a machine may be unable to enforce.
pub(super) const ALL_LIMITS: StepLimits =
    StepLimits { cpu_millis: 1, memory_bytes: 1, processes: 1, disk_bytes: 1, output_bytes: 1, log_bytes: 1 };

/// That steps have no volumes, in a sentence, where some step of the plan would have one.
pub(super) fn without_caches(choice: Executor, plan: &Plan) -> Option<String> {
    let has = || plan.steps.iter().any(|step| !step.settings.caches.is_empty());
    match choice {
        Executor::Plain if has() => Some(NO_CACHES.to_owned()),
        Executor::Plain | Executor::Docker | Executor::Auto | Executor::Sandbox => None,
    }
}

/// Of Docker, where steps have secrets.
pub(super) const SECRETS_IN_CONTAINERS: &str = "secrets of steps are in containers, into which whoever reaches the Docker engine can look while the steps run";

/// Of the plain executor.
pub(super) const NO_CACHES: &str =
    "`caches` of steps are not mounted by the plain executor: steps have what the machine has there";

/// That limits of these kinds are only planned with, in a sentence for each reason.
fn unenforced(executor: Executor, kinds: &[&str]) -> Vec<String> {
    let sentence = |kinds: &[&str], why: &str| {
        (!kinds.is_empty()).then(|| format!("limits of {} are not enforced {why}", kinds.join(" and ")))
    };
    // What it enforces nowhere, and why it does not enforce the others here.
    let (never, never_why, here_why) = match executor {
        Executor::Docker => (
            NOT_IN_CONTAINERS,
            "on Docker: its engines limit no disk",
            "by this Docker engine: it says that it cannot",
        ),
        Executor::Plain => (
            "processes",
            "by the plain executor: it cannot tell those of a step from others of its user",
            NO_CGROUP,
        ),
        Executor::Auto | Executor::Sandbox => ("", "", NO_CGROUP),
    };
    let (never, here): (Vec<&str>, Vec<&str>) = kinds.iter().partition(|kind| **kind == never);
    sentence(&here, here_why).into_iter().chain(sentence(&never, never_why)).collect()
}

const NO_CGROUP: &str =
    "on this machine: there is no control group (cgroup) in which this process may make others";

/// The limit that no engine enforces.
const NOT_IN_CONTAINERS: &str = "disk";

/// What an engine does not enforce of all that steps may be limited in, in a clause; and whether another engine would.
pub(super) fn unenforced_by(engine: &Engine) -> (String, bool) {
    let kinds = engine.missing(&ALL_LIMITS);
    let is_weak = kinds.iter().any(|kind| *kind != NOT_IN_CONTAINERS);
    (format!("limits of {} are not enforced there", kinds.join(" and ")), is_weak)
}

/// Starts an executor; blocks for some milliseconds. Steps do not see the cache.
pub(super) fn start(
    choice: Executor,
    tools: HostTools,
    config: &Config,
    limits: &StepLimits,
) -> Result<Started, ExecuteError> {
    let launcher = LauncherCommand::this_program();
    match choice {
        Executor::Plain => {
            let plain = PlainExecutor::start(launcher, tools, GRACE)?;
            let unenforced = unenforced(choice, &plain.missing(limits));
            Ok(Started { executor: Box::new(plain), docker: None, weakness: None, unenforced })
        }
        Executor::Sandbox => {
            let sandbox =
                Sandbox::start(launcher, SandboxConfig::new(tools, vec![config.cache_dir.clone()]))?;
            let weakness = weakness(&sandbox.tier());
            let unenforced = unenforced(choice, &sandbox.missing(limits));
            Ok(Started { executor: Box::new(sandbox), docker: None, weakness, unenforced })
        }
        Executor::Docker => {
            let engine = engine(config).map_err(|error| ExecuteError::Unavailable(error.to_string()))?;
            Ok(in_containers(engine, limits, None))
        }
        Executor::Auto => match start(Executor::Sandbox, tools, config, limits) {
            Err(ExecuteError::Unavailable(reason)) => match engine(config) {
                Ok(engine) => Ok(in_containers(engine, limits, Some(reason))),
                Err(error) => Err(ExecuteError::Unavailable(format!("{reason}; and {error}"))),
            },
            started => started,
        },
    }
}

/// The Docker engine of this machine; blocks for some milliseconds, or ten seconds where it does not answer.
pub(super) fn engine(config: &Config) -> Result<Engine, EngineError> {
    let engine = Engine::find(&Address::of(config.docker_host.as_deref())?)?;
    engine.note_in(config.images_dir().join(ENGINE_USERS));
    Ok(engine)
}

fn in_containers(engine: Engine, limits: &StepLimits, no_sandbox: Option<String>) -> Started {
    let unenforced = unenforced(Executor::Docker, &engine.missing(limits));
    let executor = DockerExecutor::new(engine.clone(), GRACE);
    let mut text = format!("steps run in containers of {}", about(&engine));
    let executor = match no_sandbox {
        None => executor,
        Some(reason) => {
            text = format!("{text}, as this machine allows no sandbox: {reason}");
            executor.instead_of_a_sandbox(reason)
        }
    };
    Started { executor: Box::new(executor), docker: Some((engine, text)), weakness: None, unenforced }
}

/// An engine, for people.
pub(super) fn about(engine: &Engine) -> String {
    let (facts, address) = (engine.facts(), engine.address());
    format!("the Docker engine {} at {address} (API {})", facts.version, facts.api)
}

fn weakness(tier: &Tier) -> Option<String> {
    let Tier::Degraded { missing, remedy } = tier else { return None };
    Some(format!("the sandbox is weaker than it should be: {missing}; {remedy}"))
}

/// How executors are named where they have no other name.
pub(super) const fn name(choice: Executor) -> &'static str {
    match choice {
        Executor::Plain => "plain",
        Executor::Docker => "docker",
        Executor::Auto | Executor::Sandbox => "sandbox",
    }
}

/// The sandbox, every part of it tried for real: nothing else tells what the machine allows.
pub(super) fn sandbox(config: &Config) -> SandboxReport {
    let settings = SandboxConfig::new(config.host_tools(), vec![config.cache_dir.clone()]);
    // Where steps will run, or beside it, if that is there and can be written: whether it is, is another check's matter.
    // The root directory of a container, where other temporary files are, allows less than the volume of a cache.
    let places = [config.cache_dir.join("work"), config.cache_dir.clone()];
    let usable = |place: &PathBuf| rustix::fs::access(place, rustix::fs::Access::WRITE_OK).is_ok();
    let place = places.into_iter().find(usable).unwrap_or_else(std::env::temp_dir);
    // The sandbox itself has the last word; the trials know more of what steps need.
    match Sandbox::start(LauncherCommand::this_program(), settings.clone()) {
        Ok(_) => probe(&LauncherCommand::this_program(), &settings.view, &place),
        Err(error) => {
            SandboxReport { tier: Tier::Unavailable { reason: describe(&error) }, facts: Vec::new() }
        }
    }
}

/// What steps may take of this machine at once: what the user allows, or all there is.
pub(super) fn capacity(cpu_millis: Option<u32>, memory_bytes: Option<u64>) -> Capacity {
    let processors = std::thread::available_parallelism().map_or(1, |count| count.get());
    let all = u32::try_from(processors).unwrap_or(u32::MAX).saturating_mul(1000);
    let info = rustix::system::sysinfo();
    // Lossless where C's long has 64 bits, as on everything that Cullet runs on.
    let memory = (info.totalram as u64).saturating_mul(u64::from(info.mem_unit));
    Capacity { cpu_millis: cpu_millis.unwrap_or(all), memory_bytes: memory_bytes.unwrap_or(memory) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_executor_has_its_own_reasons() {
        let told = |executor, kinds: &[&str]| unenforced(executor, kinds).join("\n");
        assert_eq!(
            told(Executor::Docker, &["disk"]),
            "limits of disk are not enforced on Docker: its engines limit no disk"
        );
        let weak = told(Executor::Docker, &["memory", "cpu", "disk"]);
        assert!(
            weak.starts_with("limits of memory and cpu are not enforced by this Docker engine: "),
            "{weak}"
        );
        assert!(
            weak.contains("\nlimits of disk are not enforced on Docker: ") && !weak.contains("cgroup"),
            "{weak}"
        );
        let plain = told(Executor::Plain, &["cpu", "processes"]);
        assert!(
            plain.contains("limits of cpu are not enforced on this machine: there is no control group"),
            "{plain}"
        );
        assert!(plain.contains("\nlimits of processes are not enforced by the plain executor: "), "{plain}");
        let sandbox = told(Executor::Sandbox, &["memory", "cpu"]);
        assert!(
            sandbox.starts_with("limits of memory and cpu are not enforced on this machine"),
            "{sandbox}"
        );
        assert_eq!(told(Executor::Sandbox, &[]), "");
    }
}
