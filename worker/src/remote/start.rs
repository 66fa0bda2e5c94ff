//! What a coordinator wants to have started, checked.

use std::collections::BTreeMap;
use std::sync::Arc;

use cullet_cache::v1::{TreeError, tree_from_wire};
use cullet_cache::{Action, ActionError, Scope, ScopeError};
use cullet_digest::{Digest, DigestFunction, ParseDigestError, TreeRef};
use cullet_proto::trace::TraceContext;
use cullet_proto::v1;
use prost::bytes::Bytes;

use super::key::AttemptKey;
use crate::{Declared, StepLimits, Travels, VolumeUse};

/// An attempt to start.
#[derive(Debug, Clone)]
pub(super) struct Start {
    pub(super) key: AttemptKey,
    pub(super) name: String,
    pub(super) digest: Digest,
    pub(super) action: Arc<Action>,
    pub(super) outputs: Vec<String>,
    pub(super) inputs: Vec<(Box<str>, TreeRef)>,
    /// Inputs that other workers have, with the addresses of those.
    pub(super) held: Vec<Held>,
    pub(super) reports: Vec<String>,
    /// Where the image of the action can be had.
    pub(super) image: Option<String>,
    /// The same for its services, by their names.
    pub(super) service_images: BTreeMap<String, String>,
    pub(super) limits: StepLimits,
    pub(super) caches: Vec<VolumeUse>,
    /// Whose result it is.
    pub(super) scope: Scope,
    /// The step's span.
    pub(super) trace: Option<TraceContext>,
}

/// A tree that other workers said to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) tree: TreeRef,
    pub(super) holders: Vec<String>,
}

/// Holders of one tree that are asked. More than the protocol allows would only be more to wait for.
const MOST_HOLDERS: usize = 4;

/// Why an attempt cannot be started.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadStart {
    #[error("it names no action")]
    NoDigest,
    #[error("its action is not the one of its key")]
    OtherAction,
    #[error("its command is not the one that its action names")]
    OtherCommand,
    #[error("its input '{0}' is no tree")]
    Input(String),
    #[error("its input '{path}' is no tree: {source}")]
    InputDigest { path: String, source: ParseDigestError },
    #[error("a cache of it is to be at '{0}', which is no plain absolute path")]
    CachePath(String),
    #[error(transparent)]
    Digest(#[from] ParseDigestError),
    #[error(transparent)]
    Scope(#[from] ScopeError),
    #[error(transparent)]
    Action(#[from] ActionError),
}

impl Start {
    /// The key is parsed by the caller, who needs it to say what was wrong with the rest.
    pub(super) fn from_wire(key: AttemptKey, start: v1::Start) -> Result<Self, BadStart> {
        let v1::Start { name, action, action_message, command_message, .. } = start;
        let wire = action.ok_or(BadStart::NoDigest)?;
        let digest = key_of(&action_message, &wire)?;
        let function = digest.function();
        if Action::command_digest(function, &action_message)? != function.digest(&command_message) {
            return Err(BadStart::OtherCommand);
        }
        let action = Arc::new(Action::decode(function, &action_message, &command_message)?);
        let (mut inputs, mut held) = (Vec::new(), Vec::new());
        for mut input in start.inputs {
            let mut holders = std::mem::take(&mut input.holders);
            let (path, tree) = parse_input(function, input)?;
            holders.truncate(MOST_HOLDERS);
            if !holders.is_empty() {
                held.push(Held { tree, holders });
            }
            inputs.push((path, tree));
        }
        let v1::Start { outputs, reports, traceparent, limits, image_reference, .. } = start;
        let v1::Start { caches, services, scope, .. } = start;
        let scope = if scope.is_empty() { Scope::Protected } else { scope.parse()? };
        let caches = caches.into_iter().map(|cache| volume(cache, &scope)).collect::<Result<_, _>>()?;
        let image = Some(image_reference).filter(|reference| !reference.is_empty());
        let limits = step_limits(limits.unwrap_or_default());
        let services = services.into_iter().map(|service| (service.name, service.image_reference));
        let service_images = services.collect();
        let trace = TraceContext::parse(&traceparent);
        Ok(Self {
            key,
            name,
            digest,
            action,
            outputs,
            inputs,
            held,
            reports,
            image,
            service_images,
            limits,
            caches,
            scope,
            trace,
        })
    }

    pub(super) fn declared(&self) -> Declared<'_> {
        Declared { outputs: &self.outputs, inputs: &self.inputs, reports: &self.reports }
    }
}

const fn step_limits(limits: v1::StepLimits) -> StepLimits {
    let v1::StepLimits { cpu_millis, memory_bytes, processes, disk_bytes, output_bytes, log_bytes } = limits;
    StepLimits { cpu_millis, memory_bytes, processes, disk_bytes, output_bytes, log_bytes }
}

fn volume(cache: v1::StartCache, of: &Scope) -> Result<VolumeUse, BadStart> {
    let v1::StartCache { path, volume, scope, locked, travels_as } = cache;
    let travels = (!travels_as.is_empty()).then(|| Travels { owner: travels_as, scope: of.clone() });
    let is_name = |name: &str| !matches!(name, "" | "." | "..") && !name.contains('\0');
    match path.strip_prefix('/').is_some_and(|below| below.split('/').all(is_name)) {
        true => Ok(VolumeUse { scope, volume, path, locked, empty: false, travels }),
        false => Err(BadStart::CachePath(path)),
    }
}

/// The digest of an action. Its function is not sent: it is the one that gives this digest.
fn key_of(action: &Bytes, wire: &v1::Digest) -> Result<Digest, BadStart> {
    for function in [DigestFunction::Blake3, DigestFunction::Sha256] {
        let digest = Digest::from_wire(function, &wire.hash, wire.size_bytes)?;
        if function.digest(action) == digest {
            return Ok(digest);
        }
    }
    Err(BadStart::OtherAction)
}

fn parse_input(function: DigestFunction, input: v1::StartInput) -> Result<(Box<str>, TreeRef), BadStart> {
    let v1::StartInput { path, tree, .. } = input;
    match tree.as_ref().map(|tree| tree_from_wire(function, tree)) {
        Some(Ok(tree)) => Ok((path.into(), tree)),
        Some(Err(TreeError::Digest(source))) => Err(BadStart::InputDigest { path, source }),
        Some(Err(TreeError::Incomplete)) | None => Err(BadStart::Input(path)),
    }
}
