//! The cache that machines share: where its backend and decorators are put together, and nowhere else.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use cullet_digest::{Digest, DigestFunction};
use futures_util::future::try_join_all;

use crate::collect::{Noting, Rescuing, UsedResults};
use crate::object::{Location, ObjectActions, ObjectOptions, ObjectRecords, Place};
use crate::objects::ReadOnlyObjects;
use crate::packed::{PackedActions, PackedBlobs};
use crate::trust::Refusals;
use crate::{
    ActionCache, BlobStore, CheckedStreams, CompletenessChecking, Forgiving, KeptRecords, Objects, Scope,
    ScopedActions, SharedBlobs, SharedRuns, Signed, StoreError, TrustOptions, Trusted, Verifying,
};

/// The cache at a location, ready for use. Clones share everything.
#[derive(Debug, Clone)]
pub struct SharedCache {
    /// Blobs; what is read is checked.
    pub blobs: Arc<dyn BlobStore>,
    /// Results; only complete ones are hits, and trouble is a miss.
    pub actions: Arc<dyn ActionCache>,
    /// Every result there is, complete or not, and trouble is an error: for whoever has blobs of his own beside these.
    pub all_actions: Arc<dyn ActionCache>,
    /// What pipelines found the last time; none where each lookup is fast.
    pub runs: Option<SharedRuns>,
    /// The blobs as a tier behind a local disk; see [`crate::Tiers`].
    pub objects: Arc<dyn SharedBlobs>,
    /// What tells complete results from others.
    pub completeness: Arc<CompletenessChecking>,
    /// Results that were there and not believed.
    pub refused: Arc<Refusals>,
    /// What no garbage collection takes.
    pub kept: KeptRecords,
    results: Results,
    /// The scopes that are read.
    read: Vec<Scope>,
    used: Option<Arc<UsedResults>>,
}

/// Results by scope, whoever made them.
#[derive(Debug, Clone)]
enum Results {
    Files(ObjectActions),
    Packed(PackedBlobs),
}

impl Results {
    fn of(&self, scope: &Scope) -> Arc<dyn ActionCache> {
        match self {
            Self::Files(files) => Arc::new(files.of(scope)),
            Self::Packed(blobs) => Arc::new(PackedActions::new(blobs, scope)),
        }
    }

    /// As somebody sees them. Who is believed is asked before anything else is made of a result, and of each scope by
    /// itself: a result that nobody believes hides none behind it.
    fn seen_by(&self, trust: &TrustOptions, refused: &Arc<Refusals>) -> Arc<dyn ActionCache> {
        let believed = |scope: &Scope| -> Arc<dyn ActionCache> {
            let all = self.of(scope);
            let all: Arc<dyn ActionCache> = match &trust.signing {
                Some(key) if *scope == trust.scope => Arc::new(Signed::new(all, key.clone(), scope.clone())),
                _ => all,
            };
            match trust.keys(scope) {
                Some(keys) => Arc::new(Trusted::new(all, scope.clone(), keys).telling(Arc::clone(refused))),
                None => all,
            }
        };
        let own = believed(&trust.scope);
        let others = trust.read().into_iter().filter(|scope| **scope != trust.scope).map(believed).collect();
        match &trust.usual {
            Some(_) => Arc::new(ScopedActions::behind(others, own)),
            None if others.is_empty() => own,
            None => Arc::new(ScopedActions::new(own, others)),
        }
    }

    /// Lists of what pipelines found, where reading one is faster than looking each of them up.
    fn runs(&self, trust: &TrustOptions, refused: &Arc<Refusals>) -> Option<SharedRuns> {
        match self {
            Self::Files(_) => None,
            Self::Packed(blobs) => Some(SharedRuns::new(blobs, trust, refused)),
        }
    }
}

impl SharedCache {
    /// Opens the cache at a location such as `/mnt/cullet` or `s3://BUCKET/PREFIX`, for somebody who reads and writes the
    /// protected scope and believes everybody.
    ///
    /// # Errors
    /// [`StoreError::Location`] for what is no location or lacks something, an I/O error where a directory cannot
    /// be made or opened. A bucket is not asked before it is used.
    pub fn open(location: &str, options: &ObjectOptions) -> Result<Self, StoreError> {
        let location = location.parse::<Location>()?;
        let place = Place::open(&location, options)?;
        if let Some((blobs, results)) = place.as_files() {
            // A file for each blob: opening one is no request that takes long.
            let kept = KeptRecords::new(Arc::new(ObjectRecords::new(&place)));
            return Ok(Self::stacked(Arc::new(blobs), Results::Files(results), kept));
        }
        let objects: Arc<dyn Objects> = Arc::new(ObjectRecords::new(&place));
        // Who writes sees to it that nothing is collected on which it relies.
        let objects = if options.read_only { objects } else { Arc::new(Rescuing::new(objects)) };
        Self::over(objects, options)
    }

    /// The cache over storage where every request takes long.
    ///
    /// # Errors
    /// Where the directory for large blobs cannot be made.
    pub fn over(objects: Arc<dyn Objects>, options: &ObjectOptions) -> Result<Self, StoreError> {
        let objects: Arc<dyn Objects> =
            if options.read_only { Arc::new(ReadOnlyObjects::new(objects)) } else { objects };
        let kept = KeptRecords::new(Arc::clone(&objects));
        let blobs = PackedBlobs::new(objects, &options.spool)?;
        Ok(Self::stacked(Arc::new(blobs.clone()), Results::Packed(blobs), kept))
    }

    /// The same storage, for somebody who belongs to a scope and may ask for signatures.
    #[must_use]
    pub fn trusting(&self, trust: &TrustOptions) -> Self {
        let refused = Arc::default();
        let all_actions = self.results.seen_by(trust, &refused);
        let completeness = Arc::new(self.completeness.over(all_actions.clone()));
        let runs = self.results.runs(trust, &refused);
        let actions = Arc::new(Forgiving::new(completeness.clone()));
        let read = trust.read().into_iter().cloned().collect();
        let seen = Self { actions, all_actions, runs, completeness, refused, read, ..self.clone() };
        match &self.used {
            Some(used) => seen.noting(used),
            None => seen,
        }
    }

    /// The same, where it is remembered which results were found.
    #[must_use]
    pub fn noting(mut self, used: &Arc<UsedResults>) -> Self {
        self.actions = Arc::new(Noting::new(self.actions, Arc::clone(used)));
        self.used = Some(Arc::clone(used));
        self
    }

    /// When a result of one of the scopes that are read was removed by garbage collection last, as far as the store remembers it.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn evicted(&self, action: &Digest) -> Result<Option<SystemTime>, StoreError> {
        let Results::Packed(blobs) = &self.results else { return Ok(None) };
        let asked = self
            .read
            .iter()
            .map(|scope| async move { PackedActions::new(blobs, scope).evicted(action).await });
        Ok(try_join_all(asked).await?.into_iter().max().flatten())
    }

    /// Results of one scope and no other, complete or not, whoever made them: for whoever compares them with something.
    pub fn only(&self, scope: &Scope) -> Arc<dyn ActionCache> {
        self.results.of(scope)
    }

    /// Only what is believed is asked whether it is complete, and trouble is forgiven last of all.
    fn stacked<S: SharedBlobs + 'static>(objects: Arc<S>, results: Results, kept: KeptRecords) -> Self {
        let blobs: Arc<dyn BlobStore> = Arc::new(Verifying::new(objects.clone(), objects.clone()));
        let (trust, refused) = (TrustOptions::default(), Arc::default());
        let all_actions = results.seen_by(&trust, &refused);
        let completeness = CompletenessChecking::new(all_actions.clone(), blobs.clone());
        let completeness = Arc::new(completeness.with_trees(objects.clone()));
        let runs = results.runs(&trust, &refused);
        let actions = Arc::new(Forgiving::new(completeness.clone()));
        let read = trust.read().into_iter().cloned().collect();
        Self {
            blobs,
            actions,
            all_actions,
            runs,
            objects,
            completeness,
            refused,
            kept,
            results,
            read,
            used: None,
        }
    }

    /// The same blobs, checked while they are sent.
    pub fn streams(&self) -> CheckedStreams {
        CheckedStreams::new(self.objects.clone(), self.objects.clone())
    }

    /// Stores and reads a few bytes, so that a wrong bucket or credentials show before anything depends on them.
    ///
    /// # Errors
    /// What keeps the location from being used.
    pub async fn probe(&self) -> Result<(), StoreError> {
        const BYTES: &[u8] = b"cullet\n";
        let digest = DigestFunction::Blake3.digest(BYTES);
        self.blobs.put(&digest, Bytes::from_static(BYTES).into()).await?;
        self.blobs.get(&digest).await.map(drop)
    }
}
