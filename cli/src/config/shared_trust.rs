//! Whose results of a shared cache are read and written, and who is believed.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use cullet_cache::{PublicKey, Scope, SigningKey, TrustOptions};
use toml::Spanned;

use super::{Config, Env};
use crate::args::parse_scope;
use crate::error::CliError;

/// Whose results of a shared cache are read and written, and who is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedTrust {
    /// Written, and read before the protected scope.
    pub scope: Scope,
    /// The same, where somebody says it for what is run now and not for this machine.
    pub asked: Option<Scope>,
    /// Of this person; what the cache of this machine has belongs to it.
    usual: Scope,
    /// Written in place of `scope`, and read after all others.
    quarantine: Option<Scope>,
    /// Whose signatures count; none where nobody asks for one.
    pub trusted: Option<Vec<PublicKey>>,
    /// What signs results.
    pub signing_key: Option<PathBuf>,
}

/// Where it stands in the file, and what is wrong with it.
type Wrong = (usize, String);

/// What the file says of it.
#[derive(Debug, Clone, Default)]
pub(super) struct FileTrust {
    scope: Option<Scope>,
    trusted: Option<Vec<PublicKey>>,
    signing_key: Option<PathBuf>,
}

impl FileTrust {
    /// Checks what is written; a file is relative to `base`.
    pub(super) fn read(
        scope: Option<&Spanned<String>>,
        trusted: Option<&[Spanned<String>]>,
        signing_key: Option<&Path>,
        base: Option<&Path>,
    ) -> Result<Self, Wrong> {
        let scope = scope.map(|text| parse_scope(text.get_ref()).map_err(|why| (text.span().start, why)));
        let scope = scope.transpose()?;
        let trusted = trusted.map(|keys| keys.iter().map(parsed).collect()).transpose()?;
        let signing_key =
            signing_key.map(|path| base.map_or_else(|| path.to_owned(), |base| base.join(path)));
        Ok(Self { scope, trusted, signing_key })
    }
}

fn parsed<T: FromStr<Err: Display>>(text: &Spanned<String>) -> Result<T, Wrong> {
    text.get_ref().parse().map_err(|error: T::Err| (text.span().start, error.to_string()))
}

impl SharedTrust {
    pub(super) fn of(env: &Env<'_>, file: &FileTrust) -> Result<Self, CliError> {
        let FileTrust { scope, trusted, signing_key } = file.clone();
        let usual = Scope::User(login(env));
        let asked = env.parsed("CULLET_SCOPE", parse_scope)?;
        let scope = asked.clone().or(scope).unwrap_or_else(|| usual.clone());
        Ok(Self { scope, asked, usual, quarantine: None, trusted, signing_key })
    }

    /// Whose the results of this machine's cache are, where they are not those of whoever sits there: somebody who builds
    /// branches and what everybody uses on one machine must not take the one for the other.
    pub(crate) fn local_scope(&self) -> Option<&Scope> {
        (self.scope != self.usual).then_some(&self.scope)
    }

    /// For somebody who writes to this scope only, and reads it besides the usual ones.
    pub(crate) fn quarantined(self, scope: &Scope) -> Self {
        Self { quarantine: Some(scope.clone()), ..self }
    }

    /// With the key.
    ///
    /// # Errors
    /// The file has none.
    pub(crate) fn options(&self) -> Result<TrustOptions, CliError> {
        let signing = self.signing_key.as_deref().map(SigningKey::read).transpose();
        let signing = signing.map_err(|error| CliError::usage("signing-key").because(error))?;
        let (scope, usual) = match &self.quarantine {
            Some(quarantine) => (quarantine.clone(), Some(self.scope.clone())),
            None => (self.scope.clone(), None),
        };
        Ok(TrustOptions { scope, usual, signing, trusted: self.trusted.clone() })
    }
}

impl Config {
    /// Whose results a run reads and writes, and who is believed. A flag wins.
    pub fn trust(&self, flag: Option<&Scope>) -> SharedTrust {
        let trust = self.shared_cache.trust.clone();
        match flag.cloned() {
            Some(scope) => SharedTrust { scope: scope.clone(), asked: Some(scope), ..trust },
            None => trust,
        }
    }
}

/// The name of whoever is logged in; of whom the operating system believes this to be, where the environment does not say it,
/// as in containers and units of systemd; and the number where there is no name that would do.
pub(super) fn login(env: &Env<'_>) -> String {
    let would_do = |name: &String| format!("user/{name}").parse::<Scope>().is_ok();
    let number = nix::unistd::geteuid();
    let known = || nix::unistd::User::from_uid(number).ok().flatten().map(|user| user.name);
    let named = env.text("USER").or_else(|| env.text("LOGNAME")).filter(would_do);
    named.or_else(|| known().filter(would_do)).unwrap_or_else(|| number.to_string())
}
