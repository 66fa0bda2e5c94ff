//! When a cluster can be used.

use std::time::Duration;

use cullet_coordinator::cluster::connect;
use cullet_proto::v1::cluster_client::ClusterClient;
use cullet_proto::{Dial, v1};
use tokio::time::{Instant, sleep};

use super::child::Child;
use super::members::Plan;
use crate::error::CliError;

/// How long it may take until all are there: an election takes a second, a fingerprint of the machine some more where
/// several workers make it at the same time for the first time.
const PATIENCE: Duration = Duration::from_secs(120);

/// For one answer. A coordinator says what it knows, at once.
const ANSWER: Duration = Duration::from_secs(2);

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(100);

/// Waits until every coordinator can take part and knows every worker: whoever is told that the cluster is there may ask any
/// of them.
///
/// # Errors
/// A process ends meanwhile, or it takes too long.
pub(super) async fn wait(plan: &Plan, children: &mut [Child]) -> Result<(), CliError> {
    let deadline = Instant::now() + PATIENCE;
    let urls = plan.urls();
    let mut ready = 0;
    while let Some(url) = urls.get(ready) {
        if let Some(how) = children.iter_mut().find_map(Child::ended) {
            return Err(CliError::infra(format!("the cluster does not come up: {how}")));
        }
        let Some(lacking) = lacking(url, plan).await else {
            ready += 1;
            continue;
        };
        if Instant::now() >= deadline {
            let message = format!("the cluster is not ready after {} s: {lacking}", PATIENCE.as_secs());
            return Err(CliError::infra(message).hint("with --dir DIR, logs are kept in DIR/logs"));
        }
        sleep(PAUSE).await;
    }
    Ok(())
}

/// What a coordinator lacks to be ready, in a sentence.
async fn lacking(url: &str, plan: &Plan) -> Option<String> {
    match ask(url).await {
        Ok(status) if !status.ready => Some(format!("{url} is not ready: {}", status.reason)),
        Ok(status) if status.workers.len() < plan.workers() => {
            Some(format!("{} of {} workers have joined", status.workers.len(), plan.workers()))
        }
        Ok(_) => None,
        Err(why) => Some(format!("{url} does not answer: {why}")),
    }
}

async fn ask(url: &str) -> Result<v1::StatusResponse, String> {
    let channel = connect(&Dial::default(), url, ANSWER).map_err(|error| error.to_string())?;
    let answer = ClusterClient::new(channel).status(v1::StatusRequest {}).await;
    answer.map(tonic::Response::into_inner).map_err(|status| status.message().to_owned())
}
