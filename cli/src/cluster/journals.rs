//! Journals of break-glass runs: sent, and read again.

use std::time::Duration;

use bytes::Bytes;
use cullet_proto::v1;
use cullet_proto::v1::journals_client::JournalsClient;
use tonic::transport::Channel;

use super::client::{MESSAGE, Patience};
use super::{Cluster, ClusterError};

/// Each line becomes a record in the store of the cluster, and results are looked up there.
const PATIENCE: Patience = Patience { answer: Duration::from_secs(60), ..Patience::ASKING };

impl Cluster {
    /// Sends lines that come behind others with these hashes, 32 bytes each.
    pub(crate) async fn take_in(
        &self,
        before: Bytes,
        lines: Vec<Bytes>,
    ) -> Result<v1::TakeInResponse, ClusterError> {
        let ask = |channel| {
            let question = self.question(v1::TakeInRequest { before: before.clone(), lines: lines.clone() });
            async move { client(channel).take_in(question).await }
        };
        self.retried(PATIENCE, ask).await
    }

    /// The journals that the cluster has.
    pub(crate) async fn journals(&self) -> Result<Vec<v1::JournalSummary>, ClusterError> {
        let ask = |channel| async move { client(channel).list_journals(v1::ListJournalsRequest {}).await };
        Ok(self.retried(PATIENCE, ask).await?.journals)
    }

    /// All lines of a journal, with what is known of the results of steps.
    pub(crate) async fn journal(&self, journal: &str) -> Result<Vec<v1::TakenLine>, ClusterError> {
        let mut all: Vec<v1::TakenLine> = Vec::new();
        loop {
            let after = all.last().map_or(0, |line| line.seq);
            let question = v1::ReadJournalRequest { journal: journal.to_owned(), after, results: true };
            let ask = |channel| {
                let question = question.clone();
                async move { client(channel).read_journal(question).await }
            };
            let lines = self.retried(PATIENCE, ask).await?.lines;
            match lines.last() {
                // Whatever is answered, it goes on.
                Some(last) if last.seq > after => all.extend(lines),
                _ => return Ok(all),
            }
        }
    }
}

fn client(channel: Channel) -> JournalsClient<Channel> {
    JournalsClient::new(channel).max_decoding_message_size(MESSAGE).max_encoding_message_size(MESSAGE)
}
