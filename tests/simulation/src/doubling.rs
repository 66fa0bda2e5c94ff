//! Messages that come twice. Within a connection the network keeps them in order, as TCP does; but a proxy or a client
//! that repeats itself has a copy of a request arrive on another connection, after others that were sent later.

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use tonic::service::Routes;

use crate::chance::Chance;

/// Requests of a hundred that come twice.
const DOUBLED: u64 = 5;

/// How much later the second comes at most, milliseconds: some elections.
const LATE_MS: u64 = 900;

/// None is larger here: one vote, one submission.
const MOST_BYTES: usize = 1 << 20;

/// What is not a stream: its requests have an end.
const SINGLE: &[&str] =
    &["Raft/Vote", "Raft/TransferLeader", "Raft/ReadIndex", "Runs/Submit", "Runs/GetRun", "Runs/CancelRun"];

/// The same services, to which some requests come twice.
pub(crate) fn doubling(routes: Routes, chance: Chance) -> Routes {
    let chance = Arc::new(Mutex::new(chance));
    Routes::from(routes.into_axum_router().layer(from_fn_with_state(chance, double)))
}

async fn double(State(chance): State<Arc<Mutex<Chance>>>, request: Request, next: Next) -> Response {
    let is_single = SINGLE.iter().any(|end| request.uri().path().ends_with(end));
    let late = {
        let mut chance = chance.lock().unwrap_or_else(PoisonError::into_inner);
        (is_single && chance.percent(DOUBLED)).then(|| chance.millis(0..=LATE_MS))
    };
    let Some(late) = late else { return next.run(request).await };
    let (parts, body) = request.into_parts();
    // Whoever sent it went away meanwhile.
    let Ok(bytes) = to_bytes(body, MOST_BYTES).await else { return Response::default() };
    let copy = Request::from_parts(parts.clone(), Body::from(bytes.clone()));
    let again = next.clone();
    tokio::spawn(async move {
        tokio::time::sleep(late).await;
        // Nobody waits for its answer.
        drop(again.run(copy).await);
    });
    next.run(Request::from_parts(parts, Body::from(bytes))).await
}
