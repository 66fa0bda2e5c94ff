//! Which kinds of machines there are in a cluster, and which one a run gets for its steps with the image `host`.

use std::collections::BTreeMap;

use cullet_cache::Action;
use cullet_cache::action::{ENVIRONMENT, NETWORK};
use cullet_core::spec::Label;
use cullet_core::{State, WorkerView};
use cullet_pipeline::plan::Platform;

use crate::engine::FUNCTION;
use crate::images::LABEL;
use crate::template::Machine;

/// The names under which a worker says what it is.
const ARCH: &str = "Arch";
const OS: &str = "OSFamily";
const IMAGE: &str = "image";
const EXECUTOR: &str = "executor";

/// What stands in front of the fingerprint in [`IMAGE`].
const HOST: &str = "host:";

/// What a worker says that isolates its steps. It need not: that is what workers do.
const SANDBOX: &str = "sandbox";

/// The labels that a worker must have for the steps of a run.
pub(crate) fn requirement(machine: &Machine) -> Box<[Label]> {
    let executor = machine.executor.as_deref().unwrap_or(SANDBOX);
    let image = format!("{HOST}{}", machine.host_image);
    let labels = [(ARCH, &*machine.arch), (OS, &*machine.os), (EXECUTOR, executor), (IMAGE, &image)];
    labels.map(|(name, value)| (name.into(), value.into())).into()
}

/// The labels that a worker must have for those steps of a run that have an image. What is installed on the machine does not
/// matter to them.
fn requirement_of_images(machine: &Machine) -> Box<[Label]> {
    let labels = [(ARCH, &*machine.arch), (OS, &*machine.os), (EXECUTOR, SANDBOX), LABEL];
    labels.map(|(name, value)| (name.into(), value.into())).into()
}

/// The same for steps on the machine's own root that have services, which run in images.
fn requirement_with_services(machine: &Machine) -> Box<[Label]> {
    let mut labels = requirement(machine).into_vec();
    labels.push((LABEL.0.into(), LABEL.1.into()));
    labels.into()
}

/// What the steps of a run require, each set once.
pub(crate) struct Requirements<'a> {
    machine: &'a Machine,
    sets: Vec<Box<[Label]>>,
    /// Where the sets are that not every run has.
    images: Option<u16>,
    services: Option<u16>,
}

impl<'a> Requirements<'a> {
    pub(crate) fn new(machine: &'a Machine) -> Self {
        Self { machine, sets: vec![requirement(machine)], images: None, services: None }
    }

    /// Which set it is for a step.
    pub(crate) fn of(&mut self, in_image: bool, has_services: bool) -> u16 {
        let (place, make) = match (in_image, has_services) {
            (true, _) => (&mut self.images, requirement_of_images as fn(&Machine) -> Box<[Label]>),
            (false, true) => (&mut self.services, requirement_with_services as _),
            (false, false) => return 0,
        };
        *place.get_or_insert_with(|| {
            self.sets.push(make(self.machine));
            // There are three at most.
            (self.sets.len() - 1) as u16
        })
    }

    /// All of them.
    pub(crate) fn finish(self) -> Box<[Box<[Label]>]> {
        self.sets.into()
    }
}

/// What a client of the Remote Execution API asks for, and which labels a worker must have for it; none while no worker has them,
/// with what is asked for. Properties that say nothing about the worker are not among them.
pub(crate) fn for_action(state: &State, action: &Action) -> Result<Box<[Label]>, String> {
    let mut asked: BTreeMap<Box<str>, Box<str>> = BTreeMap::new();
    let says = |(name, value): &&(String, String)| match name.as_str() {
        IMAGE => value.starts_with(HOST),
        name => !OTHERS.contains(&name),
    };
    for (name, value) in action.platform.iter().filter(says) {
        let (name, value) = usual(name, value);
        asked.insert(name.into(), value.into());
    }
    let in_image = action.image().is_some();
    if in_image {
        asked.insert(LABEL.0.into(), LABEL.1.into());
    }
    asked.entry(EXECUTOR.into()).or_insert_with(|| SANDBOX.into());
    let has = |worker: &WorkerView<'_>| {
        asked.iter().all(|(name, value)| worker.spec.labels.get(name) == Some(value))
    };
    // In an image, what is installed on the machine does not matter.
    let suits = |kind: &Kind| in_image || !kind.host_image.is_empty();
    let best = kinds(state, has, suits).into_iter().rev().max_by_key(|(_, cpus)| *cpus);
    let said = || asked.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(", ");
    let machine = best.ok_or_else(said)?.0.machine();
    let usual = if in_image { requirement_of_images(&machine) } else { requirement(&machine) };
    for (name, value) in usual {
        asked.entry(name).or_insert(value);
    }
    Ok(asked.into_iter().collect())
}

/// Platform properties of which a worker's labels do not speak.
const OTHERS: [&str; 7] =
    ["container-image", "cpu", "memory", "EstimatedCPU", "EstimatedMemory", ENVIRONMENT, NETWORK.0];

/// A property as our workers say it: clients have different names for one processor.
fn usual(name: &str, value: &str) -> (String, String) {
    match name {
        "ISA" | "arch" | ARCH => {
            let value = match value.to_ascii_lowercase().as_str() {
                "amd64" | "x86-64" | "x86_64" => "x86_64".to_owned(),
                "arm64" | "aarch64" => "aarch64".to_owned(),
                other => other.to_owned(),
            };
            (ARCH.to_owned(), value)
        }
        "os" | OS => (OS.to_owned(), value.to_ascii_lowercase()),
        _ => (name.to_owned(), value.to_owned()),
    }
}

/// The labels of a worker, completed by what goes without saying.
pub(crate) fn completed(labels: impl IntoIterator<Item = (String, String)>) -> BTreeMap<Box<str>, Box<str>> {
    let mut labels: BTreeMap<Box<str>, Box<str>> =
        labels.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
    labels.entry(EXECUTOR.into()).or_insert_with(|| SANDBOX.into());
    labels
}

/// The kind of machine for a new run: the one with this fingerprint if a worker has it, or else the one that has most
/// processors. One without software for steps, whose workers run them in images only, is there for want of others. None
/// while there is no worker, or none of the platform, where it has to be one.
pub(crate) fn choose(state: &State, preferred: &str, platform: Option<&Platform>) -> Option<Machine> {
    let suits =
        |kind: &Kind| platform.is_none_or(|platform| kind.arch == platform.arch() && kind.os == Platform::OS);
    let liked = |kind: &Kind| !preferred.is_empty() && kind.host_image == preferred;
    // Of equals the first, so that all coordinators choose the same.
    let best = kinds(state, |_| true, suits)
        .into_iter()
        .rev()
        .max_by_key(|(kind, cpus)| (liked(kind), !kind.host_image.is_empty(), *cpus))?;
    Some(best.0.machine())
}

/// The kinds of machines of those workers that take steps, with their processors.
fn kinds(
    state: &State,
    has: impl Fn(&WorkerView<'_>) -> bool,
    suits: impl Fn(&Kind) -> bool,
) -> BTreeMap<Kind, u64> {
    let mut kinds = BTreeMap::new();
    for worker in state.workers().filter(|worker| !worker.draining && has(worker)) {
        if let Some(kind) = Kind::of(&worker).filter(&suits) {
            *kinds.entry(kind).or_default() += u64::from(worker.spec.cpu_millis);
        }
    }
    kinds
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    host_image: String,
    arch: String,
    os: String,
    executor: String,
}

impl Kind {
    fn of(worker: &WorkerView<'_>) -> Option<Self> {
        let label = |name: &str| worker.spec.labels.get(name).map(|value| value.to_string());
        let host_image = match label(IMAGE) {
            Some(image) => image.strip_prefix(HOST)?.to_owned(),
            None => label(LABEL.0).filter(|value| value == LABEL.1).map(|_| String::new())?,
        };
        Some(Self { host_image, arch: label(ARCH)?, os: label(OS)?, executor: label(EXECUTOR)? })
    }

    fn machine(self) -> Machine {
        let Self { host_image, arch, os, executor } = self;
        let executor = Some(executor).filter(|executor| executor != SANDBOX);
        Machine { function: FUNCTION, arch, os, host_image, executor }
    }
}

#[cfg(test)]
mod tests {
    use cullet_core::{LogCommand, WorkerSpec};

    use super::*;

    fn state(workers: &[(&str, u32)]) -> State {
        let mut state = State::default();
        for (number, (image, cpu_millis)) in workers.iter().enumerate() {
            let (image, arch) = image.split_once('@').unwrap_or((image, "x86_64"));
            let software = if image.is_empty() { LABEL } else { (IMAGE, image) };
            let labels = [(ARCH, arch), (OS, "linux"), software];
            let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let spec = WorkerSpec {
                name: format!("w{number}").into(),
                cpu_millis: *cpu_millis,
                labels: completed(labels),
                ..WorkerSpec::default()
            };
            state.apply(&LogCommand::WorkerJoined { spec, at: 0 });
        }
        state
    }

    #[test]
    fn the_submitters_kind_is_preferred_and_then_the_one_with_most_processors() {
        let state = state(&[("host:a", 1000), ("host:b", 2000), ("host:c", 1000), ("host:c", 1000)]);
        let chosen = |preferred: &str| choose(&state, preferred, None).unwrap().host_image;
        assert_eq!((chosen("a"), chosen("x"), chosen("")), ("a".to_owned(), "b".to_owned(), "b".to_owned()));
        assert!(choose(&State::default(), "a", None).is_none());
    }

    #[test]
    fn a_platform_decides_before_processors_and_software_do() {
        let state = state(&[("host:a", 9000), ("host:b@aarch64", 1000)]);
        let chosen = |platform: &str| choose(&state, "a", Some(&platform.parse().unwrap()));
        let arm = chosen("linux/arm64").unwrap();
        assert_eq!((arm.arch.as_str(), arm.host_image.as_str()), ("aarch64", "b"));
        assert_eq!(chosen("linux/amd64").unwrap().arch, "x86_64");
        assert!(chosen("linux/riscv64").is_none());
    }

    #[test]
    fn workers_that_run_images_only_are_a_kind_for_want_of_others() {
        assert_eq!(choose(&state(&[("", 9000), ("host:a", 1000)]), "", None).unwrap().host_image, "a");
        let state = state(&[("", 9000)]);
        let machine = choose(&state, "a", None).unwrap();
        let labels = &state.workers().next().unwrap().spec.labels;
        let has =
            |required: Box<[Label]>| required.iter().all(|(name, value)| labels.get(name) == Some(value));
        assert!(has(requirement_of_images(&machine)) && !has(requirement(&machine)));
    }

    #[test]
    fn the_workers_of_a_kind_have_what_its_runs_require() {
        let state = state(&[("host:a", 1000)]);
        let required = requirement(&choose(&state, "", None).unwrap());
        let worker = state.workers().next().unwrap();
        assert!(required.iter().all(|(name, value)| worker.spec.labels.get(name) == Some(value)));
        let plain = Machine { executor: Some("plain".to_owned()), ..choose(&state, "", None).unwrap() };
        assert!(requirement(&plain).iter().any(|(name, value)| worker.spec.labels.get(name) != Some(value)));
    }
}
