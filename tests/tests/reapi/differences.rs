//! What other servers are known to do otherwise, and why that is no reason to ask less of ours.

use super::servers::Kind;

/// Something that is done otherwise. Tests check then that it is done so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Difference {
    /// No digest function but SHA-256.
    OnlySha256,
    /// No version before 2.1.
    SinceVersion21,
    /// Blobs of batches travel as they are.
    PlainBatches,
    /// Batches have no bound but that of messages.
    BatchesOfAnySize,
    /// An upload that broke off begins anew.
    NoResuming,
    /// Trees come as one page.
    OnePage,
    /// Results are kept and returned whether their blobs are there or not.
    IncompleteResults,
}

/// Who does what, and why it may.
const KNOWN: [(Kind, Difference, &str); 2] = [
    (
        Kind::Casd,
        Difference::OnlySha256,
        "casd is started for one function; BLAKE3 is none of those that it has",
    ),
    (Kind::Casd, Difference::SinceVersion21, "casd says so"),
];

/// Whether a server is known for something.
pub(crate) fn known(kind: Kind, difference: Difference) -> bool {
    KNOWN.iter().any(|(who, what, _)| *who == kind && *what == difference)
}
