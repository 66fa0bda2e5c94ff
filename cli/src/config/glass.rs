//! Breaking the glass: what configuration file and environment say of runs of this machine in place of the cluster's.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use cullet_cache::{PublicKey, Scope, SigningKey};
use serde::Deserialize;

use super::file::File;
use super::{Config, Env};

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GlassSettings {
    /// Where the journal is.
    pub dir: PathBuf,
    /// What signs the journal; none for a key that is made beside it.
    pub signing_key: Option<PathBuf>,
    /// How many others must approve a run with steps that act on the outside world; 0 for nobody.
    pub approvals: usize,
    /// Who may.
    pub approvers: Vec<Approver>,
    /// `CULLET_BREAK_GLASS_REASON`: why.
    pub reason: Option<String>,
    /// The name of whoever is logged in.
    pub user: String,
}

/// Somebody who may approve: `ed25519:…` and a name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Approver {
    /// What their approvals are signed with.
    pub key: PublicKey,
    /// Who that is.
    pub name: String,
}

impl TryFrom<String> for Approver {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for Approver {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, name) = text.trim().split_once(char::is_whitespace).unwrap_or((text.trim(), ""));
        let name = name.trim();
        if name.is_empty() || name.chars().any(char::is_control) {
            return Err("write a public key and whose it is: \"ed25519:… ada\"".to_owned());
        }
        let key = key.parse().map_err(|error: cullet_cache::KeyError| error.to_string())?;
        Ok(Self { key, name: name.to_owned() })
    }
}

/// `[break-glass]` in the file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Section {
    dir: Option<PathBuf>,
    signing_key: Option<PathBuf>,
    approvals: Option<usize>,
    approvers: Vec<Approver>,
}

impl Section {
    /// The paths in it.
    pub(super) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        self.dir.iter_mut().chain(&mut self.signing_key)
    }
}

impl GlassSettings {
    pub(super) fn of(env: &Env<'_>, file: &File, cache_dir: &Path) -> Self {
        let Section { dir, signing_key, approvals, approvers } = file.glass.clone();
        Self {
            dir: dir.unwrap_or_else(|| cache_dir.join("break-glass")),
            signing_key,
            approvals: approvals.unwrap_or(1),
            approvers,
            reason: env.text("CULLET_BREAK_GLASS_REASON"),
            user: super::shared_trust::login(env),
        }
    }
}

impl Config {
    /// The scope of what is made while nobody can check who makes it.
    pub fn quarantine(&self) -> Scope {
        Scope::Quarantine(self.glass.user.clone())
    }

    /// Every key that this machine signs with: whoever sits here can use them, and so approve nothing with them. One that
    /// cannot be read signs nothing here.
    pub(crate) fn own_keys(&self) -> Vec<PublicKey> {
        let paths = [self.shared_cache.signing_key(), self.glass.signing_key.as_deref()];
        let keys = paths.into_iter().flatten().filter_map(|path| SigningKey::read(path).ok());
        keys.map(|key| key.public()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_approver_is_a_key_and_a_name() {
        let key = format!("ed25519:{}", "ab".repeat(32));
        let approver: Approver = format!("{key}  Ada Lovelace ").parse().unwrap();
        assert_eq!((approver.key.to_string(), approver.name.as_str()), (key.clone(), "Ada Lovelace"));
        for wrong in ["", &key, "ada", &format!("ada {key}"), &format!("{key} a\nb")] {
            assert!(wrong.parse::<Approver>().is_err(), "{wrong:?}");
        }
    }
}
