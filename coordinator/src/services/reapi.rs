//! The Remote Execution API of a coordinator: which instances there are, and whose results they have.

use std::sync::Arc;

use cullet_cache::{InstanceResults, Instances, ReachedResults, RecentResults, Scope};
use cullet_core::spec::RunSpec;
use tonic::Status;
use tonic::metadata::MetadataMap;

use super::access::AUTHORIZATION;
use crate::engine::Engine;
use crate::policy::{Policy, Rights};

/// The longest name of an instance, in bytes.
const MOST_NAME: usize = 512;

/// An instance of a cluster: for whom work is done, and whose the results are.
///
/// Its name is `TENANT/SCOPE`. Either may be left out, and then the other is all there is; with both left out the name is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Instance {
    tenant: String,
    /// That of runs whose submitter names none, where there is none.
    scope: Option<Scope>,
}

/// An instance, and what a call may do there.
pub(super) struct Reached<'a> {
    pub(super) tenant: String,
    pub(super) scope: Scope,
    pub(super) rights: Rights<'a>,
}

/// The instance of this name, if it is for this caller.
pub(super) fn reach<'a>(
    policy: &'a Policy,
    name: &str,
    metadata: &MetadataMap,
) -> Result<Reached<'a>, Status> {
    let Instance { tenant, scope } = Instance::parse(name).map_err(Status::invalid_argument)?;
    let scope = scope.unwrap_or_else(|| policy.default_scope.clone());
    let rights = policy.rights(metadata.get(AUTHORIZATION).map(|value| value.as_encoded_bytes()))?;
    rights.check(&tenant, &scope)?;
    Ok(Reached { tenant, scope, rights })
}

impl Instance {
    fn parse(name: &str) -> Result<Self, String> {
        if name.len() > MOST_NAME || name.chars().any(char::is_control) {
            return Err(format!("an instance is named by at most {MOST_NAME} bytes of text"));
        }
        if name.is_empty() {
            return Ok(Self { tenant: RunSpec::TENANT.to_owned(), scope: None });
        }
        if let Ok(scope) = name.parse() {
            return Ok(Self { tenant: RunSpec::TENANT.to_owned(), scope: Some(scope) });
        }
        let Some((tenant, scope)) = name.split_once('/') else {
            return Ok(Self { tenant: name.to_owned(), scope: None });
        };
        match scope.parse() {
            Ok(scope) if !tenant.is_empty() => Ok(Self { tenant: tenant.to_owned(), scope: Some(scope) }),
            _ => Err(format!(
                "'{name}' names no instance: it is TENANT, SCOPE or TENANT/SCOPE, with a scope such as protected or branch/main"
            )),
        }
    }
}

/// The instances of a cluster: one for each tenant and scope.
#[derive(Debug, Clone, Copy)]
pub struct NamedInstances;

impl Instances for NamedInstances {
    fn check(&self, instance: &str) -> Result<(), Status> {
        Instance::parse(instance).map(drop).map_err(Status::invalid_argument)
    }
}

/// The results of the cluster's instances, as clients find them: what they ask for again at once is remembered.
#[derive(Debug, Clone)]
pub(crate) struct EngineResults {
    engine: Engine,
    recent: Arc<RecentResults>,
}

impl EngineResults {
    /// Those of a coordinator.
    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine, recent: Arc::default() }
    }
}

impl InstanceResults for EngineResults {
    fn reach(&self, instance: &str, metadata: &MetadataMap) -> Result<ReachedResults, Status> {
        let Reached { tenant, scope, rights } = reach(self.engine.policy(), instance, metadata)?;
        let results = self.engine.parts().results.of(&scope);
        let may_update = rights.updates(&tenant, &scope).map_err(Status::from);
        let actions = Arc::new(self.recent.before(scope, results.actions));
        Ok(ReachedResults { actions, completeness: results.completeness, may_update })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_a_tenant_a_scope_or_both() {
        let named = |tenant: &str, scope: Option<&str>| {
            Ok(Instance { tenant: tenant.to_owned(), scope: scope.map(|scope| scope.parse().unwrap()) })
        };
        assert_eq!(Instance::parse(""), named("default", None));
        assert_eq!(Instance::parse("web"), named("web", None));
        assert_eq!(Instance::parse("protected"), named("default", Some("protected")));
        assert_eq!(Instance::parse("branch/a/b"), named("default", Some("branch/a/b")));
        assert_eq!(Instance::parse("web/branch/a"), named("web", Some("branch/a")));
        assert_eq!(Instance::parse("web/protected"), named("web", Some("protected")));
        for wrong in ["web/", "/protected", "web/x", "a/b/c", "web/branch/", "a\nb", &"x".repeat(513)] {
            assert!(Instance::parse(wrong).is_err(), "{wrong}");
        }
    }
}
