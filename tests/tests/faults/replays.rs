//! A worker that says everything a hundred times, and says it of attempts that are not its own as well.

use cullet_proto::v1::coordinator_message::Message as Told;
use cullet_proto::v1::{self, attempt_finished::Outcome};
use cullet_tests::cluster::Cluster;
use cullet_tests::cullet_binary;

use super::puppet::Puppet;
use super::support::{files_below, metric, unique};

/// How often each report is sent.
const TIMES: usize = 100;

#[test]
fn a_report_that_comes_a_hundred_times_counts_once_and_that_of_another_attempt_never() {
    // The puppet loses nothing to a busy machine.
    let mut cluster = Cluster::prepare(cullet_binary().clone(), 3, 0).leasing("60");
    (0..3).for_each(|position| cluster.run_coordinator(position));
    let led = cluster.leader_of(&cluster.agreed_leader());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let ended = runtime.block_on(async {
        let mut puppet = Puppet::greet(cluster.url(led)).await;
        let run = cluster.begin_run(&unique(&cluster, "replayed", "true"), &[]);
        let attempt = loop {
            if let Told::Start(start) = puppet.hear().await {
                break start.attempt.unwrap();
            }
        };
        // Successes, which would be recorded in the action cache.
        let others = [
            v1::Attempt { epoch: attempt.epoch + 1, ..attempt.clone() },
            v1::Attempt { attempt: attempt.attempt + 1, ..attempt.clone() },
        ];
        for other in &others {
            for _ in 0..TIMES {
                puppet.report(other, Outcome::Succeeded(v1::Succeeded::default())).await;
            }
            puppet.acknowledged(TIMES).await;
        }
        assert_eq!(metric(&cluster, 3, "cullet_fenced_reports_total"), 2 * TIMES as u64);
        for _ in 0..TIMES {
            puppet.report(&attempt, Outcome::Failed(v1::Failed { exit_code: 7 })).await;
        }
        puppet.acknowledged(TIMES).await;
        // Long after it is over as well, and with another end.
        for _ in 0..TIMES {
            puppet.report(&attempt, Outcome::Succeeded(v1::Succeeded::default())).await;
        }
        puppet.acknowledged(TIMES).await;
        run.outcome()
    });
    assert_eq!((ended.exit_code, &*ended.steps["s"].status), (1, "failed"), "{}", ended.stderr);
    let count = |name: &str| ended.events.iter().filter(|event| event["event"] == name).count();
    assert_eq!((count("step_started"), count("step_finished"), count("run_finished")), (1, 1, 1));
    let finished = metric(&cluster, 3, "cullet_attempts_finished_total{outcome=\"failed\"}");
    assert_eq!(finished, 1, "one attempt has ended, however often that is said");
    assert_eq!(metric(&cluster, 3, "cullet_attempts_finished_total{outcome=\"succeeded\"}"), 0);
    assert!(files_below(&cluster.store().join("ac")).is_empty(), "nothing was recorded");
    cluster.agreed();
}
