//! What runs of a pipeline found, as somebody may see it who belongs to a scope.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use cullet_digest::Digest;
use futures_util::future::join_all;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::packed::runs::this_hour;
use crate::trust::Refusals;
use crate::{
    ActionCache, ActionResult, PackedActions, PackedBlobs, Recalled, Scope, StoreError, TrustOptions,
};

/// Hours after which a run that found nothing new says again that it found it.
const TOLD_HOURS: u32 = 24;

/// Results that are read at once.
const READS: usize = 16;

/// Whether somebody said not long ago that these results are in use.
pub(crate) fn is_told(lines: &[Recalled]) -> bool {
    let last = lines.iter().filter_map(|line| line.hour).max();
    last.is_some_and(|hour| this_hour().saturating_sub(hour) < TOLD_HOURS)
}

/// Lists of results, in the order in which scopes are read; nothing is in them that a lookup would refuse. Clones share
/// everything.
#[derive(Debug, Clone)]
pub struct SharedRuns {
    own: PackedActions,
    read: Vec<PackedActions>,
    trust: TrustOptions,
    refused: Arc<Refusals>,
}

impl SharedRuns {
    pub(crate) fn new(blobs: &PackedBlobs, trust: &TrustOptions, refused: &Arc<Refusals>) -> Self {
        let read = trust.read().into_iter().map(|scope| PackedActions::new(blobs, scope)).collect();
        let (own, refused) = (PackedActions::new(blobs, &trust.scope), Arc::clone(refused));
        Self { own, read, trust: trust.clone(), refused }
    }

    /// The results that runs of this pipeline found, the latest first. What is damaged or not believed is left out.
    ///
    /// # Errors
    /// Where the storage cannot be asked.
    pub async fn recall(&self, pipeline: &str) -> Result<Vec<Recalled>, StoreError> {
        let lists = join_all(self.read.iter().map(|runs| runs.recall(pipeline))).await;
        let lists = lists.into_iter().collect::<Result<Vec<_>, _>>()?;
        let mut seen = HashSet::new();
        Ok(lists
            .into_iter()
            .flatten()
            .filter(|line| self.is_believed(&line.action, &line.result) && seen.insert(line.action))
            .collect())
    }

    /// Keeps what a run of this pipeline found in the own scope, before what earlier ones did, as far as there is room.
    ///
    /// # Errors
    /// Where the storage cannot be written.
    pub async fn keep(
        &self,
        pipeline: &str,
        found: Vec<Recalled>,
        earlier: &[Recalled],
    ) -> Result<(), StoreError> {
        // What somebody else signed for everybody is believed as it is.
        let sign = |line: Recalled| match &line.result.signature {
            Some(signature) if signature.scope == Scope::Protected => line,
            _ => Recalled { result: self.trust.sign(&line.action, line.result), ..line },
        };
        let found: Vec<_> = found.into_iter().map(sign).collect();
        self.own.keep(pipeline, &found, earlier).await
    }

    /// Keeps that a run of this pipeline found the results of these actions, which `results` has, unless that is nothing new.
    /// Once a day it is kept all the same, so that the collector of the store sees that they are in use.
    ///
    /// # Errors
    /// Where the storage cannot be asked or written.
    pub async fn found(
        &self,
        pipeline: &str,
        actions: &[Digest],
        results: &dyn ActionCache,
    ) -> Result<(), StoreError> {
        let earlier = self.recall(pipeline).await?;
        let known: HashMap<Digest, &ActionResult> =
            earlier.iter().map(|line| (line.action, &line.result)).collect();
        if is_told(&earlier) && actions.iter().all(|action| known.contains_key(action)) {
            return Ok(());
        }
        let read = actions.iter().map(|action| async {
            let result = match known.get(action) {
                Some(result) => Some((*result).clone()),
                None => results.get(action).await?,
            };
            Ok::<_, StoreError>(result.map(|result| Recalled::now(*action, result)))
        });
        let read = stream::iter(read.collect::<Vec<_>>()).buffered(READS);
        let found: Vec<Option<Recalled>> = read.try_collect().await?;
        self.keep(pipeline, found.into_iter().flatten().collect(), &earlier).await
    }

    /// Takes a result out of what runs of this pipeline in the own scope found: it is not to be recalled any more.
    ///
    /// # Errors
    /// Where the storage cannot be asked or written.
    pub async fn forget(&self, pipeline: &str, action: &Digest) -> Result<(), StoreError> {
        let mut lines = self.own.recall(pipeline).await?;
        let all = lines.len();
        lines.retain(|line| line.action != *action);
        if lines.len() == all { Ok(()) } else { self.own.keep(pipeline, &lines, &[]).await }
    }

    fn is_believed(&self, action: &Digest, result: &ActionResult) -> bool {
        let is_believed = self.trust.believes(action, result);
        if !is_believed {
            self.refused.add(action, result, &self.trust.scope);
        }
        is_believed
    }
}
