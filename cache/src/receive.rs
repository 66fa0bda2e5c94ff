//! Getting a whole, checked blob from where it comes in pieces.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cullet_digest::Digest;
use futures_util::StreamExt as _;
use tokio::time::timeout;
use tonic::Code;

use crate::arriving::{Arrived, Arriving};
use crate::offload::offload;
use crate::pause::Pauses;
use crate::spool::Spool;
use crate::{Origin, Pieces, StoreError};

/// How patient one is with a place.
#[derive(Debug, Clone)]
pub(crate) struct Patience {
    /// How long the answer or the next piece may take.
    pub(crate) deadline: Duration,
    /// How often it is tried again without anything having arrived in between.
    pub(crate) retries: u32,
    /// Where large blobs are spooled.
    pub(crate) spool: Arc<Spool>,
}

/// Up to this many bytes are hashed and copied inline: a few tens of microseconds.
const INLINE: usize = 64 << 10;

impl Patience {
    /// Opens the blob and waits for its first piece, which is none for a blob without bytes.
    pub(crate) async fn ask(&self, origin: &dyn Origin, digest: &Digest) -> Result<Answer, StoreError> {
        let late = || StoreError::deadline(origin.place(), self.deadline);
        let mut pieces = timeout(self.deadline, origin.open(digest, 0)).await.map_err(|_| late())??;
        let first = timeout(self.deadline, pieces.next()).await.map_err(|_| late())?.transpose()?;
        Ok(Answer { first: first.unwrap_or_default(), pieces })
    }

    /// The whole blob.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] and [`StoreError::Mismatch`] at once; what may pass is tried again, from where the
    /// connection broke.
    pub(crate) async fn receive(&self, origin: &dyn Origin, digest: &Digest) -> Result<Arrived, StoreError> {
        let arriving = Arriving::new(digest, self.spool.path())?;
        self.go_on(origin, digest, arriving, None).await
    }

    /// The rest of a blob that was asked for.
    pub(crate) async fn receive_rest(
        &self,
        origin: &dyn Origin,
        digest: &Digest,
        answer: Answer,
    ) -> Result<Arrived, StoreError> {
        let arriving = append(Arriving::new(digest, self.spool.path())?, answer.first).await?;
        self.go_on(origin, digest, arriving, Some(answer.pieces)).await
    }

    async fn go_on(
        &self,
        origin: &dyn Origin,
        digest: &Digest,
        mut arriving: Arriving,
        mut open: Option<Pieces>,
    ) -> Result<Arrived, StoreError> {
        let (mut left, mut pauses) = (self.retries, Pauses::new());
        loop {
            let before = arriving.len();
            let error;
            (arriving, error) = self.once(origin, digest, arriving, open.take()).await?;
            let Some(error) = error else { return arriving.finish() };
            if arriving.len() > before {
                (left, pauses) = (self.retries, Pauses::new());
            }
            if left == 0 || !may_pass(&error) {
                return Err(error);
            }
            left -= 1;
            tracing::debug!(blob = %digest.short(), place = origin.place(), %error, "trying again");
            pauses.pause().await;
        }
    }

    /// What has arrived by the time that the place has sent everything, or failed to.
    async fn once(
        &self,
        origin: &dyn Origin,
        digest: &Digest,
        mut arriving: Arriving,
        open: Option<Pieces>,
    ) -> Result<(Arriving, Option<StoreError>), StoreError> {
        let late = || StoreError::deadline(origin.place(), self.deadline);
        let mut pieces = match open {
            Some(pieces) => pieces,
            None if arriving.is_whole() && !digest.is_empty() => return Ok((arriving, None)),
            None => match timeout(self.deadline, origin.open(digest, arriving.len())).await {
                Ok(Ok(pieces)) => pieces,
                Ok(Err(error)) => return Ok((arriving, Some(error))),
                Err(_) => return Ok((arriving, Some(late()))),
            },
        };
        loop {
            match timeout(self.deadline, pieces.next()).await {
                Ok(Some(Ok(piece))) => arriving = append(arriving, piece).await?,
                Ok(Some(Err(error))) => return Ok((arriving, Some(error))),
                Ok(None) => return Ok((arriving, None)),
                Err(_) => return Ok((arriving, Some(late()))),
            }
        }
    }
}

/// A place that has the blob, or says so.
pub(crate) struct Answer {
    first: Bytes,
    pieces: Pieces,
}

async fn append(mut arriving: Arriving, piece: Bytes) -> Result<Arriving, StoreError> {
    if piece.len() <= INLINE {
        arriving.append(&piece)?;
        return Ok(arriving);
    }
    offload(move || arriving.append(&piece).map(|()| arriving)).await
}

/// Whether the same question may be answered another time.
pub(crate) fn may_pass(error: &StoreError) -> bool {
    match error {
        // A bucket has been asked again already, as often as its budget allows.
        StoreError::Remote { source, .. } if source.is::<object_store::Error>() => false,
        StoreError::Remote { source, .. } => {
            source.downcast_ref::<tonic::Status>().is_none_or(|status| status_may_pass(status.code()))
        }
        error => matches!(error, StoreError::Deadline { .. }),
    }
}

/// Whether a status is about the moment, not about the request.
fn status_may_pass(code: Code) -> bool {
    match code {
        Code::Ok
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented => false,
        // A connection that breaks shows as one of these, depending on when.
        Code::Unavailable
        | Code::Unknown
        | Code::Cancelled
        | Code::Internal
        | Code::DataLoss
        | Code::Aborted
        | Code::DeadlineExceeded
        | Code::ResourceExhausted => true,
    }
}
