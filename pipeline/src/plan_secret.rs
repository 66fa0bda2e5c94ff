//! The secrets of a step: what they are called and where they come from. No value is ever here.

/// A value that a step gets as the file `/run/secrets/NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// Its name: letters, digits and `_`.
    pub name: String,
    /// Where its value is.
    pub source: SecretSource,
    /// Whether the environment variable of its name has the value as well.
    pub in_env: bool,
    /// Whether its value has a part in the step's key.
    pub identity: Identity,
    /// Where it stands in the file, from 1.
    pub line: u32,
    /// From 1.
    pub column: u32,
}

/// Where the value of a secret is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecretSource {
    /// An environment variable of whoever runs the pipeline.
    Env(String),
    /// A file of whoever runs the pipeline, relative to the pipeline file's directory.
    File(String),
    /// What a program prints that whoever runs the pipeline starts: itself and its arguments.
    Command(Vec<String>),
    /// A provider that is configured where the step runs.
    Provider {
        /// Its name there.
        provider: String,
        /// What it is asked for.
        key: String,
    },
}

impl SecretSource {
    /// In one line; different for different sources.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Env(name) => format!("env:{name}"),
            Self::File(path) => format!("file:{path}"),
            Self::Command(arguments) => format!("command:{arguments:?}"),
            Self::Provider { provider, key } => format!("provider:{provider}:{key}"),
        }
    }
}

/// Whether the value of a secret has a part in keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Identity {
    /// It has none.
    #[default]
    None,
    /// It has, and nobody has looked at the value yet.
    Wanted,
    /// A salted hash of it, in hexadecimal digits.
    Known(String),
}
