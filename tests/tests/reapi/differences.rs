//! What servers are known to do otherwise than the specification says, and why they may, or that they should not. Wherever something is
//! checked that is done otherwise, the test says so by its name here.

use super::servers::Kind;

/// Something that is done otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Difference {
    /// No digest function but SHA-256.
    OnlySha256,
    /// No version before 2.1.
    SinceVersion21,
    /// Nothing travels compressed.
    NoCompression,
    /// Batches have no bound but that of messages.
    UnboundedBatches,
    /// An upload is one stream: one that broke off begins anew, and there is no `QueryWriteStatus`.
    WholeUploads,
    /// What is no digest or no name gets any error, is looked for in vain, or is taken for a name.
    LooseNames,
    /// Blobs are found by their hash, whatever size stands beside it.
    NamedByHash,
    /// A `read_limit` must not reach beyond the end.
    ExactLimits,
    /// Results are stored as they come, and looked at when somebody asks for them.
    ResultsUnchecked,
    /// Blobs are neither split nor spliced.
    NoChunks,
    /// Nothing is inlined.
    NoInlining,
    /// The directories of a `Tree` have to be stored besides, each for itself.
    TreesWithDirectories,
    /// Short standard output comes with a result whether somebody asked for it or not.
    OutputUnasked,
    /// What version 2.0 says of outputs, that they are files or directories, is not checked.
    OutputsOfAnyKind,
}

/// Who does what, and why it may, or that it should not.
const KNOWN: [(Kind, Difference, &str); 14] = [
    (
        Kind::Casd,
        Difference::OnlySha256,
        "optional: it is started for one function, and BLAKE3 is none that it has",
    ),
    (Kind::Casd, Difference::SinceVersion21, "optional: `low_api_version` says so"),
    (Kind::Casd, Difference::NoCompression, "optional: `supported_compressors` is empty"),
    (
        Kind::Casd,
        Difference::NoChunks,
        "optional: `split_blob_support` and `splice_blob_support` are not set",
    ),
    (Kind::Casd, Difference::UnboundedBatches, "optional: `max_batch_total_size_bytes` is 0"),
    (
        Kind::Casd,
        Difference::WholeUploads,
        "ByteStream lets services do without resuming; the call is UNIMPLEMENTED",
    ),
    (
        Kind::Casd,
        Difference::LooseNames,
        "not as specified: no INVALID_ARGUMENT, but UNKNOWN, NOT_FOUND or nothing",
    ),
    (
        Kind::Casd,
        Difference::NamedByHash,
        "not as specified: a Digest is hash and size; harmless, as hashes are unique",
    ),
    (Kind::Casd, Difference::ExactLimits, "not as specified: `read_limit` is a maximum"),
    (
        Kind::Casd,
        Difference::ResultsUnchecked,
        "allowed: that blobs are there is a SHOULD of GetActionResult",
    ),
    (Kind::Casd, Difference::NoInlining, "optional: `inline_stdout` and the others are hints"),
    (
        Kind::Casd,
        Difference::TreesWithDirectories,
        "not as specified: `tree_digest` is enough for an OutputDirectory",
    ),
    (
        Kind::Cullet,
        Difference::OutputUnasked,
        "against a SHOULD NOT of `stdout_raw`: results keep short output in themselves",
    ),
    (
        Kind::Cullet,
        Difference::OutputsOfAnyKind,
        "not as specified: `output_files` are taken for `output_paths`",
    ),
];

/// Whether a server is known for something.
pub(crate) fn known(kind: Kind, difference: Difference) -> bool {
    KNOWN.iter().any(|(who, what, _)| *who == kind && *what == difference)
}
