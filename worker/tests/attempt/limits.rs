//! Limits of a step on what it leaves, with the real sandbox.

use std::time::Instant;

use cullet_worker::logs::NoEvents;
use cullet_worker::{AttemptReport, StepLimits};
use tokio_util::sync::CancellationToken;

use crate::fixture::{attempt, failed, succeeded, text};
use crate::sandboxed::{sandboxed, script};

const MIB: u64 = 1 << 20;

#[tokio::test]
async fn a_step_with_too_much_on_the_disk_fails_and_says_so() {
    let Some((fixture, sandbox)) = sandboxed() else { return };
    let worker = fixture.worker_with(sandbox);
    let limits = StepLimits { disk_bytes: 4 * MIB, ..StepLimits::default() };
    let run = async |text: &str| {
        let attempt = cullet_worker::Attempt { limits, ..attempt(script(text, &["?f1"])) };
        worker.run(attempt, NoEvents, CancellationToken::new()).await
    };
    let clock = Instant::now();
    let many = "for i in $(seq 8); do head -c 1048576 /dev/zero > f$i; done";
    for text in [many.to_owned(), format!("{many}; sleep 60")] {
        let reason = failed(run(&text).await);
        assert!(reason.starts_with("out of disk space: it may have 4 MiB and had 8"), "{reason}");
        assert!(reason.contains("`limits.disk`"), "{reason}");
    }
    assert!(clock.elapsed().as_secs() < 30);
    let reason = failed(run("exec head -c 8388608 /dev/zero > f1").await);
    assert!(reason.contains("it may have 4 MiB, and one file was to be larger"), "{reason}");
    assert_eq!(failed(run("head -c 8388608 /dev/zero > f1").await), reason, "a shell says it");
    assert_eq!(
        succeeded(run("head -c 3145728 /dev/zero > f1; rm f1; head -c 3145728 /dev/zero > f1").await)
            .outputs
            .len(),
        1
    );
    drop(worker);
    fixture.assert_clean();
}

#[tokio::test]
async fn outputs_that_are_too_large_fail_and_none_is_kept() {
    let Some((fixture, sandbox)) = sandboxed() else { return };
    let worker = fixture.worker_with(sandbox);
    let run = async |output_bytes: u64| {
        let action = script(
            "mkdir d; head -c 1000 /dev/zero > d/a; head -c 1000 /dev/zero > d/b; echo x > c",
            &["c", "d"],
        );
        let limits = StepLimits { output_bytes, ..StepLimits::default() };
        worker
            .run(cullet_worker::Attempt { limits, ..attempt(action) }, NoEvents, CancellationToken::new())
            .await
    };
    match run(2001).await {
        AttemptReport::Failed { result, reason: Some(reason), .. } => {
            assert!(
                reason.contains("more than 2001 bytes") && reason.contains("`limits.output`"),
                "{reason}"
            );
            assert!(result.outputs.is_empty());
        }
        other => panic!("{other:#?}"),
    }
    assert_eq!(succeeded(run(2002).await).outputs.len(), 2);
    drop(worker);
    fixture.assert_clean();
}

#[tokio::test]
async fn logs_are_cut_where_they_are_too_long_and_the_step_goes_on() {
    let Some((fixture, sandbox)) = sandboxed() else { return };
    let worker = fixture.worker_with(sandbox);
    let limits = StepLimits { log_bytes: 1000, ..StepLimits::default() };
    let action = script("head -c 3000 /dev/zero | tr '\\0' x; echo short >&2; echo went on > o", &["o"]);
    let attempt = cullet_worker::Attempt { limits, ..attempt(action) };
    let result = succeeded(worker.run(attempt, NoEvents, CancellationToken::new()).await);
    let log = text(&fixture, &result.stdout).await;
    assert_eq!(log, format!("{}\nlog limit reached: 2000 bytes dropped\n", "x".repeat(1000)));
    assert_eq!((text(&fixture, &result.stderr).await, result.outputs.len()), ("short\n".to_owned(), 1));
}

#[tokio::test]
async fn a_step_without_limits_has_those_of_the_worker() {
    let Some((mut fixture, sandbox)) = sandboxed() else { return };
    fixture.change =
        |config| config.limits = StepLimits { log_bytes: 10, output_bytes: 100, ..StepLimits::default() };
    let worker = fixture.worker_with(sandbox);
    let run = async |limits| {
        let action = script("head -c 40 /dev/zero | tr '\\0' x; head -c 150 /dev/zero > o", &["o"]);
        let attempt = cullet_worker::Attempt { limits, ..attempt(action) };
        worker.run(attempt, NoEvents, CancellationToken::new()).await
    };
    let reason = failed(run(StepLimits::default()).await);
    assert!(reason.contains("more than 100 bytes"), "{reason}");
    // Its own word counts, and what it says nothing about stays limited.
    let own = StepLimits { output_bytes: 200, ..StepLimits::default() };
    let log = text(&fixture, &succeeded(run(own).await).stdout).await;
    assert_eq!(log, "xxxxxxxxxx\nlog limit reached: 30 bytes dropped\n");
    drop(worker);
    fixture.assert_clean();
}
