//! The cache behind that of this machine, which others share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use cullet_cache::{Access, Location, Scope};
use serde::Deserialize;
use toml::Spanned;

use super::file::File;
use super::shared_trust::{FileTrust, SharedTrust};
use super::{Config, Env, StoreSettings, choice};
use crate::error::CliError;
use crate::{paths, shared_store};

/// What may be done with a shared cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SharedCacheMode {
    /// Only look results up: nothing of this machine gets there
    #[default]
    Read,
    /// Publish results as well
    Write,
}

impl From<SharedCacheMode> for Access {
    fn from(mode: SharedCacheMode) -> Self {
        match mode {
            SharedCacheMode::Read => Self::Read,
            SharedCacheMode::Write => Self::Write,
        }
    }
}

/// A shared cache, and how to use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedCacheConfig {
    /// A directory from the root, or as it was written.
    pub location: String,
    /// What may be done with it.
    pub mode: SharedCacheMode,
    /// How to reach a bucket.
    pub variables: BTreeMap<String, String>,
    /// Whose results are read and written, and who is believed.
    pub trust: SharedTrust,
}

impl SharedCacheConfig {
    /// For somebody who publishes in this scope only, and reads it besides the usual ones.
    pub(crate) fn quarantined(self, scope: &Scope) -> Self {
        Self { trust: self.trust.quarantined(scope), ..self }
    }
}

/// `[cache]` in the file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Section {
    shared: Option<Spanned<String>>,
    mode: Option<SharedCacheMode>,
    // Not flattened: then unknown keys would not be refused, and places not be known.
    scope: Option<Spanned<String>>,
    trusted_keys: Option<Vec<Spanned<String>>>,
    signing_key: Option<PathBuf>,
    #[serde(skip)]
    trust: FileTrust,
}

impl Section {
    /// Checks what is written, and makes paths relative to the file's.
    ///
    /// # Errors
    /// Where it stands in the file, and what is wrong with it.
    pub(super) fn settle(&mut self, base: Option<&Path>) -> Result<(), (usize, String)> {
        self.trust = FileTrust::read(
            self.scope.as_ref(),
            self.trusted_keys.as_deref(),
            self.signing_key.as_deref(),
            base,
        )?;
        let Some(shared) = &mut self.shared else { return Ok(()) };
        let at = shared.span().start;
        let settled = settle(shared.get_ref(), base).map_err(|error| (at, error.to_string()))?;
        *shared.get_mut() = settled;
        Ok(())
    }
}

/// What environment and file say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settings {
    location: Option<String>,
    mode: SharedCacheMode,
    pub(super) trust: SharedTrust,
}

impl Settings {
    pub(super) fn of(env: &Env<'_>, file: &File) -> Result<Self, CliError> {
        let Section { shared, mode, trust, .. } = &file.cache;
        let location = match env.text("CULLET_SHARED_CACHE") {
            Some(text) => Some(settle(&text, None).map_err(|error| wrong("CULLET_SHARED_CACHE", &error))?),
            None => shared.as_ref().map(|shared| shared.get_ref().clone()),
        };
        let mode = env.parsed("CULLET_SHARED_CACHE_MODE", choice)?.or(*mode).unwrap_or_default();
        Ok(Self { location, mode, trust: SharedTrust::of(env, trust)? })
    }

    /// What signs results of this machine.
    pub(super) fn signing_key(&self) -> Option<&Path> {
        self.trust.signing_key.as_deref()
    }

    fn with(&self, flag: Option<&str>, store: &StoreSettings) -> Result<Option<SharedCacheConfig>, CliError> {
        let location = match flag {
            Some("") => None,
            Some(text) => Some(settle(text, None).map_err(|error| wrong("--shared-cache", &error))?),
            None => self.location.clone(),
        };
        let (mode, trust) = (self.mode, self.trust.clone());
        let of = |location| SharedCacheConfig { location, mode, variables: store.variables.clone(), trust };
        Ok(location.map(of))
    }
}

impl Config {
    /// The cache behind that of this machine, if there is one. A flag that says nothing takes back what environment and
    /// file say.
    ///
    /// # Errors
    /// What is named is no location.
    pub fn shared_cache(&self, flag: Option<&str>) -> Result<Option<SharedCacheConfig>, CliError> {
        self.shared_cache.with(flag, &self.store)
    }
}

fn wrong(what: &str, error: &CliError) -> CliError {
    CliError::usage(format!("{what}: {error}"))
}

/// The location, if it is one; of a directory the path from the root.
fn settle(text: &str, base: Option<&Path>) -> Result<String, CliError> {
    let location = shared_store::check(text).map_err(|error| CliError::usage(error.to_string()))?;
    match location {
        Location::Directory(dir) => {
            let dir: PathBuf = base.map_or(dir.clone(), |base| base.join(&dir));
            Ok(paths::absolute(dir)?.to_string_lossy().into_owned())
        }
        _ => Ok(text.to_owned()),
    }
}
