//! buildbox-casd between a client and a cluster, started as docs/clients/buildbox.md says.

use cullet_proto::reapi::results::GetActionResultRequest;

use super::actions::{Job, asking, execute};
use super::api::Api;
use super::blobs::{Blob, SHA256};
use super::servers::through_casd;

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
