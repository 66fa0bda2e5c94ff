//! What a step printed, in the form in which results have it.

use std::fs::File;

use cullet_cache::LogStream;
use cullet_digest::DigestFunction;

use super::LocalFiles;
use super::reason::sentence;
use crate::logs::{Captured, Recorder, read_tail};

/// Both streams.
#[derive(Debug, Default)]
pub(super) struct KeptLogs {
    pub(super) stdout: LogStream,
    pub(super) stderr: LogStream,
    pub(super) interleaving: Vec<u32>,
    /// What could not be kept, in sentences.
    pub(super) warnings: Vec<String>,
}

/// Ends the streams and stores the long ones. A log that cannot be stored is shortened to its end, because the
/// end is where the reason of a failure stands.
pub(super) fn keep_logs(files: &dyn LocalFiles, recorder: &Recorder, function: DigestFunction) -> KeptLogs {
    let Some(recorded) = recorder.finish() else { return KeptLogs::default() };
    let mut warnings = Vec::new();
    let stdout = keep(files, recorded.stdout, function, "standard output", &mut warnings);
    let stderr = keep(files, recorded.stderr, function, "standard error", &mut warnings);
    // The lengths are those of the whole streams.
    let interleaving = if warnings.is_empty() { recorded.interleaving } else { Vec::new() };
    KeptLogs { stdout, stderr, interleaving, warnings }
}

fn keep(
    files: &dyn LocalFiles,
    captured: Captured,
    function: DigestFunction,
    what: &str,
    warnings: &mut Vec<String>,
) -> LogStream {
    let (tail, trouble) = match captured {
        Captured::Inline(bytes) => return LogStream::Inline(bytes.into()),
        Captured::Salvaged { tail, trouble } => (tail, trouble.to_string()),
        Captured::File(path) => match files.adopt_file(&path, function) {
            Ok(digest) => return LogStream::Blob(digest),
            Err(error) => {
                let tail = File::open(&path).and_then(|mut file| read_tail(&mut file));
                (tail.unwrap_or_default(), sentence(&error))
            }
        },
    };
    warnings.push(format!("only the end of {what} is kept: {trouble}"));
    LogStream::Inline(tail.into())
}
