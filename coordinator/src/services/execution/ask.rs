//! What a client wants to have executed, checked.

use cullet_cache::{Action, Scope, requested_action};
use cullet_digest::{Digest, DigestFunction};
use cullet_proto::reapi::execution::{ExecuteRequest, RequestMetadata};
use prost::Message as _;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Request, Status};

use super::missing::{missing, not_there};
use crate::engine::{Asked, Engine};
use crate::given::{GivenAction, NoAction};
use crate::services::access::AUTHORIZATION;
use crate::services::reapi::{Reached, reach};

/// The header in which clients say what they do it for.
pub(super) const METADATA: &str = "build.bazel.remote.execution.v2.requestmetadata-bin";

/// The longest name of a step that people see, in bytes.
const MOST_NAME: usize = 120;

/// A request that may be made.
#[derive(Debug)]
pub(super) struct Asking {
    pub(super) action: Digest,
    pub(super) scope: Scope,
    pub(super) bypass_cache: bool,
    tenant: String,
    priority: i8,
    client: u64,
    purpose: Option<String>,
}

/// Checks who asks, and what for.
pub(super) async fn check(engine: &Engine, request: &Request<ExecuteRequest>) -> Result<Asking, Status> {
    let wanted = request.get_ref();
    let Reached { tenant, scope, .. } = reach(engine.policy(), &wanted.instance_name, request.metadata())?;
    let action = requested_action(wanted.digest_function, wanted.action_digest.as_ref())?;
    let priority = wanted.execution_policy.map_or(0, |policy| policy.priority);
    Ok(Asking {
        action,
        scope,
        bypass_cache: wanted.skip_cache_lookup,
        tenant,
        // Smaller numbers go first there, and larger ones here.
        priority: priority.saturating_neg().clamp(-100, 100) as i8,
        client: client(request),
        purpose: purpose(request.metadata()),
    })
}

impl Asking {
    /// With its action, which has to be there with its Command and the root of its inputs.
    pub(super) async fn with_action(self, engine: &Engine) -> Result<Asked, Status> {
        let Self { action, scope, bypass_cache, tenant, priority, client, purpose } = self;
        let blobs = &*engine.parts().blobs;
        let given = match GivenAction::read(blobs, action).await {
            Ok(given) => given,
            Err(NoAction::Missing { digest, .. }) => return Err(missing(&[digest])),
            Err(error @ NoAction::Bad { .. }) => return Err(Status::invalid_argument(error.to_string())),
            Err(NoAction::Store(error)) => return Err(not_there(&error)),
        };
        if has_nul(&given.action) {
            return Err(Status::invalid_argument(
                "no process can have arguments or variables with a NUL byte",
            ));
        }
        let start = &given.action.working_directory;
        if !is_below(start) {
            let what = format!("the working directory '{start}' lies outside of the input root");
            return Err(Status::invalid_argument(what));
        }
        let root = given.action.input_root;
        if !root.is_empty() {
            let gone = blobs.find_missing(&[root]).await.map_err(|error| not_there(&error))?;
            if !gone.is_empty() {
                return Err(missing(&gone));
            }
        }
        let name = purpose.unwrap_or_else(|| program(&given));
        Ok(Asked { given, tenant, scope, priority, client, name, bypass_cache })
    }
}

/// Whether no process can have these arguments and variables, on whatever machine.
fn has_nul(action: &Action) -> bool {
    let variables = action.env.iter().flat_map(|(name, value)| [name, value]);
    let texts = action.arguments.iter().chain(variables).chain([&action.working_directory]);
    texts.into_iter().any(|text| text.contains('\0'))
}

/// Whether a path is one below the directory that it is relative to.
fn is_below(path: &str) -> bool {
    !path.starts_with('/') && path.split('/').all(|name| name != "..")
}

/// What a client says of itself.
fn said(metadata: &MetadataMap) -> Option<RequestMetadata> {
    let bytes = metadata.get_bin(METADATA)?.to_bytes().ok()?;
    RequestMetadata::decode(bytes).ok()
}

/// A number for whoever has turns with others: an invocation, such as a build, where it says which it is; else who calls from one
/// address.
fn client<T>(request: &Request<T>) -> u64 {
    let metadata = request.metadata();
    let invocation = said(metadata).map(|said| said.tool_invocation_id).filter(|id| !id.is_empty());
    let name = invocation.map_or_else(
        || {
            let address = request.remote_addr().map(|address| address.ip().to_string());
            let user = metadata.get(AUTHORIZATION).map(MetadataValue::as_encoded_bytes);
            [b"caller ", address.unwrap_or_default().as_bytes(), b" ", user.unwrap_or_default()].concat()
        },
        |id| [b"invocation ", id.as_bytes()].concat(),
    );
    let hash = DigestFunction::Blake3.digest(&name);
    hash.hash().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// What a client says that it does it for.
fn purpose(metadata: &MetadataMap) -> Option<String> {
    let said = said(metadata)?;
    let said = format!("{} {}", said.action_mnemonic, said.target_id);
    Some(short(said.trim())).filter(|said| !said.is_empty())
}

/// The name of the program.
fn program(given: &GivenAction) -> String {
    let program = given.action.arguments.first().map_or("", String::as_str);
    let name = short(program.rsplit('/').next().unwrap_or_default());
    if name.is_empty() { "action".to_owned() } else { name }
}

fn short(text: &str) -> String {
    let text = &text[..text.floor_char_boundary(MOST_NAME)];
    text.chars().filter(|char| !char.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_lead_out_are_known() {
        for path in ["", "a", "a/b", "a..b/..c"] {
            assert!(is_below(path), "{path}");
        }
        for path in ["/", "/a", "..", "../a", "a/../b", "a/.."] {
            assert!(!is_below(path), "{path}");
        }
    }

    #[test]
    fn invocations_are_clients_and_so_are_callers_who_do_not_say_theirs() {
        let asked = |invocation: &str, user: &str| {
            let said =
                RequestMetadata { tool_invocation_id: invocation.to_owned(), ..RequestMetadata::default() };
            let mut request = Request::new(());
            let said = MetadataValue::from_bytes(&said.encode_to_vec());
            request.metadata_mut().insert_bin(METADATA, said);
            request.metadata_mut().insert(AUTHORIZATION, user.parse().unwrap());
            client(&request)
        };
        assert_eq!(asked("build", "Bearer a"), asked("build", "Bearer b"));
        assert_ne!(asked("build", "Bearer a"), asked("another", "Bearer a"));
        assert_eq!(asked("", "Bearer a"), asked("", "Bearer a"));
        assert_ne!(asked("", "Bearer a"), asked("", "Bearer b"));
        assert_ne!(asked("", "Bearer a"), client(&Request::new(())));
    }

    #[test]
    fn what_clients_say_of_themselves_names_the_step() {
        let named = |mnemonic: &str, target: &str| {
            let said = RequestMetadata {
                tool_invocation_id: "x".to_owned(),
                action_mnemonic: mnemonic.to_owned(),
                target_id: target.to_owned(),
            };
            let mut metadata = MetadataMap::new();
            metadata.insert_bin(METADATA, MetadataValue::from_bytes(&said.encode_to_vec()));
            purpose(&metadata)
        };
        assert_eq!(named("CppCompile", "//a:b").as_deref(), Some("CppCompile //a:b"));
        assert_eq!(named("", "//a\n:b").as_deref(), Some("//a:b"));
        assert_eq!(named("", ""), None);
        assert_eq!(named("", &"é".repeat(100)).map(|name| name.chars().count()), Some(60));
        assert_eq!(purpose(&MetadataMap::new()), None);
    }
}
