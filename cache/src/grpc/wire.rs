//! Between wire types and ours.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use cullet_digest::{Digest, DigestFunction, ParseDigestError};
use cullet_proto::reapi;

use crate::StoreError;

/// Values of REAPI's `DigestFunction`.
const SHA256: i32 = 1;
const BLAKE3: i32 = 9;

/// The number of a digest function.
pub const fn number(function: DigestFunction) -> i32 {
    match function {
        DigestFunction::Sha256 => SHA256,
        DigestFunction::Blake3 => BLAKE3,
    }
}

/// The digest function with a number. 0 leaves it to the length of the hash, and REAPI lets only SHA-256 have 64
/// digits and go without its name.
pub(crate) const fn function(number: i32) -> Option<DigestFunction> {
    match number {
        0 | SHA256 => Some(DigestFunction::Sha256),
        BLAKE3 => Some(DigestFunction::Blake3),
        _ => None,
    }
}

/// The message for a digest.
pub fn to_wire(digest: &Digest) -> reapi::Digest {
    // Sizes come from the wire or from memory and files, so they fit.
    reapi::Digest { hash: digest.hash_hex(), size_bytes: i64::try_from(digest.size()).unwrap_or(i64::MAX) }
}

/// The digest in a message.
pub(crate) fn from_wire(
    function: DigestFunction,
    digest: &reapi::Digest,
) -> Result<Digest, ParseDigestError> {
    Digest::from_wire(function, &digest.hash, digest.size_bytes)
}

/// The gRPC status for what a store says. Paths and causes stay in the server's log.
pub(crate) fn status(error: &StoreError) -> tonic::Status {
    use tonic::Code;
    let code = match error {
        StoreError::NotFound { .. } => Code::NotFound,
        StoreError::Mismatch { .. } => Code::InvalidArgument,
        StoreError::TooLarge { .. } => Code::OutOfRange,
        StoreError::NoSpace { .. } | StoreError::OverBound { .. } => Code::ResourceExhausted,
        StoreError::ReadOnly { .. } => Code::PermissionDenied,
        StoreError::Remote { .. } | StoreError::Deadline { .. } => Code::Unavailable,
        StoreError::FutureVersion { .. }
        | StoreError::InUse { .. }
        | StoreError::Location { .. }
        | StoreError::Io { .. } => Code::Internal,
    };
    match error {
        StoreError::NotFound { .. } | StoreError::Mismatch { .. } => {
            tonic::Status::new(code, error.to_string())
        }
        _ => {
            tell(error);
            tonic::Status::new(code, "the store behind this server failed; its log says why")
        }
    }
}

/// Failures are told once in this time: clients try again by the thousand while a disk is full, and the log may lie on it.
const EVERY: Duration = Duration::from_secs(1);

/// When a failure was told last, and how many there were since.
static TOLD: Mutex<Option<(Instant, u64)>> = Mutex::new(None);

fn tell(error: &StoreError) {
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((at, since)) = &mut *told
        && at.elapsed() < EVERY
    {
        *since += 1;
        return;
    }
    let untold = told.replace((Instant::now(), 0)).map_or(0, |(_, since)| since);
    drop(told);
    let cause = std::error::Error::source(error).map(ToString::to_string);
    tracing::warn!(%error, cause, untold, "a store failed while serving");
}
