//! The log of an attempt that runs, from its worker.

use std::time::Duration;

use cullet_proto::v1::attempt_logs_client::AttemptLogsClient;
use cullet_proto::{Dial, v1};
use tonic::transport::Endpoint;
use tonic::{Code, Request, Status};

use super::{End, Gone, Reader};
use crate::attempts::AttemptKey;

/// How long a worker may take to be reached.
const CONNECT: Duration = Duration::from_secs(2);

/// A connection that says nothing for so long is tried, and given up after twice that.
const KEEPALIVE: Duration = Duration::from_secs(5);

impl Reader {
    /// Passes on what the worker sends. Between two messages a client that is gone is noticed.
    pub(super) async fn relay(&mut self, key: AttemptKey, address: Option<String>) -> Result<End, Gone> {
        let Some(address) = address else {
            return Ok(End::Unreachable("its worker is not known".to_owned()));
        };
        let opened = tokio::select! {
            opened = open(&self.dial, &address, key, self.offset, self.wanted.follow) => opened,
            () = self.out.closed() => return Err(Gone),
        };
        let mut pieces = match opened {
            Ok(pieces) => pieces,
            // It ended a while ago, which this coordinator may not know yet.
            Err(status) => return Ok(End::Unreachable(status.message().to_owned())),
        };
        loop {
            let piece = tokio::select! {
                piece = pieces.message() => piece,
                // The attempt may be another one by now, and this coordinator would not know.
                () = self.contact.until_lost(), if self.wanted.follow => return Ok(End::Moved),
                () = self.out.closed() => return Err(Gone),
            };
            match piece {
                Ok(Some(piece)) if piece.offset == self.offset => self.send(piece).await?,
                Ok(Some(piece)) => {
                    let text = format!("byte {} came where {} should be", piece.offset, self.offset);
                    return Ok(End::Unreachable(text));
                }
                Ok(None) => return Ok(End::Whole),
                Err(status) if status.code() == Code::NotFound => return Ok(End::Moved),
                Err(status) => return Ok(End::Unreachable(status.message().to_owned())),
            }
        }
    }
}

async fn open(
    dial: &Dial,
    address: &str,
    key: AttemptKey,
    offset: u64,
    follow: bool,
) -> Result<tonic::Streaming<v1::LogChunk>, Status> {
    let unreachable = |error: tonic::transport::Error| Status::unavailable(error.to_string());
    let endpoint = Endpoint::from_shared(address.to_owned()).map_err(unreachable)?;
    let endpoint = endpoint
        .connect_timeout(CONNECT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE);
    let channel = dial.connect(&endpoint).await.map_err(unreachable)?;
    let request = v1::ReadAttemptLogRequest { attempt: Some(key.to_wire()), offset, follow };
    Ok(AttemptLogsClient::new(channel).read_attempt_log(Request::new(request)).await?.into_inner())
}
