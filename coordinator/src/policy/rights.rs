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
    /// Only workers may.
    #[error(
        "{caller} may not store results of its own as {scope} for the tenant {tenant}: `updates = true` of its [[submitters]] (--trust) allows it"
    )]
    NoUpdates {
        /// Who calls.
        caller: String,
        /// Whose result it would be.
        scope: Scope,
        /// For whom.
        tenant: String,
    },
    /// Nobody would believe it.
    #[error(
        "results that no worker signed count for nothing here, so clients store none (`require-signatures` of --trust)"
    )]
    Unsigned,
    /// Others may hand in journals.
    #[error("{caller} may not send journals of break-glass runs; {who}")]
    NoSender {
        /// Who calls.
        caller: String,
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
        let may = self.policy.submitters.iter().filter(|other| other.may_use(tenant, &written));
        let who = those(may.map(|other| other.name.as_str()));
        let (caller, scope) = (self.caller(), scope.clone());
        Err(Denied::NotAllowed { caller, scope, tenant: tenant.to_owned(), who })
    }

    /// Whether it may store results that it made itself, for a tenant in a scope.
    ///
    /// # Errors
    /// It may not; why not.
    pub fn updates(&self, tenant: &str, scope: &Scope) -> Result<(), Denied> {
        self.check(tenant, scope)?;
        if self.policy.workers.require_signatures {
            return Err(Denied::Unsigned);
        }
        let Some(callers) = &self.callers else { return Ok(()) };
        let written = scope.to_string();
        if callers.iter().any(|caller| caller.updates && caller.may_use(tenant, &written)) {
            return Ok(());
        }
        Err(Denied::NoUpdates { caller: self.caller(), scope: scope.clone(), tenant: tenant.to_owned() })
    }

    /// Whether it may send journals of break-glass runs; as whom.
    ///
    /// # Errors
    /// It may not; who may.
    pub fn sends_journals(&self) -> Result<String, Denied> {
        let Some(callers) = &self.callers else { return Ok("somebody".to_owned()) };
        let senders = self.policy.journals.senders.as_deref();
        let may = |caller: &&&Submitter| senders.is_none_or(|senders| senders.contains(&caller.name));
        // Who has a token is named by it.
        let mut callers: Vec<&&Submitter> = callers.iter().filter(may).collect();
        callers.sort_by_key(|caller| caller.token.is_none());
        match callers.first() {
            Some(caller) => Ok(caller.name.clone()),
            None => {
                let all = self.policy.submitters.iter().map(|known| &known.name);
                let who = those(
                    senders
                        .map_or_else(|| all.collect(), |some| some.iter().collect::<Vec<_>>())
                        .into_iter()
                        .map(String::as_str),
                );
                Err(Denied::NoSender { caller: self.caller(), who })
            }
        }
    }

    /// Who calls, for people.
    fn caller(&self) -> String {
        let named = self.callers.iter().flatten().find(|caller| caller.token.is_some());
        named.map_or_else(
            || "a call without a token (CULLET_CLUSTER_TOKEN)".to_owned(),
            |caller| caller.name.clone(),
        )
    }
}

/// Who may, in words.
fn those<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    if names.is_empty() { "nobody may".to_owned() } else { format!("{} may", names.join(", ")) }
}
