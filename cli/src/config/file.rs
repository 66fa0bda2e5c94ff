//! The configuration file: TOML, every key optional, none unknown.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};

use super::{Color, Env, Executor, Progress, Registry};
use crate::args::parse_cpus;
use crate::error::CliError;
use crate::ui::size;

/// What a configuration file may say.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct File {
    pub(super) cache_dir: Option<PathBuf>,
    #[serde(deserialize_with = "bytes")]
    pub(super) cache_size: Option<u64>,
    #[serde(deserialize_with = "bytes")]
    pub(super) volume_size: Option<u64>,
    #[serde(deserialize_with = "bytes")]
    pub(super) volumes_size: Option<u64>,
    pub(super) color: Option<Color>,
    pub(super) progress: Option<Progress>,
    pub(super) executor: Option<Executor>,
    #[serde(deserialize_with = "cpus")]
    pub(super) jobs: Option<u32>,
    #[serde(deserialize_with = "bytes")]
    pub(super) memory: Option<u64>,
    #[serde(deserialize_with = "super::limits::table")]
    pub(super) limits: super::UsualLimits,
    pub(super) cluster: Option<String>,
    pub(super) tenant: Option<String>,
    pub(super) registry_ca: Vec<PathBuf>,
    pub(super) registry_proxy: Option<String>,
    pub(super) registries: BTreeMap<String, Registry>,
    pub(super) secrets: super::secrets::Section,
    pub(super) cache: super::shared_cache::Section,
    #[serde(rename = "break-glass")]
    pub(super) glass: super::glass::Section,
}

/// A number, or a text that [`size::parse`] and [`parse_cpus`] take.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Amount {
    Whole(u64),
    Fraction(f64),
    Text(String),
}

impl Amount {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Whole(number) => number.to_string(),
            Self::Fraction(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

fn bytes<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    let amount = Amount::deserialize(from)?;
    size::parse(&amount.text()).map(Some).map_err(serde::de::Error::custom)
}

fn cpus<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    let amount = Amount::deserialize(from)?;
    parse_cpus(&amount.text()).map(Some).map_err(serde::de::Error::custom)
}

/// The file that `CULLET_CONFIG` names, which must be there, or the usual one, which need not.
pub(super) fn load(env: &Env<'_>) -> Result<(Option<PathBuf>, File), CliError> {
    let named = env.path("CULLET_CONFIG");
    let usual = || {
        let base = env.path("XDG_CONFIG_HOME").or_else(|| Some(env.path("HOME")?.join(".config")))?;
        Some(base.join("cullet/config.toml"))
    };
    let Some(path) = named.clone().or_else(usual) else { return Ok((None, File::default())) };
    match std::fs::read_to_string(&path) {
        Ok(text) => parse(&path, &text).map(|file| (Some(path), file)),
        Err(error) if named.is_none() && is_absent(&error) => Ok((None, File::default())),
        Err(error) => {
            Err(CliError::usage(format!("cannot read the configuration file {}", path.display()))
                .because(error))
        }
    }
}

fn is_absent(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

fn parse(path: &Path, text: &str) -> Result<File, CliError> {
    let mut file: File = toml::from_str(text).map_err(|error| {
        let (line, column) = error.span().map_or((1, 1), |span| position(text, span.start));
        let place = format!("{}:{line}:{column}", path.display());
        CliError::usage(format!("{place}: {}", error.message().trim_end()))
    })?;
    // Relative to the file, wherever the command is started.
    if let Some(base) = path.parent() {
        let paths = file.cache_dir.iter_mut().chain(&mut file.registry_ca).chain(file.secrets.paths());
        let paths = paths.chain(file.glass.paths());
        paths.for_each(|path| *path = base.join(&*path));
    }
    file.cache.settle(path.parent()).map_err(|(byte, error)| {
        let (line, column) = position(text, byte);
        CliError::usage(format!("{}:{line}:{column}: {error}", path.display()))
    })?;
    Ok(file)
}

/// Line and column from 1, in characters, of a byte.
pub(super) fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}
