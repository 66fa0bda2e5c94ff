//! Messages between coordinators, as bytes.

use bytes::Bytes;
use cullet_proto::raft::Frame;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tonic::Status;

use super::types::NodeId;

/// Raised whenever the encoding of anything that coordinators say to each other changes.
const FORMAT: u32 = 4;

/// The largest message. The log's reader and the snapshot's chunks stay far below it, and so does every submission
/// that is admitted.
pub const MAX_MESSAGE: usize = 64 << 20;

/// Names the cluster in every message, so that a coordinator that was moved to another one does no harm there, and in
/// requests who is meant.
#[derive(Debug, Clone)]
pub(super) struct Framing {
    cluster_id: String,
    own: NodeId,
    to: NodeId,
}

impl Framing {
    pub(super) const fn new(cluster_id: String, own: NodeId) -> Self {
        Self { cluster_id, own, to: 0 }
    }

    /// For requests to this one.
    pub(super) fn to(&self, to: NodeId) -> Self {
        Self { to, ..self.clone() }
    }

    pub(super) fn encode(&self, message: &impl Serialize) -> Result<Frame, Status> {
        let body = postcard::to_stdvec(message)
            .map_err(|error| Status::internal(format!("a message cannot be encoded: {error}")))?;
        Ok(self.wrap(body.into()))
    }

    pub(super) fn wrap(&self, body: Bytes) -> Frame {
        Frame { cluster_id: self.cluster_id.clone(), format: FORMAT, body, to: self.to }
    }

    pub(super) fn decode<T: DeserializeOwned>(&self, frame: &Frame) -> Result<T, Status> {
        let body = self.open(frame)?;
        postcard::from_bytes(body)
            .map_err(|error| Status::invalid_argument(format!("a message cannot be decoded: {error}")))
    }

    pub(super) fn open<'f>(&self, frame: &'f Frame) -> Result<&'f Bytes, Status> {
        if frame.cluster_id != self.cluster_id {
            return Err(Status::failed_precondition(format!(
                "this coordinator belongs to cluster {}, the caller to {}",
                self.cluster_id, frame.cluster_id
            )));
        }
        if frame.to != 0 && frame.to != self.own {
            return Err(Status::failed_precondition(format!(
                "this coordinator is {:016x}, and {:016x} is meant: it has another address, or lost its disk",
                self.own, frame.to
            )));
        }
        if frame.format != FORMAT {
            return Err(Status::failed_precondition(format!(
                "this coordinator speaks format {FORMAT}, the caller {}: their versions differ too much",
                frame.format
            )));
        }
        Ok(&frame.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_for_somebody_else_or_of_another_format_are_refused() {
        let ours = Framing::new("a".to_owned(), 1);
        let frame = ours.encode(&(7_u64, "x")).unwrap();
        assert_eq!(ours.decode::<(u64, String)>(&frame).unwrap(), (7, "x".to_owned()));
        let other = Framing::new("b".to_owned(), 1).decode::<(u64, String)>(&frame).unwrap_err();
        assert_eq!(other.code(), tonic::Code::FailedPrecondition);
        let mine = Framing::new("a".to_owned(), 2).to(1).encode(&(7_u64, "x")).unwrap();
        assert!(ours.decode::<(u64, String)>(&mine).is_ok());
        let not_mine = ours.decode::<(u64, String)>(&ours.to(3).encode(&(7_u64, "x")).unwrap()).unwrap_err();
        assert_eq!(not_mine.code(), tonic::Code::FailedPrecondition);
        let newer = Frame { format: FORMAT + 1, ..frame.clone() };
        assert!(ours.decode::<(u64, String)>(&newer).unwrap_err().message().contains("versions"));
        let torn = Frame { body: frame.body.slice(..1), ..frame };
        assert_eq!(ours.decode::<(u64, String)>(&torn).unwrap_err().code(), tonic::Code::InvalidArgument);
    }
}
