//! A coordinator that answers as it is told to.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use cullet_proto::v1;
use cullet_proto::v1::runs_server::{Runs, RunsServer};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, stream};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use super::{Addresses, Cluster};

/// What one call answers: messages, and at last an error or the end.
pub(super) type Answer<T> = Vec<Result<T, Status>>;

/// What is answered, call by call; a call beyond is unavailable.
#[derive(Debug, Default)]
pub(super) struct Script {
    pub(super) watches: Mutex<VecDeque<Answer<v1::RunEvent>>>,
    /// By step.
    pub(super) logs: Mutex<BTreeMap<String, VecDeque<Answer<v1::LogChunk>>>>,
    pub(super) submits: Mutex<VecDeque<Result<v1::SubmitResponse, Status>>>,
    /// Runs, the newest first, in pages of two.
    pub(super) runs: Vec<&'static str>,
    /// What was asked for.
    pub(super) asked: Mutex<Vec<String>>,
}

impl Script {
    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn note(&self, what: String) {
        self.asked.lock().unwrap().push(what);
    }
}

/// A coordinator that serves a script. Dropped, it dies.
pub(super) struct Scripted {
    pub(super) url: String,
    pub(super) script: Arc<Script>,
    task: JoinHandle<()>,
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(super) async fn serve(script: Script) -> Scripted {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let script = Arc::new(script);
    let service = RunsServer::from_arc(Arc::new(Coordinator(Arc::clone(&script))));
    let server = Server::builder().add_service(service).serve_with_incoming(TcpIncoming::from(listener));
    let task = tokio::spawn(async move { server.await.unwrap() });
    Scripted { url, script, task }
}

pub(super) fn cluster(urls: &[&str]) -> Cluster {
    Cluster::connect(&urls.join(",").parse::<Addresses>().unwrap()).unwrap()
}

struct Coordinator(Arc<Script>);

fn streamed<T: Send + 'static>(
    answer: Option<Answer<T>>,
) -> Result<Response<BoxStream<'static, Result<T, Status>>>, Status> {
    let answer = answer.ok_or_else(|| Status::unavailable("nothing more to say"))?;
    Ok(Response::new(stream::iter(answer).boxed()))
}

#[tonic::async_trait]
impl Runs for Coordinator {
    type WatchRunStream = BoxStream<'static, Result<v1::RunEvent, Status>>;
    type ReadLogStream = BoxStream<'static, Result<v1::LogChunk, Status>>;

    async fn submit(
        &self,
        request: Request<v1::SubmitRequest>,
    ) -> Result<Response<v1::SubmitResponse>, Status> {
        self.0.note(format!("submit {}", request.into_inner().request_id));
        let answer = self.0.submits.lock().unwrap().pop_front();
        answer.unwrap_or_else(|| Err(Status::unavailable("no worker has joined yet"))).map(Response::new)
    }

    async fn get_run(
        &self,
        request: Request<v1::GetRunRequest>,
    ) -> Result<Response<v1::GetRunResponse>, Status> {
        Err(Status::not_found(request.into_inner().run))
    }

    async fn list_runs(
        &self,
        request: Request<v1::ListRunsRequest>,
    ) -> Result<Response<v1::ListRunsResponse>, Status> {
        let from: usize = request.into_inner().page_token.parse().unwrap_or(0);
        let all = &self.0.runs;
        let summary = |run: &&str| v1::RunSummary { run: (*run).to_owned(), ..Default::default() };
        let runs: Vec<_> = all.iter().skip(from).take(2).map(summary).collect();
        let next_page_token = if from + 2 < all.len() { (from + 2).to_string() } else { String::new() };
        Ok(Response::new(v1::ListRunsResponse { runs, next_page_token }))
    }

    async fn cancel_run(
        &self,
        _: Request<v1::CancelRunRequest>,
    ) -> Result<Response<v1::CancelRunResponse>, Status> {
        Ok(Response::new(v1::CancelRunResponse { had_ended: false }))
    }

    async fn watch_run(
        &self,
        request: Request<v1::WatchRunRequest>,
    ) -> Result<Response<Self::WatchRunStream>, Status> {
        self.0.note(format!("watch after {}", request.into_inner().after));
        streamed(self.0.watches.lock().unwrap().pop_front())
    }

    async fn read_log(
        &self,
        request: Request<v1::ReadLogRequest>,
    ) -> Result<Response<Self::ReadLogStream>, Status> {
        let v1::ReadLogRequest { step, offset, .. } = request.into_inner();
        self.0.note(format!("log of {step} from {offset}"));
        let mut logs = self.0.logs.lock().unwrap();
        streamed(logs.get_mut(&step).and_then(VecDeque::pop_front))
    }

    async fn list_step_keys(
        &self,
        request: Request<v1::ListStepKeysRequest>,
    ) -> Result<Response<v1::ListStepKeysResponse>, Status> {
        Err(Status::not_found(request.into_inner().run))
    }
}

/// An event with a number.
pub(super) fn numbered(sequence: u64, event: v1::run_event::Event) -> Result<v1::RunEvent, Status> {
    Ok(v1::RunEvent { sequence, time_ms: 1000 + sequence, event: Some(event) })
}

pub(super) fn queued(sequence: u64) -> Result<v1::RunEvent, Status> {
    let step = format!("s{sequence}");
    numbered(sequence, v1::run_event::Event::StepQueued(v1::StepQueued { step }))
}

pub(super) fn chunk(offset: u64, stderr: bool, data: &'static [u8]) -> Result<v1::LogChunk, Status> {
    let stream = if stderr { v1::log_chunk::Stream::Stderr } else { v1::log_chunk::Stream::Stdout };
    Ok(v1::LogChunk { offset, stream: stream as i32, data: data.into() })
}

pub(super) fn broken<T>() -> Result<T, Status> {
    Err(Status::unavailable("this coordinator stops"))
}
