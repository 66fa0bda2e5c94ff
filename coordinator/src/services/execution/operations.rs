//! `google.longrunning.Operations`, as far as operations of the Remote Execution API have a use for it.

use std::time::Duration;

use cullet_cache::Inlined;
use cullet_core::LogCommand;
use cullet_proto::longrunning::service::operations_client::OperationsClient;
use cullet_proto::longrunning::service::operations_server::{Operations, OperationsServer};
use cullet_proto::longrunning::{
    CancelOperationRequest, DeleteOperationRequest, Empty, GetOperationRequest, ListOperationsRequest,
    ListOperationsResponse, Operation, WaitOperationRequest,
};
use tonic::{Request, Response, Status};

use super::watch::Watching;
use super::{ExecutionApi, known_operation, name};
use crate::engine::Engine;
use crate::services::access::{Who, forwarded, leader, of_the_leader};

/// How long a call waits that does not say how long.
const USUAL_WAIT: Duration = Duration::from_secs(60);

/// The service of a coordinator.
pub(in crate::services) fn operations_service(engine: Engine) -> OperationsServer<impl Operations> {
    OperationsServer::new(ExecutionApi { engine })
}

#[tonic::async_trait]
impl Operations for ExecutionApi {
    async fn list_operations(
        &self,
        _: Request<ListOperationsRequest>,
    ) -> Result<Response<ListOperationsResponse>, Status> {
        Err(Status::unimplemented("operations are not listed; `cullet workers` shows what runs"))
    }

    async fn get_operation(
        &self,
        request: Request<GetOperationRequest>,
    ) -> Result<Response<Operation>, Status> {
        let watching = self.watching(&request.get_ref().name.clone(), &request).await?;
        Ok(Response::new(watching.now().await?))
    }

    async fn delete_operation(&self, _: Request<DeleteOperationRequest>) -> Result<Response<Empty>, Status> {
        Err(Status::unimplemented("operations are forgotten by themselves; CancelOperation ends one"))
    }

    async fn cancel_operation(
        &self,
        request: Request<CancelOperationRequest>,
    ) -> Result<Response<Empty>, Status> {
        let (_, run) = name::parse(&request.get_ref().name)?;
        match leader(&self.engine, &request).await? {
            Who::Here(leading) => {
                known_operation(&self.engine, run, &request).await?;
                leading.propose(LogCommand::Cancel { run, at: leading.now() }).await?;
                Ok(Response::new(Empty {}))
            }
            Who::There(channel) => {
                let answer = OperationsClient::new(channel).cancel_operation(forwarded(request)).await;
                answer.map_err(of_the_leader)
            }
        }
    }

    async fn wait_operation(
        &self,
        request: Request<WaitOperationRequest>,
    ) -> Result<Response<Operation>, Status> {
        let WaitOperationRequest { name, timeout } = request.get_ref().clone();
        let patience = timeout.as_ref().and_then(cullet_proto::duration).unwrap_or(USUAL_WAIT);
        let mut watching = self.watching(&name, &request).await?;
        match tokio::time::timeout(patience, watching.end()).await {
            Ok(ended) => ended.map(Response::new),
            Err(_) => Ok(Response::new(watching.now().await?)),
        }
    }
}

impl ExecutionApi {
    async fn watching<T>(&self, name: &str, request: &Request<T>) -> Result<Watching, Status> {
        let (instance, run) = name::parse(name)?;
        let node = known_operation(&self.engine, run, request).await?;
        Ok(Watching::new(&self.engine, &node, run, instance.to_owned(), Inlined::default()))
    }
}
