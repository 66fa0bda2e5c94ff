//! What a run hands out stays where it is: all there is to do is to see that it can be read.

use std::collections::BTreeSet;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use cullet_cache::v1::tree_to_wire;
use cullet_core::{LogCommand, RunId, StepIndex};
use cullet_digest::TreeRef;
use cullet_pipeline::plan::ImageFormat;
use cullet_proto::v1;

use super::Leading;
use super::contexts::Context;
use crate::deliverable::Deliverable;

/// How often the store is asked that does not answer, for about ten seconds in all.
const RETRIES: usize = 6;
const FIRST_WAIT: Duration = Duration::from_millis(100);

impl Leading {
    /// Tells the core which steps have outputs that can no longer be read. What cannot be found out is not held
    /// against them.
    #[tracing::instrument(name = "run", level = "debug", skip_all, fields(%run))]
    pub(super) async fn deliver(&self, run: RunId) {
        let lost = match self.context(run).await {
            Ok(context) => self.lost(run, &context).await,
            Err(reason) => {
                tracing::warn!(%run, reason, "the outputs of a run could not be looked at");
                Vec::new()
            }
        };
        self.tell(LogCommand::Delivered { run, lost, at: self.now() }).await;
    }

    /// What a run hands out, as far as it is there.
    ///
    /// # Errors
    /// In a sentence.
    pub(crate) async fn outputs(&self, run: RunId) -> Result<Vec<v1::RunOutput>, String> {
        let context = self.context(run).await?;
        let wanted = self.read(|state| deliverables(state.run(run), &context));
        Ok(wanted.into_iter().map(to_wire).collect())
    }

    async fn lost(&self, run: RunId, context: &Context) -> Vec<StepIndex> {
        let wanted = self.read(|state| deliverables(state.run(run), context));
        let mut lost = BTreeSet::new();
        for (step, tree) in wanted.into_iter().flat_map(|wanted| wanted.parts) {
            let look = || self.parts.completeness.is_whole([tree]);
            let waits = ExponentialBuilder::new().with_min_delay(FIRST_WAIT).with_max_times(RETRIES);
            match look.retry(waits).await {
                Ok(true) => {}
                Ok(false) => drop(lost.insert(step)),
                Err(error) => tracing::warn!(%run, %error, "an output of a run could not be looked at"),
            }
        }
        lost.into_iter().collect()
    }
}

/// What a run hands out: where, of which step, and what. Outputs of steps that did not succeed are left out.
fn deliverables(run: Option<&cullet_core::Run>, context: &Context) -> Vec<Deliverable<TreeRef>> {
    let Some(run) = run else { return Vec::new() };
    let tree = |step, output: &u16| run.step(step)?.outputs.get(usize::from(*output)).copied();
    context.templates.deliverables().into_iter().filter_map(|wanted| wanted.find(tree).ok()).collect()
}

/// Of an image, the tree is its uppermost layer.
fn to_wire(output: Deliverable<TreeRef>) -> v1::RunOutput {
    let tree = output.parts.last().map(|(_, tree)| tree_to_wire(tree));
    let image = output.image.map(|image| v1::ExportedImage {
        reference: image.reference,
        manifest: image.manifest,
        format: match image.format {
            ImageFormat::OciLayout => v1::exported_image::Format::OciLayout.into(),
            ImageFormat::DockerArchive => v1::exported_image::Format::DockerArchive.into(),
        },
        name: image.name.unwrap_or_default(),
        layers: output.parts.iter().map(|(_, tree)| tree_to_wire(tree)).collect(),
    });
    v1::RunOutput { path: output.path, tree, image }
}
