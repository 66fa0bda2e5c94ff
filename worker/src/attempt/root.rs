//! The root directory of a step as an output, and as what a step begins with.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use cullet_cache::action::ROOT_OUTPUT;
use cullet_cache::{Action, ActionError, Output, OutputKind, OutputPath};
use cullet_digest::{Digest, DigestFunction, TreeRef};
use cullet_pipeline::plan::root_layer_path;
use cullet_secrets::Search;

use super::beside::NoServices;
use super::{ScratchDir, Stores, WorkerConfig, report};
use crate::collect::{CollectError, OutputFault};
use crate::executor::Execution;
use crate::images::{AboveFault, CaptureFault, HeldRoot, ImageFault, LayerFault};
use crate::{LocalFiles, LostInputs};

/// Why a step has no root directory.
#[derive(Debug, thiserror::Error)]
pub(super) enum RootError {
    #[error(transparent)]
    Image(#[from] ImageFault),
    #[error(transparent)]
    Action(#[from] ActionError),
    #[error("{} layer(s) of the step's root are no longer in the cache", .0.inputs.len())]
    Lost(LostInputs),
    #[error("a layer of the step's root cannot be had")]
    Layer(#[source] LayerFault),
    #[error(transparent)]
    Above(AboveFault),
    #[error("the step continues a root, and is in no image")]
    NoImage,
    #[error(transparent)]
    Beside(#[from] NoServices),
}

impl RootError {
    /// Whether another try would find the same, here or elsewhere.
    pub(super) fn is_permanent(&self) -> bool {
        match self {
            Self::Image(fault) => fault.permanent,
            Self::Beside(NoServices::OfService { permanent, .. }) => *permanent,
            _ => false,
        }
    }
}

/// The outputs that are in the workspace.
pub(super) fn in_workspace(action: &Action) -> Cow<'_, [OutputPath]> {
    if !action.leaves_root() {
        return Cow::Borrowed(&action.outputs);
    }
    action.outputs.iter().filter(|output| output.path != ROOT_OUTPUT).cloned().collect::<Vec<_>>().into()
}

/// Puts the layers that the action names above its image. All that are lost are named at once.
pub(super) async fn layered(
    config: &WorkerConfig,
    stores: &Stores,
    (action, reference): (&Action, Option<&str>),
    image: Option<HeldRoot>,
) -> Result<Option<HeldRoot>, RootError> {
    let layers = action.root_layers()?;
    if layers.is_empty() {
        return Ok(image);
    }
    let HeldRoot { mut root, program, hold } = image.ok_or(RootError::NoImage)?;
    if root.in_engine.is_some() {
        return in_engine(config, stores, (action, reference), &layers).await.map(Some);
    }
    let (mut holds, mut lost) = (vec![hold], LostInputs::default());
    for (number, layer) in layers.iter().enumerate() {
        match config.images.layer(layer, root.ranged, Arc::clone(&stores.files)).await {
            Ok(held) => {
                root.layers.push(held.tree);
                holds.push(held.hold);
            }
            Err(LayerFault::Lost) => lost.add(root_layer_path(number), *layer),
            Err(fault) => return Err(RootError::Layer(fault)),
        }
    }
    if !lost.inputs.is_empty() {
        return Err(RootError::Lost(lost));
    }
    root.layers = once_each(root.layers);
    Ok(Some(HeldRoot { root, program, hold: Box::new(holds) }))
}

/// The same where a container engine has the image.
async fn in_engine(
    config: &WorkerConfig,
    stores: &Stores,
    (action, reference): (&Action, Option<&str>),
    layers: &[Digest],
) -> Result<HeldRoot, RootError> {
    let manifest = action.image().ok_or(RootError::NoImage)?;
    let once = once_each(layers.to_vec());
    let above = config.images.above((manifest, reference), &once, Arc::clone(&stores.files)).await;
    above.map_err(|fault| match fault {
        AboveFault::Lost(gone) => {
            let mut lost = LostInputs::default();
            let named = layers.iter().enumerate().filter(|(_, layer)| gone.contains(layer));
            named.for_each(|(number, layer)| lost.add(root_layer_path(number), *layer));
            RootError::Lost(lost)
        }
        fault @ AboveFault::Machine(_) => RootError::Above(fault),
    })
}

/// Overlayfs takes no directory twice. Two steps that change the same in the same way leave one layer, which hides at its
/// highest place whatever its lower ones could show.
fn once_each<T: Clone + Eq + std::hash::Hash>(lowest_first: Vec<T>) -> Vec<T> {
    let mut seen = std::collections::HashSet::new();
    let mut kept: Vec<T> =
        lowest_first.into_iter().rev().filter(|layer| seen.insert(layer.clone())).collect();
    kept.reverse();
    kept
}

/// Makes what the step changed of its root a blob. Blocks.
pub(super) fn keep_root(
    config: &WorkerConfig,
    files: &dyn LocalFiles,
    (execution, scratch): (&Execution, &ScratchDir),
    function: DigestFunction,
    secrets: Option<&Search>,
) -> Result<Output, CollectError> {
    // Beside what is the step's own, and gone with it where this process ends before it is a blob.
    let archive = scratch.path().join(ARCHIVE);
    let captured = match (&execution.root_upper, &execution.engine_upper) {
        (Some(upper), _) => config.images.capture(upper, &archive),
        (None, Some(upper)) => config.images.capture_engine(upper, &archive),
        (None, None) => {
            let why = "what runs steps here does not keep their root directories";
            return Err(CollectError::Root(why.into()));
        }
    };
    let digest = match captured {
        Ok(()) => without_secrets(&archive, secrets)
            .and_then(|()| files.adopt_file(&archive, function).map_err(CollectError::Store)),
        Err(CaptureFault::Step(why)) => Err(OutputFault::Root { why }.into()),
        Err(CaptureFault::Machine(error)) => Err(CollectError::Root(error)),
    };
    report(&archive, super::remove_tree(&archive));
    Ok(root_output(digest?))
}

/// A root that others continue must not have what nobody else may see.
fn without_secrets(archive: &Path, secrets: Option<&Search>) -> Result<(), CollectError> {
    let Some(search) = secrets else { return Ok(()) };
    let found = std::fs::File::open(archive).and_then(|file| search.read(file));
    match found.map_err(|error| CollectError::Root(error.into()))? {
        None => Ok(()),
        Some(name) => {
            Err(OutputFault::Root { why: format!("a file in it holds the secret `{name}`") }.into())
        }
    }
}

const ARCHIVE: &str = "root.tar";

fn root_output(digest: Digest) -> Output {
    let tree = TreeRef::File { digest, executable: false };
    Output { path: ROOT_OUTPUT.to_owned(), kind: OutputKind::Tree(tree) }
}

#[test]
fn a_layer_that_is_there_twice_counts_at_its_highest_place() {
    assert_eq!(once_each(vec!["a", "b", "a", "c", "b"]), ["a", "c", "b"]);
}
