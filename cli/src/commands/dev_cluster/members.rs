//! Which processes a cluster on this machine is made of.

use std::path::{Path, PathBuf};

use super::ENDING;
use super::home::Home;
use super::ports;
use crate::args::DevClusterArgs;
use crate::commands::machine;
use crate::config::Config;
use crate::error::CliError;

/// A process to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    /// Such as `worker-0`.
    pub(super) name: String,
    pub(super) is_worker: bool,
    /// Its command line, without the program.
    pub(super) arguments: Vec<String>,
}

/// What is to be started.
#[derive(Debug)]
pub(super) struct Plan {
    /// Ports of coordinators, then of workers.
    ports: Vec<u16>,
    coordinators: usize,
    dir: PathBuf,
    /// What each worker lets steps take, as flags.
    share: Vec<String>,
}

impl Plan {
    /// Chooses ports, those in the file `kept` if there is one, and divides the machine among the workers.
    pub(super) fn new(
        args: &DevClusterArgs,
        config: &Config,
        dir: &Path,
        kept: Option<&Path>,
    ) -> Result<Self, CliError> {
        let (coordinators, workers) = (usize::from(args.coordinators), usize::from(args.workers));
        let names: Vec<String> =
            (0..coordinators + workers).map(|position| name(position, coordinators)).collect();
        let ports = match args.base_port {
            Some(first) => {
                let given: Vec<u16> = (first..).take(names.len()).collect();
                if let Some(file) = kept {
                    ports::keep(&names, &given, file)?;
                }
                given
            }
            None => ports::choose(&names, kept)?,
        };
        let all = machine::capacity(None, None);
        let each = u32::from(args.workers.max(1));
        let cpu_millis = args.jobs.unwrap_or((all.cpu_millis / each).max(1000));
        let memory_bytes = all.memory_bytes / u64::from(each);
        let executor = machine::name(args.executor.or(config.executor()).unwrap_or_default());
        let share = [
            ("--jobs", format!("{}.{:03}", cpu_millis / 1000, cpu_millis % 1000)),
            ("--memory", memory_bytes.to_string()),
            ("--executor", executor.to_owned()),
        ];
        let share = share.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect();
        Ok(Self { ports, coordinators, dir: dir.to_owned(), share })
    }

    /// Coordinators first.
    pub(super) fn members(&self) -> impl Iterator<Item = Member> {
        (0..self.ports.len()).map(|position| {
            if position < self.coordinators { self.coordinator(position) } else { self.worker(position) }
        })
    }

    /// Where coordinators are.
    pub(super) fn urls(&self) -> Vec<String> {
        (0..self.coordinators).map(|position| self.url(position)).collect()
    }

    pub(super) fn workers(&self) -> usize {
        self.ports.len() - self.coordinators
    }

    /// What a person wants to know of it.
    pub(super) fn describe(&self, home: &Home) -> String {
        let mut text = format!(
            "{} and {} are ready.\n\n",
            count(self.coordinators, "coordinator"),
            count(self.workers(), "worker")
        );
        for member in self.members().zip(0..) {
            let (Member { name, .. }, position) = member;
            text.push_str(&format!("  {name:<15} {}\n", self.url(position)));
        }
        text.push_str(&format!("  {:<15} {}\n", "shared store", self.store()));
        text.push_str(&format!("  {:<15} {}\n\n", "logs", home.logs().display()));
        text.push_str(&format!("export CULLET_CLUSTER={}\n\nCtrl-C ends it.\n", self.urls().join(",")));
        text
    }

    fn coordinator(&self, position: usize) -> Member {
        let name = name(position, self.coordinators);
        let mut arguments = vec!["coordinator".to_owned()];
        arguments.extend(self.common(&name, position));
        arguments.extend(["--expect".to_owned(), self.coordinators.to_string()]);
        if self.coordinators > 1 {
            arguments.extend(["--peer".to_owned(), self.urls().join(",")]);
        }
        Member { name, is_worker: false, arguments }
    }

    fn worker(&self, position: usize) -> Member {
        let name = name(position, self.coordinators);
        let mut arguments = vec!["worker".to_owned()];
        arguments.extend(self.common(&name, position));
        let drain = (ENDING.as_secs() / 2).to_string();
        let more = ["--join", &self.urls().join(","), "--name", &name, "--drain", &drain];
        arguments.extend(more.map(str::to_owned));
        arguments.extend_from_slice(&self.share);
        Member { name, is_worker: true, arguments }
    }

    fn common(&self, name: &str, position: usize) -> [String; 6] {
        let data = self.dir.join(name).display().to_string();
        let listen = format!("127.0.0.1:{}", self.ports[position]);
        ["--data", &data, "--listen", &listen, "--store", &self.store()].map(str::to_owned)
    }

    fn store(&self) -> String {
        self.dir.join("store").display().to_string()
    }

    fn url(&self, position: usize) -> String {
        format!("http://127.0.0.1:{}", self.ports[position])
    }
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn name(position: usize, coordinators: usize) -> String {
    match position.checked_sub(coordinators) {
        None => format!("coordinator-{position}"),
        Some(worker) => format!("worker-{worker}"),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Command};

    fn plan(arguments: &[&str]) -> Plan {
        let line = ["cullet", "dev-cluster"].iter().chain(arguments);
        let cli = Cli::try_parse_from(line).unwrap();
        let Command::DevCluster(args) = &cli.command else { panic!("another command") };
        let home = |name: &str| (name == "HOME").then(|| "/nowhere".to_owned());
        let config = Config::from_sources(&cli.global, &home).unwrap();
        Plan::new(args, &config, Path::new("/dir"), None).unwrap()
    }

    #[test]
    fn every_member_has_a_line_that_parses_and_a_port_of_its_own() {
        let plan = plan(&["--base-port", "7400", "--workers", "2", "--jobs", "1.5"]);
        let members: Vec<Member> = plan.members().collect();
        assert_eq!(members.len(), 5);
        let worker = members[4].arguments.join(" ");
        assert!(worker.starts_with("worker --data /dir/worker-1 --listen 127.0.0.1:7404 --store /dir/store"));
        assert!(worker.contains("--join http://127.0.0.1:7400,http://127.0.0.1:7401,http://127.0.0.1:7402"));
        assert!(worker.contains("--jobs 1.500"), "{worker}");
        for member in &members {
            let line = ["cullet"].into_iter().chain(member.arguments.iter().map(String::as_str));
            if let Err(error) = Cli::try_parse_from(line) {
                panic!("{member:?}: {error}");
            }
        }
    }
}
