//! What `cullet worker` needs to know.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use cullet_worker::StepLimits;

use super::{Config, Executor};
use crate::args::{WorkerArgs, parse_url};
use crate::error::CliError;
use crate::paths;

/// Who a worker is and what it may use.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// The configuration, with the worker's directory as the cache directory.
    pub base: Config,
    /// Where coordinators are; at least one.
    pub coordinators: Vec<String>,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where others reach it, unless that is where it listens.
    pub advertise: Option<String>,
    /// Its name, or that of the machine where none was given.
    pub name: String,
    /// Thousandths of a processor; none for all there are.
    pub cpu_millis: Option<u32>,
    /// Bytes of memory; none for all there is.
    pub memory_bytes: Option<u64>,
    /// What a step may take that says nothing about it itself.
    pub limits: StepLimits,
    /// How it executes.
    pub executor: Executor,
    /// What its operator says of it.
    pub labels: BTreeMap<String, String>,
    /// Where the shared store is; none for asking coordinators.
    pub store: Option<String>,
    /// Where the secrets are that its operator gives to steps.
    pub secrets: Option<PathBuf>,
    /// Where the key is that it signs results with.
    pub signing_key: Option<PathBuf>,
    /// How long steps may take to finish when it is told to end.
    pub drain: Duration,
}

/// The longest name, and the longest half of a label, that a cluster takes: a host name's, in bytes.
const MAX_NAME: usize = 255;

/// Labels that an operator may add: a cluster takes 64, and some say what the machine is.
const MAX_LABELS: usize = 48;

/// What a worker says of its machine by itself.
const OWN_LABELS: [&str; 6] = ["Arch", "OSFamily", "environment", "executor", "image", "images"];

impl Config {
    /// What `cullet worker` needs to know; `host` is the name of the machine.
    ///
    /// # Errors
    /// What a cluster would not take, or nobody could reach.
    pub fn worker(&self, args: &WorkerArgs, host: &str) -> Result<WorkerSettings, CliError> {
        let name = args.name.clone().unwrap_or_else(|| host.to_owned());
        check_name(&name)?;
        if args.listen.ip().is_unspecified() && args.advertise.is_none() {
            let hint = "name one with --advertise URL, such as http://w-0:7401";
            let message = format!("--listen {} is no address at which others reach this worker", args.listen);
            return Err(CliError::usage(message).hint(hint));
        }
        let mut base = self.clone();
        if let Some(data) = &args.data {
            base.cache_dir = paths::absolute(data.clone())?;
        }
        Ok(WorkerSettings {
            base,
            coordinators: self.coordinators(&args.join)?,
            listen: args.listen,
            advertise: args.advertise.clone(),
            name,
            cpu_millis: args.jobs.or(self.run.cpu_millis),
            memory_bytes: args.memory.or(self.run.memory_bytes),
            limits: self.step_limits(&args.limits),
            executor: args.executor.or(self.run.executor).unwrap_or_default(),
            labels: labels(&args.labels)?,
            store: args.store.clone().or_else(|| self.store.location.clone()),
            secrets: args.secrets.clone().or_else(|| self.run.secrets.clone()),
            signing_key: args.signing_key.clone(),
            drain: Duration::from_secs(args.drain),
        })
    }

    /// Those that are named, or else those of the cluster that environment and file name.
    fn coordinators(&self, join: &[String]) -> Result<Vec<String>, CliError> {
        if !join.is_empty() {
            return Ok(join.to_vec());
        }
        let Some(cluster) = &self.run.cluster else {
            let hint = "name some of its coordinators with --join URL,URL or CULLET_CLUSTER";
            return Err(CliError::usage("there is no cluster to work for").hint(hint));
        };
        let parsed = cluster.split(',').map(parse_url).collect::<Result<_, _>>();
        parsed.map_err(|why| CliError::usage(format!("CULLET_CLUSTER: {why}")))
    }
}

fn check_name(name: &str) -> Result<(), CliError> {
    let problem = if name.is_empty() {
        "a worker's name must not be empty".to_owned()
    } else if name.len() > MAX_NAME {
        format!("a worker's name has at most {MAX_NAME} bytes, and this one has {}", name.len())
    } else if name.chars().any(|character| character.is_control() || character.is_whitespace()) {
        "a worker's name has no spaces and no control characters".to_owned()
    } else {
        return Ok(());
    };
    Err(CliError::usage(problem).hint("give it another one with --name NAME"))
}

fn labels(given: &[(String, String)]) -> Result<BTreeMap<String, String>, CliError> {
    let mut labels = BTreeMap::new();
    for (label, value) in given {
        if OWN_LABELS.contains(&label.as_str()) {
            let message = format!("--label {label}: the worker finds out by itself what that is");
            return Err(CliError::usage(message));
        }
        if label.len().max(value.len()) > MAX_NAME {
            let shown: String = label.chars().take(32).collect();
            let message = format!("--label {shown}: its name and its value have at most {MAX_NAME} bytes");
            return Err(CliError::usage(message));
        }
        if labels.insert(label.clone(), value.clone()).is_some_and(|before| before != *value) {
            return Err(CliError::usage(format!("--label {label} is given twice, with different values")));
        }
    }
    if labels.len() > MAX_LABELS {
        return Err(CliError::usage(format!("at most {MAX_LABELS} labels, and these are {}", labels.len())));
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Command};

    fn settings(arguments: &[&str], env: &[(&str, &str)]) -> Result<WorkerSettings, String> {
        let line = ["cullet", "worker"].iter().chain(arguments);
        let cli = Cli::try_parse_from(line).map_err(|error| error.to_string())?;
        let Command::Worker(args) = cli.command else { panic!("another command") };
        let variable = |name: &str| {
            let home = ("HOME", "/nowhere");
            let found = env.iter().chain([&home]).find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let config = Config::from_sources(&cli.global, &variable).map_err(|error| error.to_string())?;
        config.worker(&args, "host").map_err(|error| error.to_string())
    }

    #[test]
    fn flags_win_over_the_environment() {
        let env = [
            ("CULLET_CLUSTER", "c-0:1,http://c-1:1/"),
            ("CULLET_STORE", "s3://b"),
            ("CULLET_JOBS", "2"),
            ("AWS_REGION", "eu"),
            ("AWS_PROFILE", "mine"),
        ];
        let found = settings(&[], &env).unwrap();
        assert_eq!(found.coordinators, ["http://c-0:1", "http://c-1:1"]);
        assert_eq!((found.store.as_deref(), found.cpu_millis), (Some("s3://b"), Some(2000)));
        assert_eq!(found.base.store.variables, [("AWS_REGION".to_owned(), "eu".to_owned())].into());
        assert_eq!((found.name.as_str(), found.drain), ("host", Duration::from_secs(600)));
        assert_eq!(found.base.cache_dir.to_str(), Some("/nowhere/.cache/cullet"));
        let flags = ["--join", "x:9", "--data", "/data", "--name", "w", "--store", "/s", "--drain", "5"];
        let found = settings(&[&flags[..], &["--jobs", "1.5", "--label", "gpu=yes"]].concat(), &env).unwrap();
        assert_eq!((found.coordinators, found.cpu_millis), (vec!["http://x:9".to_owned()], Some(1500)));
        assert_eq!((found.name.as_str(), found.store.as_deref()), ("w", Some("/s")));
        assert_eq!(found.labels, [("gpu".to_owned(), "yes".to_owned())].into());
        assert_eq!((found.drain, found.base.cache_dir.to_str()), (Duration::from_secs(5), Some("/data")));
    }

    #[test]
    fn what_no_cluster_would_take_is_refused() {
        let long = "x".repeat(256);
        let long_label = format!("a={long}");
        for (arguments, words) in [
            (&["--join", ""][..], "expected host:port"),
            (&["--join", "https://h:1"], "expected host:port"),
            (&["--join", "h"], "expected host:port"),
            (&["--join", "h:1", "--advertise", "w"], "expected host:port"),
            (&["--join", "h:1", "--name", ""], "must not be empty"),
            (&["--join", "h:1", "--name", &long], "at most 255 bytes"),
            (&["--join", "h:1", "--name", "a b"], "no spaces"),
            (&["--join", "h:1", "--listen", "0.0.0.0:1"], "no address at which others reach"),
            (&["--join", "h:1", "--label", "image=x"], "finds out by itself"),
            (&["--join", "h:1", "--label", &long_label], "at most 255 bytes"),
            (&["--join", "h:1", "--label", "a=1", "--label", "a=2"], "given twice"),
            (&["--join", "h:1", "--listen", "nowhere"], "--listen"),
            (&[], "no cluster to work for"),
        ] {
            let refused = settings(arguments, &[]).unwrap_err();
            assert!(refused.contains(words), "{arguments:?}: {refused}");
        }
        let refused = settings(&[], &[("CULLET_CLUSTER", "h:1,,")]).unwrap_err();
        assert!(refused.starts_with("CULLET_CLUSTER: ''"), "{refused}");
    }
}
