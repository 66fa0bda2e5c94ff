//! What a call may do.

use cullet_cache::Scope;

use super::{Policy, Submitter};

/// Why a call may not do something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// What it says of who calls is nothing that is known here.
    #[error("the header `authorization` has no token: write `Bearer TOKEN`")]
    NoBearer,
    /// It has a token that nobody has.
    #[error(
        "nobody has the token of this call: look at CULLET_CLUSTER_TOKEN and at --trust of the coordinators"
    )]
    UnknownToken,
    /// Others may do it.
    #[error("{caller} may not run anything as {scope} for the tenant {tenant}; {who}")]
    NotAllowed {
        /// Who calls.
        caller: String,
        /// Whose result it would be.
        scope: Scope,
        /// Who would pay.
        tenant: String,
        /// Who may.
        who: String,
    },
}

/// What a call may do, of all that a policy allows to somebody.
#[derive(Debug)]
pub struct Rights<'a> {
    policy: &'a Policy,
    /// Who it may be; none where everybody may do everything.
    callers: Option<Vec<&'a Submitter>>,
}

impl<'a> Rights<'a> {
    pub(super) const fn all(policy: &'a Policy) -> Self {
        Self { policy, callers: None }
    }

    pub(super) const fn of(policy: &'a Policy, callers: Vec<&'a Submitter>) -> Self {
        Self { policy, callers: Some(callers) }
    }

    /// Whether it may have to do with runs of a tenant in a scope.
    ///
    /// # Errors
    /// It may not; who may.
    pub fn check(&self, tenant: &str, scope: &Scope) -> Result<(), Denied> {
        let Some(callers) = &self.callers else { return Ok(()) };
        let written = scope.to_string();
        if callers.iter().any(|caller| caller.may_use(tenant, &written)) {
            return Ok(());
        }
        let caller = match callers.iter().find(|caller| caller.token.is_some()) {
            Some(caller) => caller.name.clone(),
            None => "a call without a token (CULLET_CLUSTER_TOKEN)".to_owned(),
        };
        let may = self.policy.submitters.iter().filter(|other| other.may_use(tenant, &written));
        let may: Vec<&str> = may.map(|other| other.name.as_str()).collect();
        let who = if may.is_empty() { "nobody may".to_owned() } else { format!("{} may", may.join(", ")) };
        Err(Denied::NotAllowed { caller, scope: scope.clone(), tenant: tenant.to_owned(), who })
    }
}
