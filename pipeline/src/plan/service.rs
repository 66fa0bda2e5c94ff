//! What runs beside a step.

use std::time::Duration;

use super::Run;

/// A program in a container of its own, which the step reaches by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Its image reference, as written.
    pub image: String,
    /// What is executed; none for what the image says.
    pub run: Option<Run>,
    /// Declared variables, sorted by name.
    pub env: Vec<(String, String)>,
    /// When it is ready; none for as soon as it was started.
    pub ready: Option<Ready>,
    /// Which of the step's secrets it gets as well: their names, sorted.
    pub secrets: Vec<String>,
}

/// When a service is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// What has to succeed.
    pub check: Check,
    /// How long that may take.
    pub timeout: Duration,
    /// How long to wait after a check that has failed.
    pub interval: Duration,
}

/// What is tried to find out whether a service is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// It accepts connections at this port.
    Tcp(u16),
    /// It answers a GET.
    Http {
        /// Where it listens.
        port: u16,
        /// With a `/` at its beginning.
        path: String,
        /// What it has to answer; none for anything from 200 to 399.
        status: Option<u16>,
    },
    /// This exits 0 in its container.
    Exec(Run),
}

impl Service {
    /// Everything in it that can be long.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        let check = self.ready.as_ref().and_then(|ready| match &ready.check {
            Check::Exec(run) => Some(run),
            Check::Tcp(_) | Check::Http { .. } => None,
        });
        let runs = self.run.iter().chain(check).flat_map(|run| match run {
            Run::Script(script) => std::slice::from_ref(script),
            Run::Arguments(arguments) => arguments,
        });
        let env = self.env.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]);
        let secrets = self.secrets.iter().map(String::as_str);
        [self.name.as_str(), &self.image].into_iter().chain(secrets).chain(env).chain(runs.map(AsRef::as_ref))
    }
}
