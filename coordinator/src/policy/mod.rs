//! Who may run pipelines as whom, and whose results and journals are believed: what the operator of a cluster says.

mod journals;
mod pattern;
mod rights;
#[cfg(test)]
mod tests;
mod token;
mod workers;

use cullet_cache::Scope;

pub use journals::{JournalKey, JournalTrust};
pub use pattern::Pattern;
pub use rights::{Denied, Rights};
pub use token::TokenHash;
pub use workers::{NotBelieved, WorkerTrust};

/// What the operator of a cluster says. By default everybody may do everything, and no worker has to sign.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// The scope of a run whose submitter names none.
    pub default_scope: Scope,
    /// Who may submit what; everybody everything, where there are none.
    pub submitters: Vec<Submitter>,
    /// Whose results are believed.
    pub workers: WorkerTrust,
    /// Whose journals of break-glass runs are taken in.
    pub journals: JournalTrust,
}

/// Somebody who may submit runs.
#[derive(Debug, Clone)]
pub struct Submitter {
    /// For people.
    pub name: String,
    /// Who has this token; everybody, where there is none.
    pub token: Option<TokenHash>,
    /// For these tenants.
    pub tenants: Vec<Pattern>,
    /// As these scopes.
    pub scopes: Vec<Pattern>,
    /// Whether results that it made itself are stored as if a worker had made them.
    pub updates: bool,
}

impl Submitter {
    fn may_use(&self, tenant: &str, scope: &str) -> bool {
        let any = |patterns: &[Pattern], text| patterns.iter().any(|pattern| pattern.matches(text));
        any(&self.tenants, tenant) && any(&self.scopes, scope)
    }
}

impl Policy {
    /// What a call may do that has this in its header `authorization`.
    ///
    /// # Errors
    /// It names a token that nobody has, or none at all.
    pub fn rights(&self, authorization: Option<&[u8]>) -> Result<Rights<'_>, Denied> {
        if self.submitters.is_empty() {
            return Ok(Rights::all(self));
        }
        let token = authorization.map(bearer).transpose()?.map(TokenHash::of);
        // Each is compared, so that the time says nothing of which one it was.
        let named: Vec<bool> =
            self.submitters.iter().map(|known| known.token.is_some() && known.token == token).collect();
        if token.is_some() && !named.contains(&true) {
            return Err(Denied::UnknownToken);
        }
        let open = self.submitters.iter().map(|known| known.token.is_none());
        let callers = self.submitters.iter().zip(named.iter().zip(open));
        let callers = callers.filter(|(_, (named, open))| **named || *open).map(|(caller, _)| caller);
        Ok(Rights::of(self, callers.collect()))
    }
}

/// The token of a header as RFC 6750 writes it.
fn bearer(authorization: &[u8]) -> Result<&[u8], Denied> {
    let (scheme, token) = authorization.split_at_checked(7).ok_or(Denied::NoBearer)?;
    let token = token.trim_ascii();
    match scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty() {
        true => Ok(token),
        false => Err(Denied::NoBearer),
    }
}
