//! buildbox-casd between a client and a cluster, started as docs/clients/buildbox.md says.

use cullet_proto::reapi::results::GetActionResultRequest;
use cullet_proto::reapi::storage::{BatchUpdateBlobsResponse, FindMissingBlobsRequest};
use prost::Message as _;

use super::actions::{Job, asking, execute};
use super::api::Api;
use super::blobs::{Blob, SHA256};
use super::fuzz::ask;
use super::servers::{through_casd, through_chunking_casd};

/// Both ways of a blob: what is uploaded through casd is in the cluster, and what is there comes through casd.
#[test]
fn blobs_go_both_ways() {
    through_casd(async |casd, cluster| {
        for len in [1000, 3 << 20] {
            let (sent, kept) = (Blob::unseen(SHA256, len), Blob::unseen(SHA256, len));
            casd.put(&[&sent]).await;
            assert!(cluster.has(&sent).await, "{len}");
            cluster.put(&[&kept]).await;
            assert_eq!(casd.read(&kept.name(), 0, 0).await.unwrap(), kept.bytes, "{len}");
        }
    });
}

/// Has casd fetch a blob from the cluster or send it there, as the tools do that it comes with. Both requests are like those of
/// `FindMissingBlobs`, and both answers like those of `BatchUpdateBlobs`.
async fn moved(casd: &Api, path: &'static str, blob: &Blob) {
    let blob_digests = vec![blob.digest.clone()];
    let request = FindMissingBlobsRequest { blob_digests, ..FindMissingBlobsRequest::default() };
    let answers = ask(casd.channel(), path, vec![request.encode_to_vec()]).await.unwrap();
    let answer = BatchUpdateBlobsResponse::decode(answers[0].clone()).unwrap();
    for response in answer.responses {
        assert_eq!(response.status.unwrap_or_default(), Default::default(), "{path}");
    }
}

/// casd sends and fetches large blobs in chunks where the cluster announces that it can: these are in the cluster besides the blob.
#[test]
fn large_blobs_go_both_ways_in_chunks() {
    through_chunking_casd(async |casd, cluster| {
        let [sent, kept] = [8 << 20, 8 << 20].map(|len| Blob::unseen(SHA256, len));
        casd.write(&sent.upload(), 0, &sent.bytes, true).await.unwrap();
        assert!(cluster.lose(&sent).await);
        let before = cluster.files();
        moved(casd, "/build.buildgrid.LocalContentAddressableStorage/UploadMissingBlobs", &sent).await;
        assert!(cluster.files() > before + 5, "{} files, before {before}", cluster.files());
        assert!(cluster.read(&sent.name(), 0, 0).await.unwrap() == sent.bytes);
        // The chunks that casd has cut are those that the cluster cuts.
        let before = cluster.files();
        cluster.split(SHA256, &sent.digest).await.unwrap();
        assert_eq!(cluster.files(), before);
        cluster.write(&kept.upload(), 0, &kept.bytes, true).await.unwrap();
        let before = cluster.files();
        moved(casd, "/build.buildgrid.LocalContentAddressableStorage/FetchMissingBlobs", &kept).await;
        assert!(cluster.files() > before + 5, "{} files, before {before}", cluster.files());
        assert!(casd.read(&kept.name(), 0, 0).await.unwrap() == kept.bytes);
    });
}

/// An action that is uploaded to casd is executed by the cluster, once, and its result is found in the instance that casd names.
#[test]
fn actions_are_executed_behind_it() {
    through_casd(async |casd, cluster| {
        let job =
            Job::script("mkdir d && echo made > d/out; cat /proc/sys/kernel/random/uuid").outputs(&["d"]);
        let action = job.stored(casd).await;
        let first = execute(casd, asking(&action)).await.unwrap();
        assert!(!first.response.cached_result && first.result().output_directories.len() == 1);
        let second = execute(casd, asking(&action)).await.unwrap();
        assert!(second.response.cached_result);
        assert_eq!(second.printed(casd).await, first.printed(casd).await);
        assert!(is_there(cluster, "web/branch/main", &action).await);
        assert!(!is_there(cluster, "web/branch/other", &action).await);
        let failed = Job::script("exit 3").executed(casd).await;
        assert_eq!(failed.result().exit_code, 3);
    });
}

async fn is_there(api: &Api, instance: &str, action: &Blob) -> bool {
    let request = GetActionResultRequest {
        instance_name: instance.to_owned(),
        action_digest: Some(action.digest.clone()),
        ..GetActionResultRequest::default()
    };
    api.results().get_action_result(request).await.is_ok()
}
