//! Whose results of a shared cache are read and written, and who is believed.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use cullet_cache::{PublicKey, Scope, SigningKey, TrustOptions};
use toml::Spanned;

use super::Env;
use crate::error::CliError;

/// Whose results of a shared cache are read and written, and who is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedTrust {
    /// Written, and read before the protected scope.
    pub scope: Scope,
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
        let scope = scope.map(|text| usual_scope(text.get_ref()).map_err(|why| (text.span().start, why)));
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

/// A scope of usual runs. What is in quarantine is for those that break the glass, and for nobody else.
fn usual_scope(text: &str) -> Result<Scope, String> {
    match text.parse::<Scope>() {
        Ok(Scope::Quarantine(_)) => Err(format!("'{text}' is only for runs with --break-glass")),
        parsed => parsed.map_err(|error| error.to_string()),
    }
}

impl SharedTrust {
    pub(super) fn of(env: &Env<'_>, file: &FileTrust) -> Result<Self, CliError> {
        let FileTrust { scope, trusted, signing_key } = file.clone();
        let usual = Scope::User(login(env));
        let scope = env.parsed("CULLET_SHARED_CACHE_SCOPE", usual_scope)?.or(scope);
        let scope = scope.unwrap_or_else(|| usual.clone());
        Ok(Self { scope, usual, quarantine: None, trusted, signing_key })
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

/// The name of whoever is logged in, or the number where there is none that would do.
pub(super) fn login(env: &Env<'_>) -> String {
    let name = env.text("USER").or_else(|| env.text("LOGNAME"));
    name.filter(|name| format!("user/{name}").parse::<Scope>().is_ok())
        .unwrap_or_else(|| rustix::process::geteuid().as_raw().to_string())
}
