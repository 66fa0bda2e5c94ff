//! Names of log streams: `[INSTANCE/]logstreams/RUN-ATTEMPT-stdout`, and the same with `stderr`. An attempt that is made again prints
//! into streams of its own, so what was read of a stream stays true.

use cullet_core::RunId;
use cullet_proto::v1::log_chunk::Stream;
use tonic::Status;

use crate::attempts::parse_run;

const STREAMS: &str = "logstreams";
const STDOUT: &str = "stdout";
const STDERR: &str = "stderr";

/// One of the two streams of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LogName {
    pub(super) run: RunId,
    pub(super) attempt: u32,
    pub(super) stream: Stream,
}

impl LogName {
    /// The name of a resource, if it is one of a log stream.
    ///
    /// # Errors
    /// INVALID_ARGUMENT: it is like one, and none of ours.
    pub(super) fn parse(name: &str) -> Result<Option<Self>, Status> {
        let mut segments = name.rsplit('/');
        let Some(id) = segments.next() else { return Ok(None) };
        if segments.next() != Some(STREAMS) {
            return Ok(None);
        }
        let wrong = || {
            let how =
                "a log stream is named [INSTANCE/]logstreams/ID, as the metadata of an operation tell it";
            Status::invalid_argument(how)
        };
        Self::parse_id(id).map(Some).ok_or_else(wrong)
    }

    fn parse_id(id: &str) -> Option<Self> {
        let (run, rest) = id.split_once('-')?;
        let (attempt, stream) = rest.split_once('-')?;
        let stream = match stream {
            STDOUT => Stream::Stdout,
            STDERR => Stream::Stderr,
            _ => return None,
        };
        let attempt = attempt.parse().ok().filter(|number| *number > 0)?;
        let parsed = Self { run: parse_run(run)?, attempt, stream };
        // Of `+1` and `01`, one name is enough.
        (parsed.id() == id).then_some(parsed)
    }

    /// The name in an instance.
    pub(super) fn within(self, instance: &str) -> String {
        let between = if instance.is_empty() { "" } else { "/" };
        format!("{instance}{between}{STREAMS}/{}", self.id())
    }

    fn id(self) -> String {
        let stream = if self.stream == Stream::Stderr { STDERR } else { STDOUT };
        format!("{}-{}-{stream}", self.run, self.attempt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_printing_and_parsing() {
        for instance in ["", "web", "web/branch/a", "branch/logstreams/x"] {
            for stream in [Stream::Stdout, Stream::Stderr] {
                let name = LogName { run: RunId(7), attempt: 2, stream };
                assert_eq!(LogName::parse(&name.within(instance)).unwrap(), Some(name));
            }
        }
    }

    #[test]
    fn what_is_no_name_is_refused_or_another_resource() {
        let run = RunId(7);
        for wrong in [
            "logstreams/".to_owned(),
            format!("logstreams/{run}"),
            format!("logstreams/{run}-1"),
            format!("logstreams/{run}-1-stdin"),
            format!("logstreams/{run}-0-stdout"),
            format!("logstreams/{run}-01-stdout"),
            format!("logstreams/{run}-+1-stdout"),
            format!("logstreams/{run}-99999999999-stdout"),
            "logstreams/7-1-stdout".to_owned(),
        ] {
            assert!(LogName::parse(&wrong).is_err(), "{wrong}");
        }
        for other in ["", "logstreams", "blobs/x/1", "xlogstreams/y", "logstreams/x/token"] {
            assert_eq!(LogName::parse(other).unwrap(), None, "{other}");
        }
    }
}
