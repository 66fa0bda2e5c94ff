//! `cullet.v1.Journals`.

use std::sync::Arc;

use cullet_cache::StoreError;
use cullet_proto::v1;
use cullet_proto::v1::journals_client::JournalsClient;
use cullet_proto::v1::journals_server::{Journals, JournalsServer};
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::sync::Mutex;
use tonic::{Request, Response, Status};

use super::access::{MAX_ANSWER, Who, forwarded, leader, of_the_leader, rights, up_to_date};
use super::outcomes::outcomes_of;
use crate::engine::Engine;
use crate::glass::{
    Fault, Hash, Judged, KeptJournals, MOST_ENTRIES, MOST_LINE, MOST_STEPS, Sender, Verdict, is_name,
    look_at, take_in,
};
use crate::resolve::describe;

/// The most bytes of a call: one line as long as they may be, and the hashes of all before it.
const MOST_BYTES: usize = MOST_LINE + MOST_ENTRIES * 32 + (64 << 10);

/// The most lines of a call, and of an answer.
const MOST_LINES: usize = 1000;

/// Bytes of lines after which an answer ends.
const PAGE: usize = 4 << 20;

/// The service of a coordinator.
pub fn journals_service(engine: Engine) -> JournalsServer<impl Journals> {
    JournalsServer::new(JournalsApi { engine, taking: Arc::default() })
        .max_decoding_message_size(MOST_BYTES)
        .max_encoding_message_size(MAX_ANSWER)
}

#[derive(Debug)]
struct JournalsApi {
    engine: Engine,
    /// One call at a time looks how far a journal is and goes on from there.
    taking: Arc<Mutex<()>>,
}

impl JournalsApi {
    fn kept(&self) -> Result<KeptJournals, Status> {
        let kept = self.engine.parts().results.kept();
        let kept =
            kept.ok_or_else(|| Status::unimplemented("the store of this cluster keeps no journals"))?;
        Ok(KeptJournals::new(kept))
    }
}

#[tonic::async_trait]
impl Journals for JournalsApi {
    async fn take_in(
        &self,
        request: Request<v1::TakeInRequest>,
    ) -> Result<Response<v1::TakeInResponse>, Status> {
        let leading = match leader(&self.engine, &request).await? {
            Who::Here(leading) => leading,
            Who::There(channel) => {
                let mut client = JournalsClient::new(channel)
                    .max_encoding_message_size(MOST_BYTES)
                    .max_decoding_message_size(MAX_ANSWER);
                return client.take_in(forwarded(request)).await.map_err(of_the_leader);
            }
        };
        let policy = self.engine.policy();
        let by = rights(policy, &request)?.sends_journals()?;
        let v1::TakeInRequest { before, lines } = request.into_inner();
        let (before, odd): (&[Hash], &[u8]) = before.as_chunks();
        if !odd.is_empty() || before.len() > MOST_ENTRIES || lines.len() > MOST_LINES {
            let why = format!(
                "send at most {MOST_LINES} lines at a time, behind at most {MOST_ENTRIES} hashes of 32 bytes"
            );
            return Err(Status::invalid_argument(why));
        }
        let kept = self.kept()?;
        let _taking = self.taking.lock().await;
        // Two leaders would not look at what the other one writes; what each writes is right all the same.
        up_to_date(&leading).await?;
        let sender = Sender { name: &by, now_ms: leading.now() };
        let lines: Vec<&[u8]> = lines.iter().map(|line| &line[..]).collect();
        let answer = take_in(&kept, &policy.journals, before, &lines, sender).await.map_err(unread)?;
        let unverified = policy.journals.is_unverified();
        let differs = answer.differs.map(|(seq, fault)| refused(seq, &fault));
        let mut wire: Vec<_> = differs.into_iter().collect();
        let mut left = MOST_STEPS;
        for Judged { seq, verdict } in answer.lines {
            wire.push(match verdict {
                Verdict::Known => verdict_of(seq, v1::line_verdict::Status::Known),
                Verdict::Refused(fault) => refused(seq, &fault),
                Verdict::New(entry) => {
                    let steps = outcomes_of(&*self.engine.parts().results, &entry, &mut left).await;
                    let taken = verdict_of(seq, v1::line_verdict::Status::Taken);
                    v1::LineVerdict { unverified, steps, ..taken }
                }
            });
        }
        Ok(Response::new(v1::TakeInResponse { entries: answer.entries, lines: wire, notes: answer.notes }))
    }

    async fn list_journals(
        &self,
        _: Request<v1::ListJournalsRequest>,
    ) -> Result<Response<v1::ListJournalsResponse>, Status> {
        let all = self.kept()?.all().await.map_err(unread)?;
        let owner = |key: &str| {
            let key = key.parse().ok()?;
            self.engine.policy().journals.owner(&key).map(str::to_owned)
        };
        let journals = all.into_iter().map(|about| v1::JournalSummary {
            owner: owner(&about.key).unwrap_or_default(),
            journal: about.journal,
            key: about.key,
            user: about.user,
            host: about.host,
        });
        Ok(Response::new(v1::ListJournalsResponse { journals: journals.collect() }))
    }

    async fn read_journal(
        &self,
        request: Request<v1::ReadJournalRequest>,
    ) -> Result<Response<v1::ReadJournalResponse>, Status> {
        let v1::ReadJournalRequest { journal, after, results } = request.into_inner();
        if !is_name(&journal) {
            return Err(Status::invalid_argument("a journal is named by 64 lower-case hexadecimal digits"));
        }
        let (kept, trust) = (self.kept()?, &self.engine.policy().journals);
        let mut before = match after {
            0 => None,
            after => {
                Some(kept.line(&journal, after).await.map_err(unread)?.ok_or_else(|| no_such(&journal))?)
            }
        }
        .map(|kept| kept.hash());
        let (mut lines, mut bytes, mut left) = (Vec::new(), 0, MOST_STEPS);
        let mut there = std::pin::pin!(kept.lines(&journal, after).take(MOST_LINES));
        while let Some((seq, line)) = there.try_next().await.map_err(unread)? {
            let checked = look_at(seq, before.as_ref(), line.line.as_bytes(), trust);
            before = Some(line.hash());
            bytes += line.line.len();
            let (fault, steps) = match checked {
                Ok(entry) if results => {
                    (String::new(), outcomes_of(&*self.engine.parts().results, &entry, &mut left).await)
                }
                Ok(_) => (String::new(), Vec::new()),
                Err(fault) => (fault.to_string(), Vec::new()),
            };
            lines.push(v1::TakenLine {
                seq,
                taken_at_ms: line.taken_at_ms,
                by: line.by,
                line: line.line.into(),
                unverified: trust.is_unverified(),
                fault,
                steps,
            });
            if bytes >= PAGE {
                break;
            }
        }
        if lines.is_empty() && after == 0 {
            return Err(no_such(&journal));
        }
        Ok(Response::new(v1::ReadJournalResponse { lines }))
    }
}

fn verdict_of(seq: u64, status: v1::line_verdict::Status) -> v1::LineVerdict {
    v1::LineVerdict { seq, status: status.into(), ..v1::LineVerdict::default() }
}

fn refused(seq: u64, fault: &Fault) -> v1::LineVerdict {
    let verdict = verdict_of(seq, v1::line_verdict::Status::Refused);
    v1::LineVerdict { fault: fault.to_string(), ..verdict }
}

fn no_such(journal: &str) -> Status {
    Status::not_found(format!("the cluster has no journal {journal}"))
}

fn unread(error: StoreError) -> Status {
    Status::unavailable(format!("the store of the cluster: {}", describe(&error)))
}
