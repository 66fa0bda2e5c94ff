//! `cullet.v1.Runs`.

use cullet_core::{LogCommand, RunId};
use cullet_proto::v1;
use cullet_proto::v1::runs_server::{Runs, RunsServer};
use tonic::{Request, Response, Status};

use super::access::{MAX_ANSWER, Who, knowing, leader, pass_on, rights, run_id, unknown, up_to_date};
use super::log::{Chunks, chunks};
use super::summary::{steps, summary};
use super::watch::{Events, events};
use crate::engine::{Engine, Leading, scope_of};
use crate::planted::{self, Bug};
use crate::request;

/// The service of a coordinator.
pub fn runs_service(engine: Engine) -> RunsServer<impl Runs> {
    RunsServer::new(RunsApi::new(engine))
        // Nothing else that is asked is larger than a submission.
        .max_decoding_message_size(request::MOST_BYTES)
        .max_encoding_message_size(MAX_ANSWER)
}

/// Answers calls, whether they came as gRPC or otherwise.
#[derive(Debug, Clone)]
pub(crate) struct RunsApi {
    engine: Engine,
}

impl RunsApi {
    pub(crate) const fn new(engine: Engine) -> Self {
        Self { engine }
    }
}

#[tonic::async_trait]
impl Runs for RunsApi {
    async fn submit(
        &self,
        request: Request<v1::SubmitRequest>,
    ) -> Result<Response<v1::SubmitResponse>, Status> {
        match leader(&self.engine, &request).await? {
            Who::Here(leading) => {
                let policy = self.engine.policy();
                let rights = rights(policy, &request)?;
                let mut wire = request.into_inner();
                if wire.scope.is_empty() {
                    wire.scope = policy.default_scope.to_string();
                }
                if wire.request_id.is_empty() || planted::is(Bug::ForgetRequests) {
                    wire.request_id = format!("{:032x}", fastrand::u128(..));
                }
                let request = request::Request::from_wire(wire);
                let request = request.map_err(|error| Status::invalid_argument(error.to_string()))?;
                rights.check(&request.tenant, &request.scope)?;
                let (run, existed) = leading.submit(request).await?;
                Ok(Response::new(v1::SubmitResponse { run: run.to_string(), existed }))
            }
            Who::There(channel) => {
                let call = |mut client: Client, request| async move { client.submit(request).await };
                pass_on(channel, request, call).await
            }
        }
    }

    async fn get_run(
        &self,
        request: Request<v1::GetRunRequest>,
    ) -> Result<Response<v1::GetRunResponse>, Status> {
        let run = run_id(&request.get_ref().run)?;
        match leader(&self.engine, &request).await? {
            Who::Here(leading) => {
                up_to_date(&leading).await?;
                let run = describe(&leading, run).await?;
                Ok(Response::new(v1::GetRunResponse { run: Some(run) }))
            }
            Who::There(channel) => {
                let call = |mut client: Client, request| async move { client.get_run(request).await };
                pass_on(channel, request, call).await
            }
        }
    }

    async fn list_runs(
        &self,
        request: Request<v1::ListRunsRequest>,
    ) -> Result<Response<v1::ListRunsResponse>, Status> {
        match leader(&self.engine, &request).await? {
            Who::Here(leading) => {
                up_to_date(&leading).await?;
                super::list::list(&leading, request.get_ref()).map(Response::new)
            }
            Who::There(channel) => {
                let call = |mut client: Client, request| async move { client.list_runs(request).await };
                pass_on(channel, request, call).await
            }
        }
    }

    async fn cancel_run(
        &self,
        request: Request<v1::CancelRunRequest>,
    ) -> Result<Response<v1::CancelRunResponse>, Status> {
        let run = run_id(&request.get_ref().run)?;
        match leader(&self.engine, &request).await? {
            Who::Here(leading) => {
                let rights = rights(self.engine.policy(), &request)?;
                let whose = |run: &cullet_core::Run| (run.spec().tenant.clone(), scope_of(run));
                if let Some((tenant, scope)) = leading.read(|state| state.run(run).map(whose)) {
                    rights.check(&tenant, &scope)?;
                }
                let ended = |run: &cullet_core::Run| run.status().is_some();
                if leading.read(|state| state.run(run).is_some_and(ended)) {
                    return Ok(Response::new(v1::CancelRunResponse { had_ended: true }));
                }
                if !planted::is(Bug::DropCancel) {
                    leading.propose(LogCommand::Cancel { run, at: leading.now() }).await?;
                }
                // It may have ended in between.
                let cancelled = leading.read(|state| state.run(run).map(cullet_core::Run::is_cancelled));
                let cancelled = cancelled.ok_or_else(|| unknown(run))?;
                Ok(Response::new(v1::CancelRunResponse { had_ended: !cancelled }))
            }
            Who::There(channel) => {
                let call = |mut client: Client, request| async move { client.cancel_run(request).await };
                pass_on(channel, request, call).await
            }
        }
    }

    type WatchRunStream = Events;

    async fn watch_run(&self, request: Request<v1::WatchRunRequest>) -> Result<Response<Events>, Status> {
        let run = run_id(&request.get_ref().run)?;
        let node = knowing(&self.engine, run, &request).await?;
        let blobs = self.engine.parts().blobs.clone();
        Ok(Response::new(events(node, blobs, run, request.get_ref().after, self.engine.metrics().watcher())))
    }

    type ReadLogStream = Chunks;

    async fn read_log(&self, request: Request<v1::ReadLogRequest>) -> Result<Response<Chunks>, Status> {
        let run = run_id(&request.get_ref().run)?;
        let node = knowing(&self.engine, run, &request).await?;
        chunks(&node, &self.engine, run, request.get_ref()).map(Response::new)
    }

    async fn list_step_keys(
        &self,
        request: Request<v1::ListStepKeysRequest>,
    ) -> Result<Response<v1::ListStepKeysResponse>, Status> {
        let run = run_id(&request.get_ref().run)?;
        match leader(&self.engine, &request).await? {
            Who::Here(leading) => {
                up_to_date(&leading).await?;
                let known = leading.read(|state| super::keys::known(state, run, &request.get_ref().step))?;
                Ok(Response::new(known.complete(&*self.engine.parts().results).await))
            }
            Who::There(channel) => {
                let call = |mut client: Client, request| async move { client.list_step_keys(request).await };
                pass_on(channel, request, call).await
            }
        }
    }
}

type Client = v1::runs_client::RunsClient<tonic::transport::Channel>;

/// A run with its steps and what it hands out.
async fn describe(leading: &Leading, id: RunId) -> Result<v1::Run, Status> {
    let described = leading.read(|state| {
        let run = state.run(id)?;
        Some(v1::Run { summary: Some(summary(id, run)), steps: steps(state, run), ..v1::Run::default() })
    });
    let mut described = described.ok_or_else(|| unknown(id))?;
    match leading.outputs(id).await {
        Ok(outputs) => described.outputs = outputs,
        Err(reason) => {
            tracing::warn!(run = %id, reason, "what a run hands out is not known");
            described.outputs_trouble = reason;
        }
    }
    Ok(described)
}
