//! What is submitted to a cluster, checked.

mod audit;
mod bad;

use std::collections::{BTreeMap, BTreeSet};

use cullet_cache::Scope;
use cullet_core::RunId;
use cullet_core::spec::RunSpec;
use cullet_digest::{Digest, DigestFunction, TreeRef};
use cullet_pipeline::plan::{InputFrom, Plan, Platform};
use cullet_proto::v1;
use prost::Message as _;

use crate::images::Images;
use crate::submission::{PlanTemplates, RunOptions, Submission, submission};
use crate::template::{Machine, Templates as _};

pub use audit::Audit;
pub use bad::BadRequest;

/// A pipeline and how to run it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Chosen by the submitter, to recognise a repetition.
    pub request_id: String,
    /// Who pays.
    pub tenant: String,
    /// From -100 to 100.
    pub priority: i8,
    /// The pipeline's text.
    pub pipeline: String,
    /// What its file is called in messages.
    pub file: String,
    /// Values of parameters, sorted.
    pub params: Vec<(String, String)>,
    /// Steps to run with what they need; all where there are none.
    pub targets: Vec<String>,
    /// The root directory of each source.
    pub sources: BTreeMap<String, Digest>,
    /// Steps that do not depend on a failed one still start.
    pub keep_going: bool,
    /// No step is looked up.
    pub no_cache: bool,
    /// The W3C trace context of the submitter; empty where it has none.
    pub traceparent: String,
    /// The fingerprint of the submitter's machine; empty where it has none.
    pub host_image: String,
    /// The digests of the images that the pipeline's steps have. Kept with the request, so that whoever leads later makes
    /// the same keys, whatever the references mean by then.
    pub images: Images,
    /// The platform that these are for; none where the submitter does not say.
    pub platform: Option<Platform>,
    /// Whose results it reads and writes.
    pub scope: Scope,
}

/// The longest request id, tenant, and name of a file, in bytes.
const MOST_ID: usize = 128;
const MOST_NAME: usize = 255;
const MOST_PATH: usize = 4096;

/// The largest submission, in bytes as it is sent: that of a pipeline, with as much for what is said besides.
pub const MOST_BYTES: usize = 16 << 20;

/// The largest pipeline, in bytes, that a cluster takes: a message of raft holds the steps of it with room to spare.
pub const MOST_PIPELINE: usize = 8 << 20;

/// What a submission has in bytes as it is sent.
pub fn sent_bytes(request: &v1::SubmitRequest) -> usize {
    request.encoded_len()
}

fn bounded(field: &'static str, len: usize, limit: usize) -> Result<(), BadRequest> {
    if len > limit { Err(BadRequest::TooLong { field, len, limit }) } else { Ok(()) }
}

fn or(text: String, default: &str) -> String {
    if text.is_empty() { default.to_owned() } else { text }
}

impl Request {
    /// Checks what can be checked without reading anything.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn from_wire(wire: v1::SubmitRequest) -> Result<Self, BadRequest> {
        bounded("the request id", wire.request_id.len(), MOST_ID)?;
        bounded("the tenant", wire.tenant.len(), MOST_NAME)?;
        if wire.tenant.chars().any(char::is_control) {
            return Err(BadRequest::Tenant);
        }
        bounded("the file's name", wire.file.len(), MOST_PATH)?;
        bounded("the pipeline", wire.pipeline.len(), MOST_PIPELINE)?;
        bounded("the trace context", wire.traceparent.len(), MOST_NAME)?;
        bounded("the host image", wire.host_image.len(), MOST_NAME)?;
        bounded("the platform", wire.platform.len(), MOST_NAME)?;
        let platform =
            Some(wire.platform).filter(|text| !text.is_empty()).map(|text| text.parse::<Platform>());
        let range = -100..=100;
        let priority = i8::try_from(wire.priority).ok().filter(|priority| range.contains(priority));
        let sources = wire.sources.into_iter().map(|(name, digest)| source(name, &digest));
        let mut params: Vec<(String, String)> = wire.params.into_iter().collect();
        params.sort_unstable();
        Ok(Self {
            request_id: wire.request_id,
            tenant: or(wire.tenant, RunSpec::TENANT),
            priority: priority.ok_or(BadRequest::Priority(wire.priority))?,
            pipeline: String::from_utf8(wire.pipeline.to_vec()).map_err(|_| BadRequest::Utf8)?,
            file: or(wire.file, "cullet.yaml"),
            params,
            targets: wire.targets,
            sources: sources.collect::<Result<_, _>>()?,
            keep_going: wire.keep_going,
            no_cache: wire.no_cache,
            traceparent: wire.traceparent,
            host_image: wire.host_image,
            images: Images::of(wire.images)?,
            platform: platform.transpose()?,
            scope: match or(wire.scope, RunSpec::SCOPE).parse()? {
                scope @ Scope::Quarantine(_) => return Err(BadRequest::Quarantined(scope)),
                scope => scope,
            },
        })
    }

    /// Whether planning it takes less time than handing it to another thread: a page of text, and no matrix that makes
    /// many steps of it.
    pub(crate) fn is_small(&self) -> bool {
        const PAGE: usize = 4096;
        self.pipeline.len() <= PAGE && !self.pipeline.contains("matrix")
    }

    fn to_wire(&self) -> v1::SubmitRequest {
        let digest = |digest: &Digest| cullet_cache::v1::digest_to_wire(digest);
        v1::SubmitRequest {
            request_id: self.request_id.clone(),
            tenant: self.tenant.clone(),
            priority: self.priority.into(),
            pipeline: self.pipeline.clone().into_bytes().into(),
            file: self.file.clone(),
            params: self.params.iter().cloned().collect(),
            targets: self.targets.clone(),
            sources: self.sources.iter().map(|(name, source)| (name.clone(), digest(source))).collect(),
            keep_going: self.keep_going,
            no_cache: self.no_cache,
            traceparent: self.traceparent.clone(),
            host_image: self.host_image.clone(),
            images: self.images.iter().map(|(image, digest)| (image.to_owned(), digest.to_owned())).collect(),
            platform: self.platform.as_ref().map(Platform::to_string).unwrap_or_default(),
            scope: self.scope.to_string(),
        }
    }

    /// The run that this is: the same for every repetition.
    pub fn run_id(&self) -> RunId {
        let mut hasher = blake3::Hasher::new_derive_key("cullet run id v1");
        hasher.update(&(self.tenant.len() as u64).to_le_bytes());
        hasher.update(self.tenant.as_bytes());
        hasher.update(self.request_id.as_bytes());
        // Who may ask for one scope must not be able to take the names of requests for another.
        hasher.update(&self.scope.id().unwrap_or_default());
        let mut id = [0; 16];
        id.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        RunId(u128::from_be_bytes(id))
    }

    /// What the pipeline asks for.
    ///
    /// # Errors
    /// All its problems, images that nobody resolved, and what a cluster does not do.
    pub fn plan(&self) -> Result<Plan, BadRequest> {
        let wrong = |problems: cullet_pipeline::Diagnostics| BadRequest::Pipeline(problems.render(false));
        let pipeline = cullet_pipeline::load(&self.file, &self.pipeline).map_err(wrong)?;
        let plan = pipeline.plan(&self.params, &self.targets).map_err(wrong)?;
        self.images.check(&plan)?;
        if let Some(wanted) = crate::secrets::first_identity(&plan) {
            let place = format!("{}:{}:{}", self.file, wanted.line, wanted.column);
            return Err(BadRequest::Pipeline(format!("{place}: {}", crate::secrets::no_identity(wanted))));
        }
        Ok(plan)
    }

    /// What the steps of its plan have to run on; none where nobody says it.
    ///
    /// # Errors
    /// [`BadRequest::OtherPlatform`].
    pub(crate) fn platform<'a>(&'a self, plan: &'a Plan) -> Result<Option<&'a Platform>, BadRequest> {
        match (&plan.platform, &self.platform) {
            (Some(pipeline), Some(images)) if pipeline != images => {
                Err(BadRequest::OtherPlatform { pipeline: pipeline.clone(), images: images.clone() })
            }
            (pipeline, images) => Ok(pipeline.as_ref().or(images.as_ref())),
        }
    }

    /// Refuses images that are files of the client's machine, which no worker has.
    ///
    /// # Errors
    /// The first one.
    pub(crate) fn refuse_local_images(&self, plan: &Plan) -> Result<(), BadRequest> {
        crate::images::first_local(plan).map_or(Ok(()), |(reference, step)| {
            let place = format!("{}:{}: step `{}`", self.file, step.line, step.name);
            Err(BadRequest::Pipeline(format!(
                "{place}: the image `{reference}` is on the client's machine, where no worker can have it from: push it \
                 to a registry"
            )))
        })
    }
}

fn source(name: String, wire: &v1::Digest) -> Result<(String, Digest), BadRequest> {
    match Digest::from_wire(DigestFunction::Blake3, &wire.hash, wire.size_bytes) {
        Ok(digest) => Ok((name, digest)),
        Err(source) => Err(BadRequest::Source { name, source }),
    }
}

/// The parts of sources that a plan uses.
pub(crate) fn parts(plan: &Plan) -> BTreeSet<(u32, std::sync::Arc<str>)> {
    let inputs = plan.steps.iter().flat_map(|step| &step.inputs);
    let parts = inputs.filter_map(|input| match &input.from {
        InputFrom::Source { source, subpath } => Some((*source, subpath.clone())),
        InputFrom::Output(_) => None,
    });
    parts.collect()
}

/// A request, and the kind of machine that its steps with the image `host` run on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submitted {
    /// What was asked for.
    pub request: Request,
    /// Where it runs.
    pub machine: Machine,
    /// Only this step is run.
    pub audit: Option<Audit>,
}

impl Request {
    /// Whether the two want the same to be executed, whoever they are and whatever it is called.
    pub(crate) fn asks_for_the_same(&self, other: &Self) -> bool {
        let content = |request: &Self| {
            let Self { pipeline, params, targets, sources, images, platform, keep_going, no_cache, .. } =
                request.clone();
            (pipeline, params, targets, sources, images, platform, keep_going, no_cache)
        };
        content(self) == content(other)
    }
}

impl Submitted {
    /// As it is stored, for whoever leads next.
    pub fn encode(&self) -> Vec<u8> {
        let Machine { function: _, arch, os, host_image, executor } = self.machine.clone();
        let (request, executor) = (Some(self.request.to_wire()), executor.unwrap_or_default());
        let audit = self.audit.as_ref().map(Audit::to_wire);
        v1::Submitted { request, arch, os, host_image, executor, audit }.encode_to_vec()
    }

    /// What was stored.
    ///
    /// # Errors
    /// It is something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadRequest> {
        let v1::Submitted { request, arch, os, host_image, executor, audit } = v1::Submitted::decode(bytes)?;
        let audit = audit.map(Audit::from_wire);
        let executor = Some(executor).filter(|executor| !executor.is_empty());
        let function = DigestFunction::Blake3;
        let machine = Machine { function, arch, os, host_image, executor };
        let (mut request, audit) = (request.unwrap_or_default(), audit.transpose()?);
        if audit.is_some() {
            // Nobody may submit for this one.
            request.scope.clear();
        }
        let mut request = Request::from_wire(request)?;
        if audit.is_some() {
            request.scope = Audit::scope();
        }
        Ok(Self { request, machine, audit })
    }

    /// What the core decides about, and what executing needs. `tree` gives the tree of a part of a source.
    pub(crate) fn divide<E>(
        &self,
        plan: Plan,
        tree: impl FnMut(u32, &str) -> Result<TreeRef, E>,
    ) -> Result<Submission, E> {
        let options = RunOptions {
            keep_going: self.request.keep_going,
            no_cache: self.request.no_cache,
            deliver: true,
            // A step that asks for more than any worker has is told so.
            cpu_millis: u32::MAX,
            memory_bytes: u64::MAX,
        };
        let mut divided = submission(plan, self.machine.clone(), self.request.images.clone(), options, tree)?;
        divided.spec.tenant = self.request.tenant.as_str().into();
        divided.spec.priority = self.request.priority;
        divided.spec.scope = self.request.scope.to_string().into();
        divided.spec.journal = true;
        let mut requirements = crate::machines::Requirements::new(&self.machine);
        let Submission { spec, templates } = &mut divided;
        for (position, step) in (0..).zip(&mut spec.steps) {
            let in_image = templates.image(position).is_some();
            step.requires = requirements.of(in_image, templates.has_services(position));
        }
        spec.requirements = requirements.finish();
        Ok(match &self.audit {
            Some(Audit { step, inputs }) => divided.only(step, inputs),
            None => divided,
        })
    }

    /// What executing needs.
    ///
    /// # Errors
    /// As for [`Request::plan`].
    pub(crate) fn templates(&self) -> Result<PlanTemplates, BadRequest> {
        let nowhere = TreeRef::Directory(DigestFunction::Blake3.digest(b""));
        let divided = self.divide(self.request.plan()?, |_, _| Ok::<_, std::convert::Infallible>(nowhere));
        match divided {
            Ok(Submission { templates, .. }) => Ok(templates),
            Err(never) => match never {},
        }
    }
}

#[cfg(test)]
mod tests;
