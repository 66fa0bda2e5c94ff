//! From a step whose inputs are known to its key, and from the key to a cached result.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use cullet_cache::{Action, ActionCache, Blob, BlobStore, EncodedAction, StoreError};
use cullet_core::spec::InputSource;
use cullet_core::{Resolution, Run, StepIndex};
use cullet_digest::{
    AssembleError, Assembled, Digest, DigestFunction, Directory, DirectoryError, Mount, TreeRef, assemble,
};
use cullet_pipeline::plan::ROOT_LAYERS;
use futures_util::{StreamExt as _, TryStreamExt as _};

use crate::given::GivenAction;
use crate::template::Templates;

/// The most bytes of one encoded directory that are read into memory. A directory of a million entries has
/// about 100 MB.
const MAX_DIRECTORY_BYTES: u64 = 256 << 20;

/// A step to resolve.
#[derive(Debug)]
pub struct Question {
    /// The step's position in its run.
    pub step: StepIndex,
    /// What lies where in its input root, in the order of its specification.
    pub inputs: Vec<(Box<str>, TreeRef)>,
    /// Positions in `inputs` that are outputs of other steps, which can be made again.
    pub from_steps: Vec<u16>,
    /// Paths of its declared outputs, in declared order.
    pub outputs: Vec<String>,
    /// Do not look it up.
    pub bypass_cache: bool,
}

impl Question {
    /// For a step whose inputs are known.
    pub(crate) fn of(run: &Run, step: StepIndex, outputs: Vec<String>, bypass_cache: bool) -> Option<Self> {
        let spec = run.spec().steps.get(step as usize)?;
        let from_step = |source: &InputSource| matches!(source, InputSource::Output { .. });
        let from_steps = (0_u16..).zip(&spec.inputs).filter(|(_, input)| from_step(&input.source));
        let from_steps = from_steps.map(|(position, _)| position).collect();
        Some(Self { step, inputs: inputs_of(run, step)?, from_steps, outputs, bypass_cache })
    }
}

/// What lies where in the input root of a step whose inputs are known.
pub(crate) fn inputs_of(run: &Run, step: StepIndex) -> Option<Vec<(Box<str>, TreeRef)>> {
    Some(run.resolved_inputs(step)?.map(|(path, tree)| (path.into(), tree)).collect())
}

/// The name of a step.
pub(crate) fn step_name(run: Option<&Run>, step: StepIndex) -> String {
    let spec = run.and_then(|run| run.spec().steps.get(step as usize));
    spec.map(|spec| spec.name.to_string()).unwrap_or_default()
}

/// What came of it.
#[derive(Debug)]
pub struct Answer {
    /// For the core.
    pub resolution: Resolution,
    /// The action to execute; only with [`Resolution::Miss`].
    pub action: Option<Arc<Action>>,
    /// The same as it is stored.
    pub encoded: Option<Arc<EncodedAction>>,
    /// Something a person should know.
    pub note: Option<LookupNote>,
    /// Whether it is trouble that may be over when it is asked again later: the store did not do what it was asked.
    pub may_pass: bool,
}

impl Answer {
    const fn without_action(resolution: Resolution, note: Option<LookupNote>) -> Self {
        Self { resolution, action: None, encoded: None, note, may_pass: false }
    }
}

/// What a person should know about a lookup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookupNote {
    /// The cache could not be asked.
    Trouble(String),
    /// There is a result, but some of its blobs are gone, so the step runs again.
    Incomplete {
        /// How many.
        missing: usize,
    },
}

/// Says of an action that was just not found how many blobs of its result are missing, where that is why.
pub type Incompleteness = Arc<dyn Fn(&Digest) -> Option<usize> + Send + Sync>;

/// Makes keys and looks them up.
pub struct Resolver {
    function: DigestFunction,
    blobs: Arc<dyn BlobStore>,
    actions: Arc<dyn ActionCache>,
    templates: Arc<dyn Templates>,
    incomplete: Incompleteness,
    /// The last few directories that inputs were put into: dozens of steps mount into the same source tree.
    recent: Mutex<Vec<(Digest, Arc<Directory>)>>,
}

/// How many directories are remembered: more than distinct source roots in a pipeline, few enough to scan.
const RECENT: usize = 16;

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").field("function", &self.function).finish_non_exhaustive()
    }
}

impl Resolver {
    /// A resolver over a cache.
    pub const fn new(
        function: DigestFunction,
        blobs: Arc<dyn BlobStore>,
        actions: Arc<dyn ActionCache>,
        templates: Arc<dyn Templates>,
        incomplete: Incompleteness,
    ) -> Self {
        Self { function, blobs, actions, templates, incomplete, recent: Mutex::new(Vec::new()) }
    }

    /// As [`Resolver::resolve`], with an action that has to be executed stored before this returns.
    pub async fn resolve_and_keep(&self, question: Question) -> Answer {
        let answer = self.resolve(question).await;
        let Some(encoded) = &answer.encoded else { return answer };
        match self.blobs.put_small(stored(encoded)).await {
            Ok(()) => answer,
            Err(error) => Trouble::not_stored(&error).answer(answer.note),
        }
    }

    /// Answers a question. Trouble with the cache is a miss, never a failure of the run. The input root of an action that
    /// has to be executed is stored; the action is not.
    pub async fn resolve(&self, question: Question) -> Answer {
        let Made { action, encoded, assembled } = match self.make(&question).await {
            Ok(made) => made,
            Err(trouble) => return trouble.answer(None),
        };
        let key = encoded.digest;
        let mut note = None;
        if !question.bypass_cache && !action.do_not_cache {
            match self.actions.get(&key).await {
                Ok(Some(result)) => {
                    if let Some(outputs) = result.trees_at(&question.outputs) {
                        let saved_ms = result.duration_ms;
                        let resolution = Resolution::Hit { action: key, outputs, saved_ms };
                        return Answer::without_action(resolution, None);
                    }
                }
                Ok(None) => note = (self.incomplete)(&key).map(|missing| LookupNote::Incomplete { missing }),
                Err(error) => note = Some(LookupNote::Trouble(describe(&error))),
            }
        }
        if let Err(error) = self.store(assembled).await {
            return Trouble::not_stored(&error).answer(note);
        }
        let (action, encoded) = (Some(Arc::new(action)), Some(Arc::new(encoded)));
        Answer { resolution: Resolution::miss(key), action, encoded, note, may_pass: false }
    }

    /// The action of a step whose inputs are known, and what has to be stored before it can be executed.
    async fn make(&self, question: &Question) -> Result<Made, Trouble> {
        if let Some(GivenAction { action, encoded }) = self.templates.given() {
            let assembled = Assembled { root: action.input_root, directories: Vec::new() };
            return Ok(Made { action: action.clone(), encoded: encoded.clone(), assembled });
        }
        let assembled = self.input_root(question).await?;
        let mut action = self.templates.template(question.step);
        action.input_root = assembled.root;
        action.set_root_layers(&root_layers(question)?);
        let encoded = action.encode(self.function);
        Ok(Made { action, encoded, assembled })
    }

    async fn input_root(&self, question: &Question) -> Result<Assembled, Trouble> {
        let mounts: Vec<Mount<'_>> = question
            .inputs
            .iter()
            .filter(|(path, _)| !path.starts_with(ROOT_LAYERS))
            .map(|(path, tree)| Mount { path, tree: *tree })
            .collect();
        // What `assemble` asks for is fetched between its attempts: it is pure and must not wait.
        let mut fetched: Vec<(Digest, Arc<Directory>)> = Vec::new();
        loop {
            let read = |wanted: &Digest| {
                let known = fetched.iter().find(|(digest, _)| digest == wanted);
                known.map(|(_, directory)| directory.clone()).ok_or(*wanted)
            };
            match assemble(self.function, &mounts, read) {
                Ok(assembled) => return Ok(assembled),
                Err(AssembleError::Read(wanted)) => match self.directory(&wanted).await {
                    Ok(directory) => fetched.push((wanted, directory)),
                    Err(error) => return Err(lost(question, &wanted, &error)),
                },
                Err(error) => return Err(Trouble::lasting(impossible(error.to_string()))),
            }
        }
    }

    async fn directory(&self, digest: &Digest) -> Result<Arc<Directory>, ReadDirectoryError> {
        if let Some(known) = self.recall(digest) {
            return Ok(known);
        }
        if digest.size() > MAX_DIRECTORY_BYTES {
            return Err(StoreError::TooLarge { digest: *digest, limit: MAX_DIRECTORY_BYTES }.into());
        }
        let bytes = self.blobs.get(digest).await?.into_bytes()?;
        let directory = Arc::new(Directory::decode(self.function, &bytes)?);
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() == RECENT {
            recent.remove(0);
        }
        recent.push((*digest, directory.clone()));
        Ok(directory)
    }

    fn recall(&self, digest: &Digest) -> Option<Arc<Directory>> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.iter().find(|(known, _)| known == digest).map(|(_, directory)| directory.clone())
    }

    /// The action of a step that was a miss before, in the form in which it is stored.
    ///
    /// # Errors
    /// What is to be said of the step instead, where its inputs cannot be read any more.
    pub(crate) async fn make_again(&self, question: &Question) -> Result<EncodedAction, Resolution> {
        Ok(self.make(question).await.map_err(|trouble| trouble.resolution)?.encoded)
    }

    /// Stores the input root: the worker needs it.
    async fn store(&self, assembled: Assembled) -> Result<(), StoreError> {
        let puts = assembled
            .directories
            .into_iter()
            .map(|(digest, bytes)| async move { self.blobs.put(&digest, Blob::from(bytes)).await });
        futures_util::stream::iter(puts).buffer_unordered(DIRECTORIES).try_collect().await
    }
}

/// The layers of the root directory among the inputs, the lowest first.
fn root_layers(question: &Question) -> Result<Vec<Digest>, Trouble> {
    let layers = question.inputs.iter().filter(|(path, _)| path.starts_with(ROOT_LAYERS));
    let digest = |(path, tree): &(Box<str>, TreeRef)| match tree {
        TreeRef::File { digest, .. } => Ok(*digest),
        TreeRef::Directory(_) => {
            Err(Trouble::lasting(impossible(format!("{path} is a directory, and no layer"))))
        }
    };
    layers.map(digest).collect()
}

/// Directories of an input root that are stored at once.
const DIRECTORIES: usize = 16;

/// The blobs of an action. The worker gets them with its task; who asks later why the key was a new one reads them,
/// whether the step succeeded or not.
pub(crate) fn stored(action: &EncodedAction) -> Vec<(Digest, Bytes)> {
    vec![
        (action.command_digest, Bytes::from(action.command.clone())),
        (action.digest, Bytes::from(action.action.clone())),
    ]
}

fn impossible(reason: String) -> Resolution {
    Resolution::Impossible { reason: reason.into() }
}

/// Why there is no key, or none that can be used.
struct Trouble {
    resolution: Resolution,
    may_pass: bool,
}

impl Trouble {
    const fn lasting(resolution: Resolution) -> Self {
        Self { resolution, may_pass: false }
    }

    fn not_stored(error: &StoreError) -> Self {
        let reason = format!("its key cannot be stored: {}", describe(error)).into();
        Self { resolution: Resolution::Trouble { reason }, may_pass: error.is_outage() }
    }

    fn answer(self, note: Option<LookupNote>) -> Answer {
        Answer { may_pass: self.may_pass, ..Answer::without_action(self.resolution, note) }
    }
}

/// An action with its stored form and its input root.
struct Made {
    action: Action,
    encoded: EncodedAction,
    assembled: Assembled,
}

#[derive(Debug, thiserror::Error)]
enum ReadDirectoryError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

impl ReadDirectoryError {
    fn may_pass(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_outage())
    }
}

/// Which inputs have to be made again when a directory of theirs cannot be read. The directory may lie below
/// the root of several; those that could hold it are all that end at a directory and come from a step. A store that does
/// not answer has lost nothing.
fn lost(question: &Question, wanted: &Digest, error: &ReadDirectoryError) -> Trouble {
    let is_root = |index: &&u16| question.inputs[usize::from(**index)].1.digest() == *wanted;
    let exact: Vec<u16> = question.from_steps.iter().filter(is_root).copied().collect();
    let inputs = if exact.is_empty() { question.from_steps.clone() } else { exact };
    let may_pass = error.may_pass();
    if inputs.is_empty() || may_pass {
        return Trouble { resolution: Resolution::Trouble { reason: describe(error).into() }, may_pass };
    }
    Trouble::lasting(Resolution::InputLost { inputs: inputs.into() })
}

/// An error with its causes in one line.
pub fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
