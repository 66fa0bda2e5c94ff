//! `Execution` of the Remote Execution API, and `google.longrunning.Operations`: an operation is a run of one step. Its name is that
//! of the run, so whichever coordinator is asked knows it, and it is there after a failover.

mod answer;
mod ask;
mod missing;
mod name;
mod operations;
mod watch;

use cullet_cache::Inlined;
use cullet_core::RunId;
use cullet_proto::longrunning::Operation;
use cullet_proto::reapi::execution::service::execution_client::ExecutionClient;
use cullet_proto::reapi::execution::service::execution_server::{Execution, ExecutionServer};
use cullet_proto::reapi::execution::{ExecuteRequest, WaitExecutionRequest};
use futures_util::StreamExt as _;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

pub(super) use self::operations::operations_service;
use self::watch::{Operations, Printed, Watching};
use super::access::{Who, forwarded, knowing, leader, of_the_leader, rights};
use crate::engine::{Engine, scope_of};
use crate::raft::Node;

/// The service of a coordinator.
pub(super) fn execution_service(engine: Engine) -> ExecutionServer<impl Execution> {
    ExecutionServer::new(ExecutionApi { engine })
}

#[derive(Debug, Clone)]
struct ExecutionApi {
    engine: Engine,
}

#[tonic::async_trait]
impl Execution for ExecutionApi {
    type ExecuteStream = Operations;

    async fn execute(&self, request: Request<ExecuteRequest>) -> Result<Response<Operations>, Status> {
        let wanted = request.get_ref();
        let (instance, inlined) = (wanted.instance_name.clone(), inlined(wanted));
        let asked = ask::check(&self.engine, &request).await?;
        if !asked.bypass_cache
            && let Some(found) = answer::cached(&self.engine, &asked, &inlined).await
        {
            let found = watch::done(name::of_hit(&instance), asked.action, found, Printed::default());
            return Ok(Response::new(futures_util::stream::once(async { Ok(found) }).boxed()));
        }
        let run = match leader(&self.engine, &request).await? {
            Who::Here(leading) => {
                let asked = asked.with_action(&self.engine).await?;
                leading.operate(asked).await?
            }
            Who::There(channel) => {
                let begun = begun_there(channel, request).await?;
                // It found what this coordinator did not.
                if begun.done {
                    return Ok(Response::new(futures_util::stream::once(async { Ok(begun) }).boxed()));
                }
                name::parse(&begun.name)?.1
            }
        };
        self.watch(run, instance, inlined).await
    }

    type WaitExecutionStream = Operations;

    async fn wait_execution(
        &self,
        request: Request<WaitExecutionRequest>,
    ) -> Result<Response<Operations>, Status> {
        let (instance, run) = name::parse(&request.get_ref().name)?;
        known_operation(&self.engine, run, &request).await?;
        self.watch(run, instance.to_owned(), Inlined::default()).await
    }
}

/// This coordinator's part in raft, if it knows an operation of this name, and the operation is for this caller.
pub(super) async fn known_operation<T>(
    engine: &Engine,
    run: RunId,
    request: &Request<T>,
) -> Result<Node, Status> {
    let node = knowing(engine, run, request).await?;
    let rights = rights(engine.policy(), request)?;
    {
        let applying = node.state().read();
        let found = applying.state.run(run).filter(|run| run.spec().operation);
        let found = found.ok_or_else(|| name::unknown(run))?;
        rights.check(&found.spec().tenant, &scope_of(found))?;
    }
    Ok(node)
}

impl ExecutionApi {
    async fn watch(
        &self,
        run: RunId,
        instance: String,
        inlined: Inlined,
    ) -> Result<Response<Operations>, Status> {
        let nothing = Request::new(());
        let node = knowing(&self.engine, run, &nothing).await?;
        Ok(Response::new(Watching::new(&self.engine, &node, run, instance, inlined).stream()))
    }
}

fn inlined(request: &ExecuteRequest) -> Inlined {
    Inlined {
        stdout: request.inline_stdout,
        stderr: request.inline_stderr,
        files: request.inline_output_files.iter().cloned().collect(),
    }
}

/// Has the leader begin it. From then on, this coordinator knows as much of it as the leader.
async fn begun_there(channel: Channel, request: Request<ExecuteRequest>) -> Result<Operation, Status> {
    let said = request.metadata().get_bin(ask::METADATA).cloned();
    let mut request = forwarded(request);
    if let Some(said) = said {
        request.metadata_mut().insert_bin(ask::METADATA, said);
    }
    let told = ExecutionClient::new(channel).execute(request).await;
    let mut told = told.map_err(of_the_leader)?.into_inner();
    let first = told.message().await.map_err(of_the_leader)?;
    first.ok_or_else(|| Status::unavailable("the coordinator that led last says nothing; try again"))
}
