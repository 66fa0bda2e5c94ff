//! Small blobs that a coordinator keeps in a log before they are files: whoever was told that they are stored finds them, whichever
//! coordinator is asked and whatever becomes of the one that was told to store them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cullet_tests::cluster::{Cluster, settled};
use tokio::runtime::Builder;
use tonic::transport::Endpoint;

use super::api::{Api, update_of};
use super::blobs::{Blob, SHA256};
use super::servers::Kind;

/// Blobs of a batch, and bytes of each.
const BLOBS: usize = 16;
const BYTES: usize = 4 << 10;

/// One coordinator of a cluster.
fn api(cluster: &Cluster, position: usize) -> Api {
    let channel = Endpoint::from_shared(cluster.url(position)).unwrap().connect_lazy();
    Api::new(Kind::Cullet, channel, None)
}

async fn all_there(api: &Api, blobs: &[Blob]) {
    for some in blobs.chunks(1000) {
        let digests: Vec<_> = some.iter().map(|blob| blob.digest.clone()).collect();
        assert_eq!(api.missing(SHA256, &digests).await.unwrap(), []);
    }
    // Some of them, with their bytes.
    for blob in blobs.iter().step_by(blobs.len() / 50 + 1) {
        assert_eq!(api.read(&blob.name(), 0, 0).await.unwrap(), blob.bytes);
    }
}

/// Files of small blobs are made when nothing was stored for a moment. Until then they are in the log of the coordinator that was asked.
#[test]
fn what_was_acknowledged_is_there_for_others_at_once_and_after_a_kill() {
    let mut cluster = Cluster::start(3, 1);
    cluster.agreed();
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let _entered = runtime.enter();
    let stored = Arc::<Mutex<Vec<Blob>>>::default();
    let (asked, kept) = (api(&cluster, 0), Arc::clone(&stored));
    let storing = runtime.spawn(async move {
        loop {
            let blobs: Vec<Blob> = (0..BLOBS).map(|_| Blob::unseen(SHA256, BYTES)).collect();
            let Ok(answer) = asked.update(SHA256, blobs.iter().map(update_of).collect()).await else {
                return;
            };
            assert!(answer.responses.iter().all(|of| of.status.clone().unwrap_or_default().code == 0));
            kept.lock().unwrap().extend(blobs);
        }
    });
    let so_far = || stored.lock().unwrap().clone();
    let others = [1, 2].map(|position| api(&cluster, position));
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(200));
        let stored = so_far();
        for other in &others {
            runtime.block_on(all_there(other, &stored));
        }
    }
    let logs = std::fs::read_dir(cluster.store().join("wal")).map_or(0, Iterator::count);
    assert!(logs > 0, "nothing is in a log, so nothing is tried");
    cluster.kill_coordinator(0);
    runtime.block_on(storing).unwrap();
    let stored = so_far();
    for other in &others {
        runtime.block_on(all_there(other, &stored));
    }
    cluster.run_coordinator(0);
    cluster.agreed();
    settled(cluster.store());
    for position in 0..3 {
        runtime.block_on(all_there(&api(&cluster, position), &stored));
    }
}
