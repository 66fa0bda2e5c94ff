//! Everything that a coordinator serves, on one port.

use std::sync::Arc;
use std::time::Duration;

use axum::middleware::{from_fn, from_fn_with_state};
use cullet_cache::{CapabilitiesService, ResultServices, StorageServices};
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::deadline::keep_deadline;
use super::execution::{execution_service, operations_service};
use super::log_streams::byte_stream_service;
use super::reapi::EngineResults;
use super::{journals_service, runs_service, workers_service};
use crate::cluster::{Seat, control_service, raft_service};
use crate::engine::Engine;
use crate::http;
use crate::metrics::count_rpc;

/// How often is looked whether this coordinator can take part.
const LOOK: Duration = Duration::from_millis(250);

/// All services: raft, the cluster's own, the Remote Execution API, health (`grpc.health.v1`), server reflection, and HTTP.
pub fn routes(engine: &Engine, blobs: &StorageServices) -> (Routes, HealthReporter) {
    let (reporter, health) = tonic_health::server::health_reporter();
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(cullet_proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
    let results = EngineResults::new(engine.clone());
    let http = http::router(engine.clone(), results.clone(), blobs.values());
    let results = Arc::new(results);
    let kept = ResultServices::new(results.clone(), engine.parts().blobs.clone());
    let capabilities = CapabilitiesService::new(results, blobs.limits());
    let mut routes = Routes::from(http)
        .add_service(raft_service(Arc::clone(engine.seat())))
        .add_service(control_service(Arc::clone(engine.seat())))
        .add_service(runs_service(engine.clone()))
        .add_service(journals_service(engine.clone()))
        .add_service(workers_service(engine.clone()))
        .add_service(blobs.storage())
        .add_service(byte_stream_service(engine.clone(), blobs.clone()))
        .add_service(kept.clone().server())
        .add_service(kept.clone().fetch_server())
        .add_service(kept.push_server())
        .add_service(capabilities.executing().cutting(blobs).server())
        .add_service(execution_service(engine.clone()))
        .add_service(operations_service(engine.clone()))
        .add_service(health);
    match reflection.build_v1() {
        Ok(reflection) => routes = routes.add_service(reflection),
        Err(error) => tracing::error!(%error, "no server reflection"),
    }
    let counted = from_fn_with_state(Arc::clone(engine.metrics()), count_rpc);
    (Routes::from(routes.into_axum_router().layer(from_fn(keep_deadline)).layer(counted)), reporter)
}

/// Says for `grpc.health.v1` whether this coordinator can take part. Never returns.
pub async fn keep_health(seat: Arc<Seat>, reporter: HealthReporter) {
    let mut said = None;
    loop {
        let status = match seat.not_ready() {
            None => ServingStatus::Serving,
            Some(_) => ServingStatus::NotServing,
        };
        // Whoever watches is told whatever is said here, news or not.
        if said.replace(status) != Some(status) {
            for service in ["", "cullet.v1.Runs", "cullet.v1.Workers", "cullet.v1.Journals"] {
                reporter.set_service_status(service, status).await;
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}
